// Executes packing steps. A tensor is walked step by step; rows only move a pointer, a cast directly before panels is done on the
// way, and the last step writes to its destination, so the usual lists (rows, cast, panels) need no memory of their own.
#include "sm1rt/Packing.h"

#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace sm1rt {

using Steps = std::vector<PackingStep>;

//===-- Types ---------------------------------------------------------------------------------------------------------------===//

static std::string describe(const PackingStep &step) {
  switch (step.kind) {
  case PackingStep::Kind::Rows:
    return fmt::format("rows {} to {}", step.begin, step.end);
  case PackingStep::Kind::Cast:
    return fmt::format("cast to {}", dtypeName(step.to));
  case PackingStep::Kind::ChannelsLast:
    return "channels_last";
  case PackingStep::Kind::Pad:
    return fmt::format("pad to {}", step.size);
  case PackingStep::Kind::Panels:
    return fmt::format("panels of {}", step.size);
  case PackingStep::Kind::Fragments:
    return "fragments";
  }
  return "unknown step";
}

std::string toJson(const Steps &steps) {
  std::string text = "[";
  for (const PackingStep &step : steps) {
    text += text.size() == 1 ? "" : ",";
    switch (step.kind) {
    case PackingStep::Kind::Rows:
      text += fmt::format(R"({{"op":"rows","begin":{},"end":{}}})", step.begin, step.end);
      break;
    case PackingStep::Kind::Cast: {
      std::string to = dtypeName(step.to);
      std::transform(to.begin(), to.end(), to.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
      text += fmt::format(R"({{"op":"cast","to":"{}"}})", to);
      break;
    }
    case PackingStep::Kind::ChannelsLast:
      text += R"({"op":"channels_last"})";
      break;
    case PackingStep::Kind::Pad:
      text += fmt::format(R"({{"op":"pad","to":{}}})", step.size);
      break;
    case PackingStep::Kind::Panels:
      text += fmt::format(R"({{"op":"panels","width":{}}})", step.size);
      break;
    case PackingStep::Kind::Fragments:
      text += R"({"op":"fragments"})";
      break;
    }
  }
  return text + "]";
}

/// Why `step` does not fit a tensor of `type`; nullptr when it does.
static const char *whyNotApply(const TensorType &type, const PackingStep &step) {
  const auto &shape = type.shape;
  switch (step.kind) {
  case PackingStep::Kind::Rows:
    return shape.empty()                                                     ? "a scalar has no rows"
           : step.begin < 0 || step.begin >= step.end || step.end > shape[0] ? "the range leaves the first dimension"
                                                                             : nullptr;
  case PackingStep::Kind::Cast:
    return isWeightDType(step.to) ? nullptr : "weights are F32, F16 or BF16";
  case PackingStep::Kind::ChannelsLast:
    return shape.empty() ? "a scalar has no channels" : nullptr;
  case PackingStep::Kind::Pad:
    return shape.empty()                                                 ? "a scalar has no last dimension"
           : step.size < shape.back()                                    ? "it would cut the last dimension"
           : step.size > std::max(2 * shape.back(), shape.back() + 4096) ? "it more than doubles the last dimension"
                                                                         : nullptr;
  case PackingStep::Kind::Panels:
    return shape.size() != 2 ? "panels need two dimensions" : step.size != 16 ? "panels are 16 wide" : nullptr;
  case PackingStep::Kind::Fragments:
    return shape.size() != 2             ? "fragments need two dimensions"
           : dtypeBytes(type.dtype) != 2 ? "fragments are of 16-bit numbers"
                                         : nullptr;
  }
  return "unknown step";
}

/// Type after a step that fits.
static TensorType applyToType(TensorType type, const PackingStep &step) {
  auto &shape = type.shape;
  switch (step.kind) {
  case PackingStep::Kind::Rows:
    shape[0] = step.end - step.begin;
    break;
  case PackingStep::Kind::Cast:
    type.dtype = step.to;
    break;
  case PackingStep::Kind::ChannelsLast:
    if (shape.size() > 1) {
      int64_t channels = shape[0], rest = 1;
      for (size_t i = 1; i < shape.size(); ++i)
        rest *= shape[i];
      shape = {rest, channels};
    }
    break;
  case PackingStep::Kind::Pad:
    shape.back() = step.size;
    break;
  case PackingStep::Kind::Panels:
    shape = {(shape[0] + step.size - 1) / step.size, shape[1], step.size};
    break;
  case PackingStep::Kind::Fragments:
    shape = {(shape[0] + 15) / 16, (shape[1] + 31) / 32 * 2, 32, 8};
    break;
  }
  return type;
}

Expected<TensorType> packedType(const TensorType &source, const Steps &steps) {
  TensorType type = source;
  if (!isWeightDType(source.dtype))
    return Error{fmt::format("{} cannot be packed, weights are F32, F16 or BF16", toString(source))};
  if (!byteCount(source))
    return Error{fmt::format("shape {} is too large", toString(source.shape))};
  for (const PackingStep &step : steps) {
    if (const char *why = whyNotApply(type, step))
      return Error{fmt::format("step '{}' does not fit {}: {}", describe(step), toString(type), why)};
    TensorType next = applyToType(type, step);
    if (!byteCount(next))
      return Error{fmt::format("step '{}' makes {} too large", describe(step), toString(type))};
    type = std::move(next);
  }
  return type;
}

//===-- Work ----------------------------------------------------------------------------------------------------------------===//

void serialFor(int64_t count, const std::function<void(int64_t, int64_t)> &body) {
  if (count > 0)
    body(0, count);
}

ParallelFor threadedFor(int threads) {
  int wanted = threads > 0 ? threads : availableCores();
  return [wanted](int64_t count, const std::function<void(int64_t, int64_t)> &body) {
    int64_t parts = std::min<int64_t>(wanted, count);
    std::vector<std::thread> others;
    for (int64_t part = 1; part < parts; ++part)
      others.emplace_back([&body, count, part, parts] { body(count * part / parts, count * (part + 1) / parts); });
    if (count > 0)
      body(0, count / parts);
    for (std::thread &other : others)
      other.join();
  };
}

/// [N, K] of `fromType` to [ceil(N/16), K, 16] of `toType`, panels [begin, end).
static void packPanels(const TensorType &from, const uint8_t *data, DType toType, uint8_t *out, int64_t begin, int64_t end) {
  constexpr int64_t width = 16, block = 256; // 16 rows of 256 elements: 16 KiB, half of a first-level cache
  int64_t rows = from.shape[0], columns = from.shape[1];
  uint64_t fromBytes = dtypeBytes(from.dtype), toBytes = dtypeBytes(toType);
  alignas(64) uint8_t lines[width * block * 4];
  auto interleave = [&](auto zero, uint8_t *target, int64_t part) {
    using Element = decltype(zero);
    const Element *source = reinterpret_cast<const Element *>(lines);
    Element column[width];
    for (int64_t k = 0; k < part; ++k, target += sizeof(column)) {
      for (int64_t row = 0; row < width; ++row)
        column[row] = source[row * block + k];
      std::memcpy(target, column, sizeof(column));
    }
  };
  for (int64_t panel = begin; panel < end; ++panel) {
    int64_t present = std::min(width, rows - panel * width);
    std::memset(lines, 0, sizeof(lines));
    for (int64_t k = 0; k < columns; k += block) {
      int64_t part = std::min(block, columns - k);
      for (int64_t row = 0; row < present; ++row)
        convertElements(from.dtype, data + uint64_t((panel * width + row) * columns + k) * fromBytes, toType,
                        lines + uint64_t(row * block) * toBytes, uint64_t(part));
      uint8_t *target = out + uint64_t((panel * columns + k) * width) * toBytes;
      if (toBytes == 4)
        interleave(uint32_t(0), target, part);
      else
        interleave(uint16_t(0), target, part);
    }
  }
}

/// [C, rest] to [rest, C].
static void transpose(const TensorType &type, const uint8_t *data, uint8_t *out) {
  uint64_t channels = uint64_t(type.shape[0]), element = dtypeBytes(type.dtype);
  uint64_t rest = *elementCount({type.shape.begin() + 1, type.shape.end()});
  for (uint64_t r = 0; r < rest; ++r)
    for (uint64_t c = 0; c < channels; ++c)
      std::memcpy(out + (r * channels + c) * element, data + (c * rest + r) * element, element);
}

/// Last dimension grows to `size` with zeros.
static void padRows(const TensorType &type, const uint8_t *data, int64_t size, uint8_t *out) {
  uint64_t element = dtypeBytes(type.dtype), width = uint64_t(type.shape.back()) * element, padded = uint64_t(size) * element;
  uint64_t rows = *elementCount({type.shape.begin(), type.shape.end() - 1});
  for (uint64_t row = 0; row < rows; ++row) {
    std::memcpy(out + row * padded, data + row * width, width);
    std::memset(out + row * padded + width, 0, padded - width);
  }
}

/// [N, K] of 16-bit numbers to [ceil(N/16), 2 ceil(K/32), 32, 8], panels [begin, end): for each tile of 16 rows by 16 k what the 32
/// lanes of a warp hold of it as the first operand of mma.m16n8k16. Lane 4g+t has rows g and g+8 at k 2t, 2t+1, then the same at k
/// 2t+8, 2t+9.
static void packFragments(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  int64_t rows = from.shape[0], columns = from.shape[1], tiles = (columns + 31) / 32 * 2;
  auto element = [&](int64_t row, int64_t k) {
    uint16_t value = 0;
    if (row < rows && k < columns)
      std::memcpy(&value, data + uint64_t(row * columns + k) * 2, 2);
    return value;
  };
  for (int64_t tile = begin * tiles; tile < end * tiles; ++tile)
    for (int64_t lane = 0; lane < 32; ++lane) {
      int64_t row = tile / tiles * 16 + lane / 4, k = tile % tiles * 16 + lane % 4 * 2;
      uint16_t eight[8];
      for (int64_t i = 0; i < 8; ++i)
        eight[i] = element(row + i / 2 % 2 * 8, k + i / 4 * 8 + i % 2);
      std::memcpy(out + uint64_t(tile * 32 + lane) * sizeof(eight), eight, sizeof(eight));
    }
}

/// One step from `data` of `type` to `out`; a following panels step makes a cast part of it.
static void executeStep(const TensorType &type, const uint8_t *data, const PackingStep &step, uint8_t *out,
                        const ParallelFor &parallel) {
  switch (step.kind) {
  case PackingStep::Kind::Cast: {
    uint64_t from = dtypeBytes(type.dtype), to = dtypeBytes(step.to);
    parallel(int64_t(*elementCount(type.shape)), [&](int64_t begin, int64_t end) {
      convertElements(type.dtype, data + uint64_t(begin) * from, step.to, out + uint64_t(begin) * to, uint64_t(end - begin));
    });
    break;
  }
  case PackingStep::Kind::ChannelsLast:
    transpose(type, data, out);
    break;
  case PackingStep::Kind::Pad:
    padRows(type, data, step.size, out);
    break;
  case PackingStep::Kind::Fragments:
    parallel((type.shape[0] + 15) / 16, [&](int64_t begin, int64_t end) { packFragments(type, data, out, begin, end); });
    break;
  case PackingStep::Kind::Rows:
  case PackingStep::Kind::Panels:
    break; // done by the caller
  }
}

namespace {
/// Where the walk over the steps stands.
struct Walk {
  TensorType type;
  const uint8_t *data;
  PageMemory memory; // behind `data` once a step needed some
};
} // namespace

/// Steps that change neither bytes nor order, on the tensor as it is now: true when nothing has to move.
static bool skipStep(Walk &walk, const PackingStep &step) {
  TensorType next = applyToType(walk.type, step);
  bool free = step.kind == PackingStep::Kind::Rows ||
              (step.kind == PackingStep::Kind::ChannelsLast && walk.type.shape.size() == 1) ||
              (step.kind != PackingStep::Kind::ChannelsLast && step.kind != PackingStep::Kind::Panels && next == walk.type);
  if (!free)
    return false;
  if (step.kind == PackingStep::Kind::Rows && walk.type.shape[0] > 0)
    walk.data += *byteCount(walk.type) / uint64_t(walk.type.shape[0]) * uint64_t(step.begin);
  walk.type = std::move(next);
  return true;
}

/// A finite weight must stay finite.
static Expected<void> checkRange(const TensorType &type, const void *out, const ParallelFor &parallel) {
  int64_t bad = firstNonFinite(type.dtype, out, *elementCount(type.shape), parallel);
  if (bad < 0)
    return {};
  return Error{fmt::format("a value is not finite as {} (element {} of the packed tensor); store weights as f32 or bf16",
                           dtypeName(type.dtype), bad)};
}

Expected<void> pack(const TensorType &source, const void *data, const Steps &steps, void *out, uint64_t outBytes,
                    const ParallelFor &parallel) {
  auto final = packedType(source, steps);
  if (!final)
    return final.error();
  if (*byteCount(*final) != outBytes)
    return Error{fmt::format("packed tensor {} takes {} bytes, {} were given", toString(*final), *byteCount(*final), outBytes)};
  Walk walk{source, static_cast<const uint8_t *>(data), {}};
  auto *target = static_cast<uint8_t *>(out);
  bool narrowed = false, inPlace = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    narrowed |= steps[i].kind == PackingStep::Kind::Cast && steps[i].to != walk.type.dtype;
    if (skipStep(walk, steps[i]))
      continue;
    bool castIntoPanels =
        steps[i].kind == PackingStep::Kind::Cast && i + 1 < steps.size() && steps[i + 1].kind == PackingStep::Kind::Panels;
    TensorType next = applyToType(walk.type, steps[i]);
    if (castIntoPanels)
      next = applyToType(next, steps[++i]);
    bool last = std::all_of(steps.begin() + int64_t(i) + 1, steps.end(), [&](const PackingStep &later) {
      return applyToType(next, later) == next && later.kind != PackingStep::Kind::ChannelsLast;
    });
    PageMemory memory;
    if (!last) {
      auto allocated = PageMemory::allocate(*byteCount(next));
      if (!allocated)
        return allocated.error();
      memory = std::move(*allocated);
    }
    uint8_t *to = last ? target : memory.data();
    if (steps[i].kind == PackingStep::Kind::Panels)
      parallel(next.shape[0], [&](int64_t begin, int64_t end) { packPanels(walk.type, walk.data, next.dtype, to, begin, end); });
    else
      executeStep(walk.type, walk.data, steps[i], to, parallel);
    walk.type = std::move(next);
    walk.data = to;
    walk.memory = std::move(memory);
    inPlace = last;
  }
  if (!inPlace && outBytes > 0)
    std::memcpy(target, walk.data, outBytes);
  return narrowed ? checkRange(*final, out, parallel) : Expected<void>();
}

} // namespace sm1rt
