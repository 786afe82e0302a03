//===- Graph.h - kernels of a module, and what goes from one to the other ----------------------------------------===//

#ifndef SM1C_LIB_REPORT_GRAPH_H
#define SM1C_LIB_REPORT_GRAPH_H

#include "sm1/IR/Sm1.h"

#include "sm1rt/packing/GpuCost.h"

#include <string>
#include <vector>

namespace sm1 {

/// Lines of the description, in ascending order.
using LineSet = std::vector<unsigned>;

struct KernelNode {
  std::string name;
  int64_t times = 1; ///< launches in a pass
  bool inLayer = false, selected = false;
  std::vector<std::string> operations; ///< "scan", "linear", in order, without what costs nothing
  LineSet lines;                       ///< of the description that its operations come from
  std::string schedule;                ///< as printed
  sm1rt::KernelCost cost;
  sm1rt::BlockCuts cuts;                        ///< but for the shared memory of a block, which the next stage knows
  unsigned streamsRead = 0, streamsWritten = 0; ///< passes over memory
  std::string text;                             ///< the kernel's IR
};

struct GraphEdge {
  /// Index of a kernel; -1: the model's inputs or outputs, or the layer before or behind.
  int from, to;
  std::string value; ///< its name in the description
  std::string kind;  ///< "stream", "state", "carry"
  double bytes;      ///< per token; of a state per sequence
};

struct KernelGraph {
  std::vector<KernelNode> kernels;
  std::vector<GraphEdge> edges;
  double weightBytes = 0; ///< of a whole pass
};

/// The graph of a module at Stage::Fused or Stage::Scheduled, whose description was parsed under the name `file`.
KernelGraph graphOf(mlir::ModuleOp module, llvm::StringRef file);

/// The lines of `file` that an operation and those inside it come from.
LineSet linesOf(mlir::Operation *op, llvm::StringRef file);

} // namespace sm1

#endif // SM1C_LIB_REPORT_GRAPH_H
