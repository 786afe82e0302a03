//===- PackageWriter.cpp - the file: metadata, code, packed weights ----------------------------------------------===//

#include "sm1c/Package.h"

#include "sm1rt/PackageFormat.h"
#include "sm1rt/Safetensors.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace sm1;

static Error toError(const sm1rt::Error &error) { return createStringError(error.message); }

/// Tensors of a target's code, in the order of the file.
static SmallVector<std::pair<std::string, ArrayRef<uint8_t>>> codeTensors(const TargetCode &target) {
  SmallVector<std::pair<std::string, ArrayRef<uint8_t>>> tensors{{("kernel/" + target.target->name).str(), target.code.bytes}};
  if (!target.code.cubin.empty())
    tensors.push_back({("cubin/" + target.target->name).str(), target.code.cubin});
  if (!target.token.empty()) // with its NUL
    tensors.push_back({("token/" + target.target->name).str(),
                       {reinterpret_cast<const uint8_t *>(target.token.c_str()), target.token.size() + 1}});
  return tensors;
}

/// Tensor of one layer of a weight.
static std::string weightTensor(const PackedWeight &weight, int64_t layer) {
  std::string name = "weight/" + weight.name;
  size_t place = name.find("{i}");
  return place == std::string::npos ? name : name.replace(place, 3, std::to_string(layer));
}

/// Every tensor of the package in the order of the file: code, then weights, those of one parameter together so that it is read
/// once.
static std::vector<sm1rt::TensorDeclaration> declareTensors(const PlanBuilder &plan, ArrayRef<TargetCode> code, bool withWeights) {
  std::vector<sm1rt::TensorDeclaration> tensors;
  for (const TargetCode &target : code)
    for (auto &[name, bytes] : codeTensors(target))
      tensors.push_back({name, {sm1rt::DType::U8, {int64_t(bytes.size())}}});
  for (size_t param = 0; withWeights && param < plan.params().size(); ++param)
    for (int64_t layer = 0; layer < plan.params()[param].copies(); ++layer)
      for (const PackedWeight &weight : plan.weights())
        if (weight.param == param)
          tensors.push_back({weightTensor(weight, layer), weight.type});
  return tensors;
}

namespace {
/// Packs the checkpoint's tensors into an open file, one after the other.
class WeightWriter {
public:
  WeightWriter(const PlanBuilder &plan, const sm1rt::Checkpoint &checkpoint, sm1rt::SafetensorsWriter &writer)
      : plan(plan), checkpoint(checkpoint), writer(writer), parallel(sm1rt::threadedFor(0)) {}

  sm1rt::Expected<void> run() {
    for (size_t param = 0; param < plan.params().size(); ++param)
      for (int64_t layer = 0; layer < plan.params()[param].copies(); ++layer)
        if (const sm1rt::FileTensor *tensor = checkpoint.tensor(param, layer))
          if (auto written = writeParam(param, layer, *tensor); !written)
            return written;
    return {};
  }

private:
  sm1rt::Expected<void> writeParam(size_t param, int64_t layer, const sm1rt::FileTensor &tensor) {
    if (auto finite = checkpoint.checkFinite(tensor, parallel); !finite)
      return finite;
    for (const PackedWeight &weight : plan.weights()) {
      if (weight.param != param)
        continue;
      packed.resize(*sm1rt::byteCount(weight.type));
      if (auto done = sm1rt::pack(tensor.type, tensor.data, weight.steps, packed.data(), packed.size(), parallel); !done)
        return checkpoint.error(tensor, "cannot be packed: " + done.error().message);
      if (auto written = writer.write(weightTensor(weight, layer), packed.data(), packed.size()); !written)
        return written;
    }
    return {};
  }

  const PlanBuilder &plan;
  const sm1rt::Checkpoint &checkpoint;
  sm1rt::SafetensorsWriter &writer;
  sm1rt::ParallelFor parallel;
  std::vector<uint8_t> packed;
};
} // namespace

Error sm1::writePackage(const std::string &path, const PlanBuilder &plan, const std::string &source, ArrayRef<TargetCode> code,
                        const sm1rt::Checkpoint *checkpoint) {
  std::map<std::string, std::string> metadata{
      {"sm1.format", std::to_string(SM1_FORMAT_VERSION)}, {"sm1.plan", formatv("{0}", plan.plan()).str()}, {"sm1.source", source}};
  auto writer = sm1rt::SafetensorsWriter::create(path, declareTensors(plan, code, checkpoint != nullptr), metadata,
                                                 {SM1_DATA_ALIGNMENT, SM1_TENSOR_ALIGNMENT});
  if (!writer)
    return toError(writer.error());
  for (const TargetCode &target : code)
    for (auto &[name, bytes] : codeTensors(target))
      if (auto written = writer->write(name, bytes.data(), bytes.size()); !written)
        return toError(written.error());
  if (checkpoint)
    if (auto written = WeightWriter(plan, *checkpoint, *writer).run(); !written)
      return toError(written.error());
  if (auto committed = writer->commit(); !committed)
    return toError(committed.error());
  return Error::success();
}

std::string sm1::describePackage(const PlanBuilder &plan, ArrayRef<TargetCode> code) {
  std::string text;
  raw_string_ostream stream(text);
  for (const sm1rt::TensorDeclaration &tensor : declareTensors(plan, code, /*withWeights=*/true))
    stream << tensor.name << "  " << sm1rt::toString(tensor.type) << "  " << *sm1rt::byteCount(tensor.type) << " bytes\n";
  stream << "\nplan:\n" << formatv("{0:2}", plan.plan()) << "\n";
  return text;
}
