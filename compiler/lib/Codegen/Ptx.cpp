//===- Ptx.cpp - the cubin that ptxas makes of PTX, and what it says of kernels -----------------------------------===//

#include "Ptxas.h"
#include "sm1c/Codegen.h"

#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace sm1;

/// The first line that is a complaint, and not what -v prints.
static std::string firstComplaint(StringRef said) {
  SmallVector<StringRef> lines;
  said.trim().split(lines, '\n');
  for (StringRef line : lines)
    if (!line.starts_with("ptxas info"))
      return line.empty() ? "it said nothing" : line.str();
  return "it said nothing";
}

/// From lines "Compiling entry function 'NAME' for ..." and, further down, "Used N registers, ...".
static void readRegisters(FlatCode &code, StringRef said) {
  FlatCode::Kernel *current = nullptr;
  for (StringRef line : split(said, '\n')) {
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
  auto run = runPtxas(ptxas, {reinterpret_cast<const char *>(code.bytes.data()), code.bytes.size() - 1}, target.name);
  if (!run)
    return run.takeError();
  // A ptxas older than the chip is no reason to fail: drivers take the PTX.
  std::string complaint = firstComplaint(run->said);
  if (run->refused && StringRef(complaint).contains("is not defined for option 'gpu-name'"))
    return Error::success();
  if (run->refused)
    return createStringError(ptxas + " refuses the kernels for " + target.name + ": " + complaint);
  code.cubin = std::move(run->cubin);
  readRegisters(code, run->said);
  return Error::success();
}
