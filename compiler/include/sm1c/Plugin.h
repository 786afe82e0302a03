//===- Plugin.h - passes of other people, in libraries of their own ----------------------------------------------===//
//
// A plugin is a shared library with passes. It links nothing of sm1: what it uses of the dialect and of the compiler it finds in
// the program that loads it, sm1c or sm1-opt, so both have to be of one version. docs/Plugins.md leads through writing one:
//
//   static void registerPasses() { mlir::PassRegistration<MyPass>(); }
//   SM1_PASS_PLUGIN("my-passes", registerPasses)

#ifndef SM1C_PLUGIN_H
#define SM1C_PLUGIN_H

#include "sm1c/PluginVersion.h"

#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Support/Error.h"

#include <string>

/// Makes a library a plugin called `name` (a string); `registerPasses` is a function without arguments. The version lies in a
/// section of its own, so that it can be read before any code of the library runs.
#define SM1_PASS_PLUGIN(name, registerPasses)                                                                                      \
  extern "C" __attribute__((used, section(".sm1.plugin"))) const char sm1PluginVersion[] = SM1_PLUGIN_VERSION;                     \
  extern "C" ::mlir::PassPluginLibraryInfo LLVM_ATTRIBUTE_WEAK mlirGetPassPluginInfo() {                                           \
    return {MLIR_PLUGIN_API_VERSION, name, SM1_PLUGIN_VERSION, registerPasses};                                                    \
  }

namespace sm1 {

/// An error if the library is no plugin, or one for another version; runs nothing of it.
llvm::Error checkPlugin(const std::string &path);

/// Loads a plugin, for as long as the process lives, and registers its passes.
llvm::Error loadPlugin(const std::string &path);

} // namespace sm1

#endif // SM1C_PLUGIN_H
