//===- Hover.h - answers of MLIR's language server, with what operations mean ------------------------------------===//

#ifndef SM1_LSP_SERVER_HOVER_H
#define SM1_LSP_SERVER_HOVER_H

#include <string>

namespace sm1 {

/// A message of the server to the editor, with the documentation of the operation under the cursor if it is such an answer; any
/// other as it is. MLIR's server has no hook for it.
std::string withDocumentation(std::string message);

} // namespace sm1

#endif // SM1_LSP_SERVER_HOVER_H
