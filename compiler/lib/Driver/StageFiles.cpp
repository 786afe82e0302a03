//===- StageFiles.cpp - every stage as a numbered file of a folder -----------------------------------------------===//

#include "StageFiles.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace sm1;

namespace {
struct FileForm {
  StringLiteral name, stem, suffix;
};
} // namespace

static constexpr FileForm forms[] = {{"spec", "00-spec", ".mlir"},
                                     {"precise", "10-precise", ".mlir"},
                                     {"fused", "20-fused", ".mlir"},
                                     {"scheduled", "30-scheduled", ".mlir"},
                                     {"cost", "35-cost", ".txt"},
                                     {"cuda", "35", ".cu"},
                                     {"token", "35", "-token.cu"},
                                     {"target", "40-target", ".mlir"},
                                     {"plan", "45-plan", ".json"},
                                     {"llvm", "50", ".ll"},
                                     {"asm", "60", ".s"},
                                     {"ptx", "60", ".ptx"},
                                     {"package", "70-package", ".txt"}};

std::string sm1::labelOf(const Target *target, Entry entry) {
  std::string label = target ? ("target " + target->name).str() : "";
  if (entry != Entry::Both)
    label += std::string(label.empty() ? "" : ", ") + "entry " + entryName(entry).str();
  return label;
}

std::string sm1::stageFileName(StringRef name, const Target *target, Entry entry) {
  const FileForm *form = find_if(forms, [&](const FileForm &known) { return known.name == name; });
  std::string file = form->stem.str();
  if (target)
    file += ("-" + target->name).str();
  if (entry != Entry::Both)
    file += ("-" + entryName(entry)).str();
  return file + form->suffix.str();
}

Error sm1::checkFolder(const std::string &path) {
  StringRef folder = sys::path::parent_path(path);
  if (folder.empty() || sys::fs::exists(folder))
    return Error::success();
  return createStringError(path + ": no such file or directory; there is no folder " + folder.str() +
                           "/ to write to, make it first");
}

Error sm1::checkNotRead(const std::string &path, ArrayRef<std::string> read) {
  for (StringRef name : read)
    for (StringRef file : {"", "config.json", "model.safetensors"}) {
      SmallString<256> input(name);
      if (!file.empty())
        sys::path::append(input, file);
      bool same = false;
      if (!path.empty() && !sys::fs::equivalent(path, input, same) && same && !sys::fs::is_directory(path))
        return createStringError(path + ": is read by this command and would be lost; name another file with -o");
    }
  return Error::success();
}

Error sm1::writeFile(const std::string &path, const std::string &text) {
  auto error = writeToOutput(path, [&](raw_ostream &stream) { return stream << text, Error::success(); });
  if (!error)
    return error;
  std::string reason = toString(std::move(error));
  StringRef rest = reason;
  rest.consume_front("'" + path + "': ");
  return createStringError(path + ": " + rest.lower());
}

Expected<StageFiles> StageFiles::make(const std::string &folder) {
  if (std::error_code error = sys::fs::create_directories(folder))
    return createStringError(folder + ": cannot be made: " + StringRef(error.message()).lower());
  return StageFiles(folder);
}

void StageFiles::onText(const StageText &text) {
  Error error = writeFile(folder + "/" + stageFileName(text.name, text.target, text.entry), text.text);
  if (error && firstError.empty())
    firstError = toString(std::move(error));
  else
    consumeError(std::move(error));
}
