//===- Plugin.cpp - loading libraries of passes, those of this version only --------------------------------------===//

#include "sm1c/Plugin.h"

#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"

using namespace llvm;

/// The version that a plugin was built for; nothing for a library that is no plugin of ours.
static Expected<std::string> versionOf(const std::string &path) {
  auto binary = object::ObjectFile::createObjectFile(path);
  if (!binary)
    return binary.takeError();
  for (const object::SectionRef &section : binary->getBinary()->sections()) {
    auto name = section.getName();
    if (!name)
      return name.takeError();
    if (*name != ".sm1.plugin")
      continue;
    auto contents = section.getContents();
    if (!contents)
      return contents.takeError();
    return contents->take_until([](char c) { return c == '\0'; }).str();
  }
  return std::string();
}

Error sm1::checkPlugin(const std::string &path) {
  if (!sys::fs::is_regular_file(path))
    return createStringError(path + ": no such file; --load-pass-plugin names a shared library");
  auto version = versionOf(path);
  if (!version) {
    consumeError(version.takeError());
    return createStringError(path + ": not a shared library; a plugin is one that ends in SM1_PASS_PLUGIN of sm1c/Plugin.h");
  }
  if (version->empty())
    return createStringError(path + ": no plugin of sm1: it lacks SM1_PASS_PLUGIN of sm1c/Plugin.h");
  if (*version != SM1_PLUGIN_VERSION)
    return createStringError(path + ": built for " + *version +
                             ", this is " SM1_PLUGIN_VERSION
                             "; build it again with the sm1c that find_package(sm1c) finds in this installation");
  return Error::success();
}

Error sm1::loadPlugin(const std::string &path) {
  if (Error error = checkPlugin(path))
    return error;
  // A path without a slash would be looked for among the system's libraries.
  auto plugin = mlir::PassPlugin::load(path.find('/') == std::string::npos ? "./" + path : path);
  if (!plugin)
    return plugin.takeError();
  plugin->registerPassRegistryCallbacks();
  return Error::success();
}
