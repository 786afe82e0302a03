// Strict about what a checkpoint holds: every tensor is one of the model's, every one of the model's is there.
#include "sm1rt/packing/Checkpoint.h"

#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>

namespace sm1rt {

std::string CheckpointParam::tensorName(int64_t layer) const {
  size_t place = name.find("{i}");
  if (count == 0 || place == std::string::npos)
    return name;
  return name.substr(0, place) + std::to_string(layer) + name.substr(place + 3);
}

/// The tensor of one layer of a param; nullptr for an optional one that is not there.
static Expected<const FileTensor *> findParam(const SafetensorsFile &file, const std::string &model, const CheckpointParam &param,
                                              int64_t layer) {
  std::string name = param.tensorName(layer);
  const FileTensor *tensor = file.find(name);
  if (!tensor && param.equals >= 0)
    return tensor;
  if (!tensor)
    return Error{fmt::format("{}: tensor '{}' is missing, model '{}' needs it with shape {}", file.path(), name, model,
                             toString(param.shape))};
  if (tensor->type.shape != param.shape)
    return Error{fmt::format("{}: tensor '{}' has shape {}, model '{}' needs {}; take this model's checkpoint, or mend the sizes "
                             "of its description (config.json)",
                             file.path(), name, toString(tensor->type.shape), model, toString(param.shape))};
  if (!isWeightDType(tensor->type.dtype))
    return Error{fmt::format("{}: tensor '{}' is {}, weights are F32, F16 or BF16", file.path(), name, toString(tensor->type))};
  return tensor;
}

Expected<Checkpoint> Checkpoint::open(const std::string &path, const std::string &model,
                                      const std::vector<CheckpointParam> &params) {
  auto file = SafetensorsFile::open(isDirectory(path) ? path + "/model.safetensors" : path);
  if (!file)
    return file.error();
  Checkpoint checkpoint(std::move(*file));
  for (const CheckpointParam &param : params) {
    std::vector<const FileTensor *> layers;
    for (int64_t layer = 0; layer < param.copies(); ++layer) {
      auto tensor = findParam(checkpoint.file, model, param, layer);
      if (!tensor)
        return tensor.error();
      layers.push_back(*tensor);
    }
    checkpoint.tensors.push_back(std::move(layers));
  }
  if (auto left = checkpoint.checkNothingLeft(model); !left)
    return left.error();
  if (auto tied = checkpoint.checkTied(params, model); !tied)
    return tied.error();
  return checkpoint;
}

Expected<void> Checkpoint::checkNothingLeft(const std::string &model) const {
  std::unordered_set<const FileTensor *> used;
  for (const auto &layers : tensors)
    used.insert(layers.begin(), layers.end());
  for (const FileTensor &tensor : file.tensors())
    if (!used.count(&tensor))
      return error(tensor, fmt::format("is not part of model '{}'; convert the checkpoint, remove the tensor, or mend the "
                                       "sizes of the model's description (config.json)",
                                       model));
  return {};
}

/// The optional params that repeat others, e.g. a tied head.
Expected<void> Checkpoint::checkTied(const std::vector<CheckpointParam> &params, const std::string &model) const {
  for (size_t i = 0; i < params.size(); ++i)
    for (size_t layer = 0; params[i].equals >= 0 && layer < tensors[i].size(); ++layer) {
      const FileTensor *tensor = tensors[i][layer], *other = tensors[size_t(params[i].equals)][layer];
      if (tensor && (tensor->type != other->type || std::memcmp(tensor->data, other->data, tensor->bytes) != 0))
        return error(*tensor, fmt::format("differs from '{}', model '{}' uses that one for both", other->name, model));
    }
  return {};
}

const FileTensor *Checkpoint::tensor(size_t param, int64_t layer) const { return tensors[param][size_t(layer)]; }

Expected<void> Checkpoint::checkFinite(const FileTensor &tensor, const ParallelFor &parallel) const {
  int64_t bad = firstNonFinite(tensor.type.dtype, tensor.data, *elementCount(tensor.type.shape), parallel);
  if (bad >= 0)
    return error(tensor, fmt::format("is not finite at element {}", bad));
  return {};
}

/// Numbers of a row are about as large as its norm's weights. Those below 2^-6 have fewer than three bits in e4m3, and 448 is the
/// largest: one in 10^13 of a normal distribution lies beyond 7.5 times 60.
static constexpr float leastOfNorm = 0.02f, mostOfNorm = 60;

namespace {
/// Magnitudes of a norm's weights outside; 0 loses nothing.
struct NormOutside {
  int64_t count = 0;
  float least = 0, most = 0;
};
} // namespace

static NormOutside outsideOf(const FileTensor &tensor) {
  std::vector<float> values(*elementCount(tensor.type.shape));
  convertElements(tensor.type.dtype, tensor.data, DType::F32, values.data(), values.size());
  NormOutside outside;
  for (float value : values) {
    float magnitude = std::fabs(value);
    if (magnitude == 0 || (magnitude >= leastOfNorm && magnitude <= mostOfNorm))
      continue;
    outside.least = outside.count ? std::min(outside.least, magnitude) : magnitude;
    outside.most = std::max(outside.most, magnitude);
    ++outside.count;
  }
  return outside;
}

std::string Checkpoint::fp8Warning(const std::vector<CheckpointParam> &params) const {
  const FileTensor *worst = nullptr;
  NormOutside ofWorst;
  int64_t norms = 0;
  for (size_t param = 0; param < params.size(); ++param)
    for (const FileTensor *tensor : tensors[param]) {
      NormOutside outside = tensor && params[param].fp8Rows ? outsideOf(*tensor) : NormOutside();
      norms += outside.count > 0;
      if (outside.count > ofWorst.count)
        worst = tensor, ofWorst = outside;
    }
  if (!worst)
    return "";
  std::string others = norms > 1 ? fmt::format(", and some of {} other norm{}'", norms - 1, norms > 2 ? "s" : "") : "";
  return error(*worst,
               fmt::format("has {} of {} weights outside {} to {} ({:.3g} to {:.3g}){}: rows of e4m3 have no scale, so numbers "
                           "below 0.016 lose bits and 448 is the largest; --compute=bf16 keeps them",
                           ofWorst.count, *elementCount(worst->type.shape), leastOfNorm, mostOfNorm, ofWorst.least, ofWorst.most,
                           others))
      .message;
}

Error Checkpoint::error(const FileTensor &tensor, const std::string &what) const {
  return {fmt::format("{}: tensor '{}' {}", file.path(), tensor.name, what)};
}

} // namespace sm1rt
