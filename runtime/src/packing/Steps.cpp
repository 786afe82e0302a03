// What packing steps mean for types: their spelling in a plan, which of them fits which tensor, and the type that they give.
#include "Parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace sm1rt {

using Steps = std::vector<PackingStep>;
using Kind = PackingStep::Kind;

static std::string_view nameOf(const PackingStep &step) { return packingStepNames[static_cast<size_t>(step.kind)]; }

static std::string describe(const PackingStep &step) {
  switch (step.kind) {
  case Kind::Rows:
    return fmt::format("rows {} to {}", step.begin, step.end);
  case Kind::Cast:
    return fmt::format("cast to {}", dtypeName(step.to));
  case Kind::Pad:
    return fmt::format("pad to {}", step.size);
  case Kind::Panels:
    return fmt::format("panels of {}", step.size);
  case Kind::Scales:
    return fmt::format("scales of {} bits", step.bits);
  case Kind::Quantise:
  case Kind::Coarsen:
    return fmt::format("{} to {} bits", nameOf(step), step.bits);
  default:
    return std::string(nameOf(step));
  }
}

/// The fields of a step in a plan, behind its name.
static std::string fieldsOf(const PackingStep &step) {
  switch (step.kind) {
  case Kind::Rows:
    return fmt::format(R"(,"begin":{},"end":{})", step.begin, step.end);
  case Kind::Cast:
    return fmt::format(R"(,"to":"{}")", dtypePlanName(step.to));
  case Kind::Pad:
    return fmt::format(R"(,"to":{})", step.size);
  case Kind::Panels:
    return fmt::format(R"(,"width":{})", step.size);
  default:
    return step.isOfQuantised()
               ? fmt::format(R"(,"bits":{},"group":{},"scale":"{}")", step.bits, step.group, dtypePlanName(step.to))
               : "";
  }
}

std::string toJson(const Steps &steps) {
  std::string text = "[";
  for (const PackingStep &step : steps)
    text += fmt::format(R"({}{{"op":"{}"{}}})", text.size() == 1 ? "" : ",", nameOf(step), fieldsOf(step));
  return text + "]";
}

static const char *whyNotQuantise(const TensorType &type, const PackingStep &step) {
  return type.shape.size() != 2 || type.shape[1] == 0     ? "only a matrix is quantised"
         : !isWeightDType(type.dtype)                     ? "it holds integers already"
         : step.bits != 8 && step.bits != 4               ? "integers have 8 or 4 bits"
         : step.group < 0                                 ? "a group has at least one column"
         : step.to != DType::F32 && step.to != DType::F16 ? "scales are F32 or F16"
                                                          : nullptr;
}

static bool isOfTensorCores(DType dtype) { return dtypeBytes(dtype) == 2 || dtype == DType::F8E4M3; }

/// Why `step` does not fit a tensor of `type`, integers of `bits` bits if I8; nullptr when it does.
static const char *whyNotApply(const TensorType &type, int64_t bits, const PackingStep &step) {
  const auto &shape = type.shape;
  switch (step.kind) {
  case Kind::Rows:
    return shape.empty()                                                     ? "a scalar has no rows"
           : step.begin < 0 || step.begin >= step.end || step.end > shape[0] ? "the range leaves the first dimension"
                                                                             : nullptr;
  case Kind::Cast:
    return isWeightDType(step.to) && isWeightDType(type.dtype) ? nullptr : "weights are F32, F16 or BF16";
  case Kind::ChannelsLast:
    return shape.empty() ? "a scalar has no channels" : nullptr;
  case Kind::Pad:
    return shape.empty()                                                 ? "a scalar has no last dimension"
           : type.dtype == DType::U8                                     ? "a layout of integers is padded already"
           : step.size < shape.back()                                    ? "it would cut the last dimension"
           : step.size > std::max(2 * shape.back(), shape.back() + 4096) ? "it more than doubles the last dimension"
                                                                         : nullptr;
  case Kind::Panels:
    return shape.size() != 2            ? "panels need two dimensions"
           : step.size != 16            ? "panels are 16 wide"
           : !isWeightDType(type.dtype) ? "panels are of F32, F16 or BF16"
                                        : nullptr;
  case Kind::Fragments:
    return shape.size() != 2             ? "fragments need two dimensions"
           : isOfTensorCores(type.dtype) ? nullptr
                                         : "fragments are of 16-bit numbers or F8_E4M3";
  case Kind::Images:
    return shape.size() != 2             ? "images need two dimensions"
           : isOfTensorCores(type.dtype) ? nullptr
                                         : "images are of 16-bit numbers or F8_E4M3";
  case Kind::Stages:
    return shape.size() != 2             ? "stages need two dimensions"
           : isOfTensorCores(type.dtype) ? nullptr
                                         : "stages are of 16-bit numbers or F8_E4M3";
  case Kind::Pairs:
    return shape.size() != 2 ? "pairs need two dimensions" : dtypeBytes(type.dtype) != 2 ? "pairs are of 16-bit numbers" : nullptr;
  case Kind::Quantise:
  case Kind::Scales:
  case Kind::Coarsen:
    return whyNotQuantise(type, step);
  case Kind::E4m3:
    return step.bits != 8 ? "it takes the place of 8 bits" : whyNotQuantise(type, step);
  case Kind::Quads:
    return shape.size() != 2 || type.dtype != DType::I8 ? "quads are of a quantised matrix" : nullptr;
  case Kind::Nibbles:
    return shape.size() != 2 || type.dtype != DType::I8 || bits != 4 ? "nibbles are of a matrix quantised to 4 bits" : nullptr;
  }
  return "unknown step";
}

/// Tiles of 16 rows by 32 bytes in pairs; a lane has 16 bytes.
static std::vector<int64_t> fragmentsOf(const TensorType &type) {
  int64_t bytes = int64_t(dtypeBytes(type.dtype));
  return {(type.shape[0] + 15) / 16, (type.shape[1] * bytes + 63) / 64 * 2, 32, 16 / bytes};
}

/// Lines of 64 bytes.
static std::vector<int64_t> imagesOf(const TensorType &type) {
  int64_t width = 64 / int64_t(dtypeBytes(type.dtype));
  return {(type.shape[1] + width - 1) / width, (type.shape[0] + 15) / 16, 16, width};
}

/// Steps of 128 bytes of k; of a panel four fragments and half a line of zeros.
static std::vector<int64_t> stagesOf(const TensorType &type) {
  int64_t bytes = int64_t(dtypeBytes(type.dtype));
  return {(type.shape[1] * bytes + 127) / 128, (type.shape[0] + 127) / 128 * 8, (4 * 512 + 64) / bytes};
}

TensorType typeAfter(TensorType type, const PackingStep &step) {
  auto &shape = type.shape;
  switch (step.kind) {
  case Kind::Rows:
    shape[0] = step.end - step.begin;
    break;
  case Kind::Cast:
    type.dtype = step.to;
    break;
  case Kind::ChannelsLast:
    if (shape.size() > 1) {
      int64_t channels = shape[0], rest = 1;
      for (size_t i = 1; i < shape.size(); ++i)
        rest *= shape[i];
      shape = {rest, channels};
    }
    break;
  case Kind::Pad:
    shape.back() = step.size;
    break;
  case Kind::Panels:
    shape = {(shape[0] + step.size - 1) / step.size, shape[1], step.size};
    break;
  case Kind::Fragments:
    shape = fragmentsOf(type);
    break;
  case Kind::Images:
    shape = imagesOf(type);
    break;
  case Kind::Stages:
    shape = stagesOf(type);
    break;
  case Kind::Pairs:
    shape = {(shape[0] + 15) / 16, (shape[1] + 1) / 2, 16, 2};
    break;
  case Kind::Quantise:
    type.dtype = DType::I8;
    break;
  case Kind::Coarsen:
    type.dtype = DType::BF16;
    break;
  case Kind::E4m3:
    type.dtype = DType::F8E4M3;
    break;
  case Kind::Scales:
    type.dtype = step.to;
    shape[1] = step.group ? (shape[1] - 1) / step.group + 1 : 1;
    break;
  case Kind::Quads:
    type = {DType::U8, {(shape[0] + 15) / 16, (shape[1] + 3) / 4, 16, 4}};
    break;
  case Kind::Nibbles:
    type = {DType::U8, {(shape[0] + 15) / 16, (shape[1] + 31) / 32, 4, 16, 4}};
    break;
  }
  return type;
}

Expected<TensorType> packedType(const TensorType &source, const Steps &steps) {
  TensorType type = source;
  int64_t bits = 0;
  if (!isWeightDType(source.dtype))
    return Error{fmt::format("{} cannot be packed, weights are F32, F16 or BF16", toString(source))};
  if (!byteCount(source))
    return Error{fmt::format("shape {} is too large", toString(source.shape))};
  for (const PackingStep &step : steps) {
    if (const char *why = whyNotApply(type, bits, step))
      return Error{fmt::format("step '{}' does not fit {}: {}", describe(step), toString(type), why)};
    TensorType next = typeAfter(type, step);
    if (!byteCount(next))
      return Error{fmt::format("step '{}' makes {} too large", describe(step), toString(type))};
    type = std::move(next);
    bits = step.kind == Kind::Quantise ? step.bits : bits;
  }
  return type;
}

} // namespace sm1rt
