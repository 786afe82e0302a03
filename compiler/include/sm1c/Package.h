//===- Package.h - from dispatches to the plan, and to the file --------------------------------------------------===//
//
// What a package holds is written down in PackageFormat.h. Here a plan is put together from the description (interface, parameters)
// and from the model of each target at Stage::Target (buffers, launches); the packing library does the rest.

#ifndef SM1C_PACKAGE_H
#define SM1C_PACKAGE_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Codegen.h"
#include "sm1c/Cost.h"
#include "sm1c/Stages.h"
#include "sm1c/Target.h"
#include "sm1c/Token.h"

#include "sm1rt/Packing.h"
#include "sm1rt/packing/Checkpoint.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace sm1 {

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

/// Elements from one row of a stream to the next: its channels rounded up to 16.
int64_t rowStride(mlir::RankedTensorType stream);
sm1rt::DType packageType(mlir::Type element);

/// One [rows, stride] array of the workspace.
struct Buffer {
  bool selected;
  int64_t stride;
  sm1rt::DType dtype;

  bool operator==(const Buffer &other) const {
    return selected == other.selected && stride == other.stride && dtype == other.dtype;
  }
};

/// The value behind a result of a launch: the result of its dispatch. Other values stand for themselves.
mlir::Value dispatchedValue(mlir::Value value);

struct BufferAssignment {
  std::vector<Buffer> buffers;
  /// Streams and tokens: arguments, results of dispatches, values that layers carry.
  llvm::DenseMap<mlir::Value, unsigned> places;

  unsigned placeOf(mlir::Value value) const { return places.lookup(dispatchedValue(value)); }
};

/// Gives every stream of a model at Stage::Target a buffer. Two values share one if neither is needed while the other is; the
/// operands and results of one dispatch never do. With `ownPorts`, inputs and outputs share with nothing but what layers carry them
/// in. An error names the value that layers cannot carry in one buffer.
mlir::FailureOr<BufferAssignment> assignBuffers(ModelOp model, bool ownPorts = false);

//===----------------------------------------------------------------------===//
// Plan
//===----------------------------------------------------------------------===//

struct PlanOptions {
  std::string compiler;         ///< "sm1c 0.1.0 (LLVM 22.1.8)"
  std::string storage, compute; ///< as the plan spells them
  bool closedForm = false;
  bool weightsInPackage = true;
};

/// A weight as kernels read it, and how it comes from a parameter.
struct PackedWeight {
  std::string name; ///< with "{i}" where it has layers
  size_t param;     ///< index in PlanBuilder::params()
  std::vector<sm1rt::PackingStep> steps;
  sm1rt::TensorType type; ///< after all steps
};

/// A model at Stage::Target and the entries that it is for.
struct EntryModel {
  Entry entry;
  ModelOp model;
  const KernelCosts *costs; ///< of its kernels, as far as they are known
};

class PlanBuilder {
public:
  explicit PlanBuilder(PlanOptions options) : options(std::move(options)) {}

  /// States, inputs, outputs and parameters of a model at Stage::Spec. The first call.
  llvm::LogicalResult addDescription(ModelOp model);
  /// Marks the norms whose rows a model at Stage::Precise rounds to e4m3.
  void noteFp8Norms(mlir::ModuleOp precise);
  /// The program of one target, from the same model at Stage::Target: once for both entries, or once for each; adds the weights
  /// that it reads. `compute` is what its projections multiply.
  llvm::LogicalResult addProgram(llvm::ArrayRef<EntryModel> models, const Target &target, const std::string &compute,
                                 const FlatCode &code);
  /// Adds to the program of `target`, which is there, the kernel that computes whole tokens.
  llvm::LogicalResult addToken(const TokenKernel &kernel, const Target &target);
  /// Hash of the description's text or of a target's code.
  void addHash(llvm::StringRef part, llvm::ArrayRef<uint8_t> bytes);

  /// The plan so far.
  llvm::json::Value plan() const;
  const std::string &modelName() const { return name; }
  const std::vector<sm1rt::CheckpointParam> &params() const { return paramList; }
  const std::vector<PackedWeight> &weights() const { return weightList; }

private:
  struct State {
    std::string name;
    int64_t layers;
    std::vector<int64_t> shape;
  };

  llvm::LogicalResult addStates(ModelOp model);
  void addPorts(ModelOp model);
  llvm::LogicalResult addParams(ModelOp model);
  llvm::LogicalResult addTied(ModelOp model);
  bool needsWholeSequence(ModelOp model) const;
  int64_t stateIndex(llvm::StringRef state) const;

  class ProgramBuilder;
  class EntryBuilder;
  mlir::FailureOr<size_t> weightOf(ParamOp param);

  PlanOptions options;
  std::string name;
  bool wholeSequence = false;
  std::vector<State> states;
  llvm::json::Array inputs, outputs;
  std::vector<sm1rt::CheckpointParam> paramList;
  std::vector<PackedWeight> weightList;
  llvm::json::Object programs, hashes;
};

//===----------------------------------------------------------------------===//
// File
//===----------------------------------------------------------------------===//

struct TargetCode {
  const Target *target;
  FlatCode code;
  std::string token; ///< text of the kernel that computes whole tokens; empty: none
};

/// Writes the package: whole, or not at all. With a checkpoint, its tensors are checked and packed one after the other, so that
/// memory holds one at a time; without, the package is external.
llvm::Error writePackage(const std::string &path, const PlanBuilder &plan, const std::string &source,
                         llvm::ArrayRef<TargetCode> code, const sm1rt::Checkpoint *checkpoint);

/// The plan and what the tensors of the package are, for people.
std::string describePackage(const PlanBuilder &plan, llvm::ArrayRef<TargetCode> code);

} // namespace sm1

#endif // SM1C_PACKAGE_H
