//===- Ptx.cpp - PTX of an optimised module, and the cubin that ptxas makes of it ---------------------------------===//

#include "sm1c/Codegen.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

using namespace llvm;
using namespace sm1;

Expected<FlatCode> sm1::emitPtx(const Module &module, TargetMachine &machine) {
  auto text = emitAssembly(module, machine);
  if (!text)
    return text.takeError();
  FlatCode code;
  code.bytes.assign(text->begin(), text->end());
  code.bytes.push_back(0);
  for (const Function &function : module)
    if (!function.isDeclaration())
      code.kernels.push_back({function.getName().str(), 0});
  sort(code.kernels, [](auto &a, auto &b) { return a.name < b.name; });
  return code;
}

/// Path of ptxas; empty where there is none.
static std::string findPtxas() {
  SmallVector<std::string> folders;
  if (auto home = sys::Process::GetEnv("CUDA_HOME"))
    folders.push_back(*home + "/bin");
  folders.push_back("/usr/local/cuda/bin");
  if (auto found = sys::findProgramByName("ptxas"))
    return *found;
  SmallVector<StringRef> places(folders.begin(), folders.end());
  auto found = sys::findProgramByName("ptxas", places);
  return found ? *found : "";
}

namespace {
/// A file that goes with its object.
struct Scratch {
  explicit Scratch(StringRef suffix) : failed(sys::fs::createTemporaryFile("sm1c", suffix, path)), remover(path) {}
  SmallString<128> path;
  std::error_code failed;
  FileRemover remover;
};
} // namespace

/// The first line that is no report of registers.
static std::string firstComplaint(StringRef path) {
  auto text = MemoryBuffer::getFile(path);
  if (text)
    for (StringRef line : split((*text)->getBuffer(), '\n'))
      if (!line.trim().empty() && !line.starts_with("ptxas info"))
        return line.trim().str();
  return "it said nothing";
}

/// From lines "Compiling entry function 'NAME' for ..." and, further down, "Used N registers, ...".
static void readRegisters(FlatCode &code, StringRef path) {
  auto text = MemoryBuffer::getFile(path);
  if (!text)
    return;
  FlatCode::Kernel *current = nullptr;
  for (StringRef line : split((*text)->getBuffer(), '\n')) {
    StringRef name = line.split("Compiling entry function '").second.split('\'').first;
    if (!name.empty()) {
      auto found = find_if(code.kernels, [&](const FlatCode::Kernel &kernel) { return kernel.name == name; });
      current = found == code.kernels.end() ? nullptr : &*found;
    }
    StringRef used = line.split("Used ").second;
    if (current && !used.empty() && !used.consumeInteger(10, current->registers))
      current = nullptr;
  }
}

Error sm1::assemblePtx(FlatCode &code, const sm1::Target &target) {
  std::string ptxas = findPtxas();
  if (ptxas.empty())
    return Error::success();
  Scratch ptx("ptx"), cubin("cubin"), log("log");
  for (Scratch *file : {&ptx, &cubin, &log})
    if (file->failed)
      return createStringError("ptxas: no temporary file can be made: " + StringRef(file->failed.message()).lower());
  std::error_code failed;
  raw_fd_ostream stream(ptx.path, failed);
  stream.write(reinterpret_cast<const char *>(code.bytes.data()), code.bytes.size() - 1);
  stream.close();
  if (failed || stream.has_error())
    return createStringError(ptx.path.str() + ": cannot be written");
  std::string chip = ("-arch=" + target.name).str();
  StringRef arguments[] = {ptxas, chip, "-O3", "-v", "-o", cubin.path, ptx.path};
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log.path), StringRef(log.path)};
  std::string reason;
  int result = sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, /*SecondsToWait=*/300, 0, &reason);
  if (result < 0)
    return createStringError(ptxas + ": " + reason);
  // A ptxas older than the chip is no reason to fail: drivers take the PTX.
  if (result > 0 && StringRef(firstComplaint(log.path)).contains("is not defined for option 'gpu-name'"))
    return Error::success();
  if (result > 0)
    return createStringError(ptxas + " refuses the kernels for " + target.name + ": " + firstComplaint(log.path));
  auto bytes = MemoryBuffer::getFile(cubin.path, /*IsText=*/false);
  if (!bytes)
    return createStringError(cubin.path.str() + ": " + StringRef(bytes.getError().message()).lower());
  code.cubin.assign((*bytes)->getBufferStart(), (*bytes)->getBufferEnd());
  readRegisters(code, log.path);
  return Error::success();
}
