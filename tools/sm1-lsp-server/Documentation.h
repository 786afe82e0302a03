//===- Documentation.h - what an operation means, in the words of its definition ---------------------------------===//

#ifndef SM1_LSP_SERVER_DOCUMENTATION_H
#define SM1_LSP_SERVER_DOCUMENTATION_H

#include "llvm/ADT/StringRef.h"

namespace sm1 {

/// Summary, syntax and description of an operation ("sm1.scan", "math.exp") as Markdown; empty for one of another dialect.
llvm::StringRef documentationOf(llvm::StringRef operation);

} // namespace sm1

#endif // SM1_LSP_SERVER_DOCUMENTATION_H
