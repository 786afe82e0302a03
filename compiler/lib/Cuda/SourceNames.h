//===- SourceNames.h - what values are called in the description they come from ----------------------------------===//
//
// MLIR forgets the names of values when it parses. Locations survive the passes, so the text itself is asked.

#ifndef SM1C_CUDA_SOURCENAMES_H
#define SM1C_CUDA_SOURCENAMES_H

#include "sm1/IR/Sm1.h"

namespace sm1 {

class SourceNames {
public:
  SourceNames(llvm::StringRef file, llvm::StringRef text);

  /// A name for `value`, not unique: the description's; else that of what it is made from; never empty, an identifier of C++ or a
  /// keyword.
  std::string of(mlir::Value value) const;
  /// Line of the description that `op` stands on; 0 if it comes from elsewhere.
  unsigned lineOf(mlir::Operation *op) const;

private:
  /// Where `op` stands in the text; null if it does not, or another operation stands there.
  mlir::FileLineColLoc placeOf(mlir::Operation *op) const;
  std::string written(mlir::OpResult result) const;
  /// Of a projection that is part of one in the text: the name of that part behind the sm1.split.
  std::string partOf(LinearOp linear, llvm::StringRef whole) const;

  std::string file, text;
  llvm::SmallVector<llvm::StringRef> lines;
};

} // namespace sm1

#endif // SM1C_CUDA_SOURCENAMES_H
