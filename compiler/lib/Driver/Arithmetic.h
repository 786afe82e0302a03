//===- Arithmetic.h - what a package's programs multiply, and whether its targets can ----------------------------===//

#ifndef SM1C_LIB_DRIVER_ARITHMETIC_H
#define SM1C_LIB_DRIVER_ARITHMETIC_H

#include "sm1c/Compile.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace sm1 {

struct Target;

inline bool isQuantised(llvm::StringRef storage) { return storage == "int8" || storage == "int4"; }

/// What programs multiply: "f32", "bf16" or "int8". GPUs multiply what is quantised as bf16, whatever CPUs beside them do with it.
struct Arithmetic {
  std::string cpu, gpu;
  /// Prompts on GPUs multiply e4m3 where steps multiply bf16.
  bool fp8 = false;

  const std::string &of(bool isGpu) const { return isGpu ? gpu : cpu; }
  /// What a program says of itself: the least precise that any of its entries multiplies.
  std::string leastPreciseOf(bool isGpu) const { return isGpu && fp8 ? "fp8" : of(isGpu); }
};

/// What `request` asks for of matrices that are stored as `storage`.
Arithmetic arithmeticOf(const CompileRequest &request, llvm::StringRef storage);

/// An error where the storage or one of `targets` (CPUs first, at least one) is not for what `request.compute` names.
llvm::Error checkArithmetic(const CompileRequest &request, llvm::StringRef storage, llvm::ArrayRef<const Target *> targets);

/// Lines for a person about targets that compute what was asked for and gain nothing by it.
std::vector<std::string> arithmeticNotes(const CompileRequest &request, llvm::ArrayRef<const Target *> targets);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_ARITHMETIC_H
