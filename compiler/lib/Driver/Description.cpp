//===- Description.cpp - reading a model, and the defaults that follow from it -----------------------------------===//

#include "Description.h"
#include "Arithmetic.h"

#include "sm1c/Import.h"
#include "sm1c/Stages.h"
#include "sm1c/Target.h"

#include "sm1rt/Safetensors.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/TargetParser/Triple.h"

#include <map>

using namespace llvm;
using namespace sm1;

static constexpr int64_t maxDescriptionBytes = 64 << 20;

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

/// An empty value stands for a default, where there is one.
static Error checkChoice(StringRef option, StringRef value, ArrayRef<StringRef> choices, bool hasDefault = false) {
  if (is_contained(choices, value) || (hasDefault && value.empty()))
    return Error::success();
  return createStringError("--" + option + "=" + value + ": must be one of " + join(choices, ", "));
}

Error sm1::checkChoices(const CompileRequest &request) {
  std::vector<std::string> emits = emitNames(), passes = fusionPassNames();
  SmallVector<StringRef> emitChoices(emits.begin(), emits.end()), passChoices(passes.begin(), passes.end());
  passChoices.push_back("all");
  if (Error error = checkChoice("weights", request.weights, {"f32", "bf16", "f16", "int8", "int4"}, /*hasDefault=*/true))
    return error;
  if (Error error = checkChoice("compute", request.compute, {"f32", "bf16", "fp8", "int8"}, /*hasDefault=*/true))
    return error;
  if (Error error = checkChoice("form", request.form, {"exact", "closed_form"}))
    return error;
  if (Error error = checkChoice("weights-in", request.weightsIn, {"package", "external"}, /*hasDefault=*/true))
    return error;
  for (const std::string &pass : request.disabledPasses)
    if (Error error = checkChoice("no-fuse", pass, passChoices))
      return error;
  SmallVector<StringRef> variantChoices = {"none"};
  for (Entry entry : gpuEntries)
    if (rangeOf(entry))
      variantChoices.push_back(entryName(entry));
  for (const std::string &variant : request.variants)
    if (Error error = checkChoice("variants", variant, variantChoices))
      return error;
  return request.emit.empty() ? Error::success() : checkChoice("emit", request.emit, emitChoices);
}

/// Whether "native" includes `target`: instructions for bf16 and for bytes make a difference to arithmetic in these alone.
static bool isNative(const sm1::Target &target, const CompileRequest &request) {
  bool bf16 = request.compute == "bf16", int8 = request.compute == "int8";
  if (target.isGpu())
    return false;
  if (target.matrixTiles)
    return bf16 || int8;
  return target.bf16Dots ? bf16 : int8 || !target.integerDots;
}

Expected<SmallVector<const sm1::Target *>> sm1::selectTargets(const CompileRequest &request) {
  std::vector<std::string> names = request.targets;
  bool isGpuText = request.emit == "ptx" || request.emit == "cuda",
       isSmall = isQuantised(request.weights); // GPUs need room for bf16
  if (names.empty())
    names = request.emit.empty() && !isSmall ? std::vector<std::string>{"native", "sm_120"}
                                             : std::vector<std::string>{isGpuText ? "sm_120" : "native"};
  SmallVector<const sm1::Target *> chosen;
  for (const std::string &name : names) {
    if (name != "native" && !findTarget(name))
      return createStringError("--target=" + name + ": this sm1c makes code for " + join(targetNames(), ", ") + " and native");
    for (const sm1::Target &target : allTargets())
      if (((name == "native" && isNative(target, request)) || name == target.name) && !is_contained(chosen, &target))
        chosen.push_back(&target);
  }
  if (chosen.empty())
    return createStringError("--target: names no target; pass native or some of " + join(targetNames(), ", "));
  if (isGpuText && (chosen.size() != 1 || !chosen.front()->isGpu()))
    return createStringError("--emit=" + request.emit + ": prints the kernels of one GPU, got --target=" + join(names, ",") +
                             "; name one, such as sm_120");
  sort(chosen); // the table's order
  return chosen;
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

/// The file behind --params or a model's directory.
static std::string checkpointFile(StringRef path) {
  return sys::fs::is_directory(path) ? (path + "/model.safetensors").str() : path.str();
}

/// How most bytes of the checkpoint's matrices are stored.
static Expected<std::string> storageOf(const std::string &checkpoint) {
  auto file = sm1rt::SafetensorsFile::open(checkpoint);
  if (!file)
    return createStringError(file.error().message);
  std::map<sm1rt::DType, uint64_t> bytes;
  for (const sm1rt::FileTensor &tensor : file->tensors())
    if (tensor.type.shape.size() == 2 && sm1rt::isWeightDType(tensor.type.dtype))
      bytes[tensor.type.dtype] += tensor.bytes;
  auto most = max_element(bytes, [](auto &a, auto &b) { return a.second < b.second; });
  return most == bytes.end() ? std::string("f32") : StringRef(sm1rt::dtypeName(most->first)).lower();
}

/// Where weights come from and whether the package holds them.
static Error settleCheckpoint(const CompileRequest &request, bool isDirectory, Description &description) {
  std::string file = checkpointFile(request.params.empty() && isDirectory ? request.model : request.params);
  bool there = !file.empty() && sys::fs::exists(file);
  if (!request.params.empty() && !there)
    return createStringError(file + ": no such file; --params names a checkpoint directory or a .safetensors file");
  if (request.weightsIn == "package" && !there)
    return createStringError(request.model +
                             ": there are no weights to put into the package; name a checkpoint with --params=DIR|FILE");
  if (request.weightsIn != "external" && there)
    description.checkpoint = file;
  if (request.weightsIn.empty() && !there)
    description.note =
        request.model + ": no weights here, so the package is external; bind a checkpoint when it runs, with --params=DIR|FILE";
  if (!request.weights.empty())
    description.storage = request.weights;
  if (!description.storage.empty() || !there)
    return Error::success();
  auto storage = storageOf(file);
  if (!storage)
    return storage.takeError();
  description.storage = *storage;
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

static Expected<std::string> readText(const std::string &path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(path + ": " + StringRef(buffer.getError().message()).lower() +
                             "; a model is a description FILE.mlir or a checkpoint directory");
  if (sys::path::extension(path) == ".json")
    return createStringError(path + ": JSON; a model is a description FILE.mlir or a checkpoint directory, so name the folder");
  StringRef text = (*buffer)->getBuffer();
  if (text.size() > maxDescriptionBytes)
    return createStringError(path + ": " + Twine(text.size()) + " bytes, a description has at most " + Twine(maxDescriptionBytes));
  if (text.contains('\0'))
    return createStringError(path + ": not text; a model is a description FILE.mlir or a checkpoint directory");
  return text.str();
}

Expected<Description> sm1::loadDescription(const CompileRequest &request) {
  bool isDirectory = sys::fs::is_directory(request.model);
  Description description;
  description.name = isDirectory ? request.model + " (its --emit=spec)" : request.model;
  std::string storage = "f32";
  if (isDirectory) {
    auto model = importConfig(request.model);
    if (!model)
      return model.takeError();
    description.text = std::move(model->text);
    storage = model->storage;
  } else {
    auto text = readText(request.model);
    if (!text)
      return text.takeError();
    description.text = std::move(*text);
  }
  if (Error error = settleCheckpoint(request, isDirectory, description))
    return error;
  if (description.storage.empty())
    description.storage = storage;
  return description;
}
