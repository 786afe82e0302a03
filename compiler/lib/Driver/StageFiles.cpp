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

/// Writes and says what went wrong, which would else end the program.
static Error writeTo(raw_fd_ostream &stream, StringRef text) {
  stream << text;
  stream.flush();
  std::error_code error = stream.error();
  stream.clear_error();
  return errorCodeToError(error);
}

/// A device or a pipe is written to, as it cannot be replaced; "-" is standard output.
static Error writeInPlace(const std::string &path, StringRef text) {
  std::error_code error;
  raw_fd_ostream stream(path, error, sys::fs::CD_OpenExisting);
  return error ? errorCodeToError(error) : writeTo(stream, text);
}

/// A file has all of the text or what it had before. Behind a link, which stays, the file that it leads to is replaced.
static Error replaceWhole(const std::string &path, StringRef text) {
  SmallString<256> place;
  if (sys::fs::real_path(path, place))
    place = path; // a new file
  Expected<sys::fs::TempFile> temporary = sys::fs::TempFile::create(place + ".temp-%%%%%%", sys::fs::all_read | sys::fs::all_write);
  if (!temporary)
    return temporary.takeError();
  raw_fd_ostream stream(temporary->FD, /*shouldClose=*/false);
  if (Error error = writeTo(stream, text))
    return joinErrors(std::move(error), temporary->discard());
  return temporary->keep(place);
}

Error sm1::writeFile(const std::string &path, const std::string &text) {
  sys::fs::file_status status;
  bool isPlace = path == "-" || (!sys::fs::status(path, status) && !sys::fs::is_regular_file(status));
  Error error = isPlace ? writeInPlace(path, text) : replaceWhole(path, text);
  return error ? createStringError(path + ": " + StringRef(toString(std::move(error))).lower()) : Error::success();
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
