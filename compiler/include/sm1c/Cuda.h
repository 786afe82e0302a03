//===- Cuda.h - scheduled kernels as CUDA C++ that a person reads and edits --------------------------------------===//

#ifndef SM1C_CUDA_H
#define SM1C_CUDA_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Stages.h"

#include "llvm/ADT/StringSet.h"

#include <memory>
#include <string>

namespace sm1 {

class SourceNames;

/// One .cu file of the kernels of both entries. Each has the name, the parameters and the launch shape of the generated one, and
/// its bits.
class CudaText {
public:
  /// `text` is the description, whose names the kernels use, as it was parsed under the name `file`.
  CudaText(llvm::StringRef file, llvm::StringRef text);
  ~CudaText();

  /// Appends the kernels of `module`, which is at Stage::Scheduled for one entry of a GPU.
  void add(mlir::ModuleOp module, Entry entry);
  /// The whole file; `model` and `target` are for its first line.
  std::string finish(llvm::StringRef model, llvm::StringRef target) const;

private:
  std::unique_ptr<SourceNames> names;
  llvm::StringSet<> seen;
  std::string kernels, left;
};

} // namespace sm1

#endif // SM1C_CUDA_H
