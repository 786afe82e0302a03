// Executes packing steps. A tensor is walked step by step; rows only move a pointer, a cast directly before panels is done on the
// way, and the last step writes to its destination, so the usual lists (rows, cast, panels) need no memory of their own.
#include "Parts.h"

#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace sm1rt {

using Steps = std::vector<PackingStep>;
using Kind = PackingStep::Kind;

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

/// One step from `data` of `type` to `out` of `next`, which is the type after a cast and panels where a cast is followed by those.
static Expected<void> executeStep(const TensorType &type, const uint8_t *data, const PackingStep &step, const TensorType &next,
                                  uint8_t *out, const ParallelFor &parallel) {
  auto eachPanel = [&](auto packSome) {
    parallel(next.shape[0], [&](int64_t begin, int64_t end) { packSome(type, data, out, begin, end); });
  };
  switch (step.kind) {
  case Kind::Cast: {
    uint64_t from = dtypeBytes(type.dtype), to = dtypeBytes(step.to);
    parallel(int64_t(*elementCount(type.shape)), [&](int64_t begin, int64_t end) {
      convertElements(type.dtype, data + uint64_t(begin) * from, step.to, out + uint64_t(begin) * to, uint64_t(end - begin));
    });
    break;
  }
  case Kind::ChannelsLast:
    transpose(type, data, out);
    break;
  case Kind::Pad:
    padRows(type, data, step.size, out);
    break;
  case Kind::Fragments:
    eachPanel(packFragments);
    break;
  case Kind::Images:
    eachPanel(packImages); // the first dimension is of lines
    break;
  case Kind::Stages:
    eachPanel(packStages); // the first dimension is of steps
    break;
  case Kind::Pairs:
  case Kind::Quads:
    eachPanel(packWords);
    break;
  case Kind::Nibbles:
    eachPanel(packNibbles);
    break;
  case Kind::Coarsen:
  case Kind::E4m3:
  case Kind::Quantise:
  case Kind::Scales:
    return quantise(type, data, step, out, parallel);
  case Kind::Panels:
    parallel(next.shape[0], [&](int64_t begin, int64_t end) { packPanels(type, data, next.dtype, out, begin, end); });
    break;
  case Kind::Rows:
    break; // never has to move
  }
  return {};
}

namespace {
/// Where the walk over the steps stands.
struct Walk {
  TensorType type;
  const uint8_t *data;
  PageMemory memory; // behind `data` once a step needed some
};
} // namespace

/// Whether a step leaves bytes and their order as they are; rows may still leave some of them out.
static bool movesNothing(const TensorType &type, const PackingStep &step) {
  switch (step.kind) {
  case Kind::Rows:
    return true;
  case Kind::ChannelsLast:
    return type.shape.size() == 1;
  case Kind::Cast:
  case Kind::Pad:
    return typeAfter(type, step) == type;
  default:
    return false;
  }
}

/// True when nothing had to move.
static bool skipStep(Walk &walk, const PackingStep &step) {
  if (!movesNothing(walk.type, step))
    return false;
  if (step.kind == Kind::Rows && walk.type.shape[0] > 0)
    walk.data += *byteCount(walk.type) / uint64_t(walk.type.shape[0]) * uint64_t(step.begin);
  walk.type = typeAfter(walk.type, step);
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
    narrowed |= steps[i].kind == Kind::Cast && steps[i].to != walk.type.dtype;
    if (skipStep(walk, steps[i]))
      continue;
    TensorType next = typeAfter(walk.type, steps[i]);
    if (steps[i].kind == Kind::Cast && i + 1 < steps.size() && steps[i + 1].kind == Kind::Panels)
      next = typeAfter(next, steps[++i]);
    bool last = std::all_of(steps.begin() + int64_t(i) + 1, steps.end(),
                            [&](const PackingStep &later) { return movesNothing(next, later) && typeAfter(next, later) == next; });
    PageMemory memory;
    if (!last) {
      auto allocated = PageMemory::allocate(*byteCount(next));
      if (!allocated)
        return allocated.error();
      memory = std::move(*allocated);
    }
    uint8_t *to = last ? target : memory.data();
    if (auto done = executeStep(walk.type, walk.data, steps[i], next, to, parallel); !done)
      return done;
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
