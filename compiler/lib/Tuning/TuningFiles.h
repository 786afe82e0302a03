//===- TuningFiles.h - the files of a folder of candidates -------------------------------------------------------===//
//
// sm1c writes tune.json beside packages, sm1-bench tune reads it and writes times.json; docs/Tuning.md has the fields of both.

#ifndef SM1C_LIB_TUNING_TUNINGFILES_H
#define SM1C_LIB_TUNING_TUNINGFILES_H

#include "llvm/ADT/StringRef.h"

#include <string>

namespace sm1 {

/// Fields "format" of the two files. What changes a field or its meaning takes another number.
inline constexpr llvm::StringLiteral candidatesFormat = "sm1 tuning candidates 1", timesFormat = "sm1 tuning times 1";
inline std::string candidatesPath(const std::string &folder) { return folder + "/tune.json"; }
inline std::string timesPath(const std::string &folder) { return folder + "/times.json"; }

} // namespace sm1

#endif // SM1C_LIB_TUNING_TUNINGFILES_H
