//===- CodeText.h - the part of a text that is one kernel's ------------------------------------------------------===//

#ifndef SM1C_LIB_REPORT_CODETEXT_H
#define SM1C_LIB_REPORT_CODETEXT_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace sm1 {

/// Functions of a text by the kernel's name. Longer ones are cut, and say so.
using FunctionTexts = llvm::StringMap<std::string>;

FunctionTexts llvmFunctions(llvm::StringRef ir);
FunctionTexts ptxFunctions(llvm::StringRef ptx);
FunctionTexts assemblyFunctions(llvm::StringRef assembly);

/// Bytes of the stack that a function of x86 assembly takes.
int64_t stackBytes(llvm::StringRef function);

/// At most so many lines of `text`, with a line that says how many are missing.
std::string cut(llvm::StringRef text);

} // namespace sm1

#endif // SM1C_LIB_REPORT_CODETEXT_H
