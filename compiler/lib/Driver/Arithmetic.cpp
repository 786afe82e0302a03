//===- Arithmetic.cpp - what a package's programs multiply, and whether its targets can --------------------------===//

#include "Arithmetic.h"

#include "../Transforms/BlockForms.h"

using namespace llvm;
using namespace sm1;

Arithmetic sm1::arithmeticOf(const CompileRequest &request, StringRef storage) {
  bool fp8 = request.compute == "fp8"; // CPUs compute as if nothing had been asked for
  std::string asked = request.compute.empty() || fp8 ? "f32" : request.compute;
  bool gpuTakesBf16 = fp8 || isQuantised(storage) || (storage == "bf16" && request.compute.empty());
  return {asked, gpuTakesBf16 ? "bf16" : asked, fp8};
}

static Error checkFp8(const CompileRequest &request, StringRef storage, ArrayRef<const sm1::Target *> targets) {
  auto refuse = [&](const Twine &why) { return createStringError(request.model + ": --compute=fp8 " + why); };
  if (storage != "bf16")
    return refuse("rounds what is stored as bf16, but matrices are stored as " + storage + "; add --weights=bf16");
  if (!targets.back()->isGpu())
    return refuse("is for GPUs, got --target=" + targets.back()->name + "; add --target=sm_120, or leave it out");
  for (const sm1::Target *target : targets)
    if (target->isGpu() && !multipliesFp8(*target))
      return refuse("multiplies e4m3, which sm_89 and newer GPUs do, got --target=" + target->name +
                    "; leave that one out, or pass --compute=bf16");
  return Error::success();
}

Error sm1::checkArithmetic(const CompileRequest &request, StringRef storage, ArrayRef<const sm1::Target *> targets) {
  auto refuse = [&](const Twine &why) { return createStringError(request.model + ": --compute=" + request.compute + " " + why); };
  bool quantised = isQuantised(storage), hasCpu = !targets.front()->isGpu(), hasGpu = targets.back()->isGpu();
  if (request.compute == "fp8")
    return checkFp8(request, storage, targets);
  if (request.compute == "int8" && !quantised)
    return refuse("multiplies integers, but matrices are stored as " + storage + "; add --weights=int8 or --weights=int4");
  if (request.compute == "f32" && quantised && hasGpu)
    return refuse("is not there for " + storage + " on GPUs, got --target=" + targets.back()->name +
                  "; leave it out, or pass --compute=bf16 for GPUs alone");
  if (request.compute == "bf16" && storage != "bf16" && !(quantised && !hasCpu))
    return refuse("multiplies bf16 by bf16, but matrices are stored as " + storage + "; add --weights=bf16");
  return Error::success();
}

std::vector<std::string> sm1::arithmeticNotes(const CompileRequest &request, ArrayRef<const sm1::Target *> targets) {
  std::vector<std::string> notes;
  if (request.compute == "fp8")
    for (const sm1::Target *target : targets)
      if (multipliesFp8AsHalves(*target))
        notes.push_back((request.model + ": mma.sync of " + target->name +
                         " multiplies e4m3 as f16, which gains nothing over --compute=bf16" +
                         (target->gpu->capability == 90 ? "; --target=sm_90a has instructions for it" : ""))
                            .str());
  return notes;
}
