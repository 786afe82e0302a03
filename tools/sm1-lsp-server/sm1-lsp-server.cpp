//===- sm1-lsp-server.cpp - MLIR's language server, with this dialect and its documentation ----------------------===//
//
// MLIR's server writes to standard output and nowhere else. Here that is a pipe, and what comes out of it goes on to the editor.

#include "Hover.h"
#include "sm1/IR/Sm1.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "llvm/Support/LSP/Transport.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <unistd.h>

/// Hands every message on until the pipe is closed at its other end.
static void forward(FILE *messages, int editor) {
  llvm::lsp::JSONTransportInputOverFile input(messages);
  llvm::raw_fd_ostream output(editor, /*shouldClose=*/true);
  std::string message;
  while (!input.isEndOfInput() && !input.hasError()) {
    if (llvm::failed(input.readStandardMessage(message)))
      continue;
    message = sm1::withDocumentation(std::move(message));
    output << "Content-Length: " << message.size() << "\r\n\r\n" << message;
    output.flush();
  }
  if (output.has_error()) // the editor has gone, which the server sees at its input
    output.clear_error();
}

/// Text for people comes without the length that messages have.
static bool asksForText(llvm::StringRef argument) {
  argument = argument.ltrim('-');
  return argument == "h" || argument == "version" || argument.starts_with("help");
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<sm1::Sm1Dialect>();

  if (std::any_of(argv + 1, argv + argc, asksForText))
    return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
  int ends[2], editor = dup(STDOUT_FILENO);
  if (editor < 0 || pipe(ends) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) {
    llvm::errs() << "sm1-lsp-server: error: standard output: " << std::strerror(errno) << "\n";
    return 1;
  }
  close(ends[1]);
  FILE *messages = fdopen(ends[0], "r");
  std::thread forwarder(forward, messages, editor);
  bool failed = mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
  llvm::outs().flush();
  close(STDOUT_FILENO);
  forwarder.join();
  std::fclose(messages);
  return failed;
}
