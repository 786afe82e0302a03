//===- Ptxas.cpp - NVIDIA's assembler, where there is one --------------------------------------------------------===//

#include "Ptxas.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#if defined(__linux__)
#include <sys/personality.h>
#endif

using namespace llvm;
using namespace sm1;

std::string sm1::findPtxas() {
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

/// What this thread starts in a scope finds its memory at the same addresses each time: ptxas (13.0, for sm_90a) orders instructions
/// by them, and one request has to give the same bytes. Where the system refuses, as containers may, it goes without.
struct SameAddresses {
#if defined(__linux__)
  SameAddresses() : before(::personality(query)) {
    if (before >= 0)
      ::personality((unsigned long)before | ADDR_NO_RANDOMIZE);
  }
  ~SameAddresses() {
    if (before >= 0)
      ::personality((unsigned long)before);
  }
  static constexpr unsigned long query = 0xffffffff;
  int before;
#endif
};
} // namespace

Expected<PtxasRun> sm1::runPtxas(const std::string &ptxas, StringRef ptx, StringRef chip) {
  Scratch source("ptx"), cubin("cubin"), log("log");
  for (Scratch *file : {&source, &cubin, &log})
    if (file->failed)
      return createStringError("ptxas: no temporary file can be made: " + StringRef(file->failed.message()).lower());
  std::error_code failed;
  raw_fd_ostream stream(source.path, failed);
  stream << ptx;
  stream.close();
  if (failed || stream.has_error())
    return createStringError(source.path.str() + ": cannot be written");
  std::string arch = ("-arch=" + chip).str();
  StringRef arguments[] = {ptxas, "-v", arch, "-O3", "-o", cubin.path, source.path};
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log.path), StringRef(log.path)};
  std::string reason;
  SameAddresses same;
  int result = sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, /*SecondsToWait=*/300, 0, &reason);
  if (result < 0)
    return createStringError(ptxas + ": " + reason);
  PtxasRun run;
  run.refused = result > 0;
  if (auto text = MemoryBuffer::getFile(log.path))
    run.said = (*text)->getBuffer().str();
  if (run.refused)
    return run;
  auto bytes = MemoryBuffer::getFile(cubin.path, /*IsText=*/false);
  if (!bytes)
    return createStringError(cubin.path.str() + ": " + StringRef(bytes.getError().message()).lower());
  run.cubin.assign((*bytes)->getBufferStart(), (*bytes)->getBufferEnd());
  return run;
}
