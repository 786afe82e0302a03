// Binding weights: strict about what a checkpoint holds, one tensor at a time.
#include "Weights.h"

#include "Platform.h"
#include "sm1rt/PackageFormat.h"
#include "sm1rt/packing/Checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sm1rt {

//===-- Memory --------------------------------------------------------------------------------------------------------------===//

static uint64_t aligned(uint64_t bytes) { return (bytes + SM1_TENSOR_ALIGNMENT - 1) / SM1_TENSOR_ALIGNMENT * SM1_TENSOR_ALIGNMENT; }

/// From so many bytes on, weights are better off in memory of their own, where pages are huge whatever the file system does: a
/// decode step of the 130M configuration is some 7 % faster, for 0.1 s a quarter of a gigabyte when the model is opened.
static constexpr uint64_t bytesWorthCopying = 2 << 20;
/// What one thread copies at a time. The file's pages leave memory in such parts, too, so that no weight is there twice.
static constexpr uint64_t copyBytes = 4 << 20;

static uint64_t packedBytes(const Plan &plan) {
  uint64_t bytes = 0;
  for (const PlanWeight &weight : plan.weights)
    bytes += uint64_t(weight.copies()) * *byteCount(weight.type);
  return bytes;
}

/// The package's own bytes where the device can use them in place; null where they have to be copied.
static uint8_t *inPlace(const Package &package, Device &device, size_t weight, int64_t layer) {
  const uint8_t *data = package.weightData(weight, layer);
  auto buffer = device.borrow(data, *byteCount(package.plan.weights[weight].type));
  return buffer && reinterpret_cast<uintptr_t>(data) % SM1_TENSOR_ALIGNMENT == 0 ? buffer->address : nullptr;
}

/// Fills `addresses`, and `memory` for everything that cannot stay where it is.
Expected<void> Weights::allocate(const Package &package, Device &device) {
  uint64_t needed = 0;
  bool copies = package.plan.weightsExternal || packedBytes(package.plan) >= bytesWorthCopying;
  for (size_t i = 0; i < package.plan.weights.size(); ++i) {
    const PlanWeight &weight = package.plan.weights[i];
    addresses.emplace_back();
    for (int64_t layer = 0; layer < weight.copies(); ++layer) {
      addresses.back().push_back(copies ? nullptr : inPlace(package, device, i, layer));
      needed += addresses.back().back() ? 0 : aligned(*byteCount(weight.type));
    }
  }
  auto allocated = device.allocate(needed);
  if (!allocated)
    return allocated.error().in("weights");
  memory = std::move(*allocated);
  uint64_t offset = 0;
  for (size_t i = 0; i < addresses.size(); ++i)
    for (uint8_t *&address : addresses[i])
      if (!address) {
        address = memory->address + offset;
        offset += aligned(*byteCount(package.plan.weights[i].type));
      }
  return {};
}

//===-- Binding -------------------------------------------------------------------------------------------------------------===//

/// Packs one tensor into device memory at `to`: directly where the host reaches it, else by way of host memory.
static Expected<void> packInto(const FileTensor &tensor, const PlanWeight &weight, uint8_t *to, uint8_t *hostTo, Device &device,
                               const ParallelFor &parallel) {
  uint64_t bytes = *byteCount(weight.type);
  if (hostTo)
    return pack(tensor.type, tensor.data, weight.steps, hostTo, bytes, parallel);
  auto staging = PageMemory::allocate(bytes);
  if (!staging)
    return staging.error();
  if (auto packed = pack(tensor.type, tensor.data, weight.steps, staging->data(), bytes, parallel); !packed)
    return packed;
  return device.upload({to, bytes, staging->data(), bytes, bytes, 1});
}

/// Packs one tensor of the checkpoint into every weight that is made of it.
Expected<void> Weights::packTensor(const Plan &plan, const Checkpoint &checkpoint, size_t param, int64_t layer, Device &device,
                                   const ParallelFor &parallel) {
  const FileTensor &tensor = *checkpoint.tensor(param, layer);
  if (auto finite = checkpoint.checkFinite(tensor, parallel); !finite)
    return finite;
  uint8_t *host = device.hostAddress(*memory);
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    const PlanWeight &weight = plan.weights[i];
    if (weight.param != param)
      continue;
    auto type = packedType(tensor.type, weight.steps);
    if (!type || *type != weight.type)
      return checkpoint.error(tensor, fmt::format("is {}, the package was built for {}; recompile it for this checkpoint",
                                                  dtypeName(tensor.type.dtype), dtypeName(weight.type.dtype)));
    uint8_t *to = addresses[i][size_t(layer)];
    uint8_t *hostTo = host ? host + (to - memory->address) : nullptr;
    if (auto packed = packInto(tensor, weight, to, hostTo, device, parallel); !packed)
      return checkpoint.error(tensor, fmt::format("cannot be packed: {}", packed.error().message));
  }
  return {};
}

Expected<void> Weights::packCheckpoint(const Package &package, const std::string &params, Device &device, const Warn &warnOfFp8) {
  const Plan &plan = package.plan;
  auto checkpoint = Checkpoint::open(params, plan.model, plan.params);
  if (!checkpoint)
    return checkpoint.error();
  if (std::string warning = warnOfFp8 ? checkpoint->fp8Warning(plan.params) : ""; !warning.empty())
    warnOfFp8(warning);
  ParallelFor parallel = threadedFor(0);
  for (size_t param = 0; param < plan.params.size(); ++param)
    for (int64_t layer = 0; layer < plan.params[param].copies(); ++layer)
      if (checkpoint->tensor(param, layer))
        if (auto packed = packTensor(plan, *checkpoint, param, layer, device, parallel); !packed)
          return packed;
  return {};
}

/// Weights that do not stay in the package: by all cores where the host reaches the memory, else one after the other.
Expected<void> Weights::copyPackage(const Package &package, Device &device) {
  std::vector<StridedCopy> parts;
  for (size_t i = 0; i < addresses.size(); ++i)
    for (size_t layer = 0; layer < addresses[i].size(); ++layer) {
      const uint8_t *data = package.weightData(i, int64_t(layer));
      uint64_t bytes = addresses[i][layer] == data ? 0 : *byteCount(package.plan.weights[i].type);
      for (uint64_t offset = 0; offset < bytes; offset += copyBytes) {
        uint64_t width = std::min(copyBytes, bytes - offset);
        parts.push_back({addresses[i][layer] + offset, width, data + offset, width, width, 1});
      }
    }
  uint8_t *host = device.hostAddress(*memory);
  if (host)
    threadedFor(0)(int64_t(parts.size()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const StridedCopy &part = parts[size_t(i)];
        std::memcpy(host + (part.to - memory->address), part.from, part.width);
        forgetFilePages(part.from, part.width);
      }
    });
  for (size_t i = 0; i < parts.size() && !host; ++i)
    if (auto copied = device.upload(parts[i]); !copied)
      return copied;
  // Reading a page brings in its neighbours.
  for (const StridedCopy &part : parts)
    forgetFilePages(part.from, part.width);
  return {};
}

Expected<Weights> Weights::bind(const Package &package, const std::string &params, Device &device, const Warn &warnOfFp8) {
  const Plan &plan = package.plan;
  bool needsCheckpoint = plan.weightsExternal && !plan.params.empty();
  if (needsCheckpoint && params.empty())
    return Error{fmt::format("{}: holds no weights; name a checkpoint with --params=DIR|FILE", package.file.path())};
  if (!plan.weightsExternal && !params.empty())
    return Error{fmt::format("{}: carries its own weights, '{}' would be ignored; drop --params", package.file.path(), params)};
  Weights weights;
  if (auto allocated = weights.allocate(package, device); !allocated)
    return allocated.error();
  auto filled = needsCheckpoint        ? weights.packCheckpoint(package, params, device, warnOfFp8)
                : plan.weightsExternal ? Expected<void>()
                                       : weights.copyPackage(package, device);
  if (!filled)
    return filled.error();
  return weights;
}

//===-- Hash ----------------------------------------------------------------------------------------------------------------===//

/// FNV-1a over words of 8 bytes, the last one filled with zeros: eight times as fast as over bytes.
static uint64_t hashWords(const std::vector<uint64_t> &words, uint64_t count, uint64_t seed) {
  for (uint64_t i = 0; i < count; ++i)
    seed = (seed ^ words[i]) * 0x100000001b3ull;
  return seed;
}

Expected<uint64_t> Weights::hash(const Plan &plan, Device &device) const {
  std::vector<uint64_t> words(1 << 17);
  uint64_t seed = fnv1a(nullptr, 0);
  for (size_t i = 0; i < addresses.size(); ++i)
    for (const uint8_t *address : addresses[i]) {
      uint64_t bytes = *byteCount(plan.weights[i].type), part = words.size() * 8;
      for (uint64_t offset = 0; offset < bytes; offset += part) {
        uint64_t width = std::min(part, bytes - offset);
        words[(width - 1) / 8] = 0;
        if (auto read = device.download({reinterpret_cast<uint8_t *>(words.data()), width, address + offset, width, width, 1});
            !read)
          return read.error();
        seed = hashWords(words, (width + 7) / 8, seed);
      }
    }
  return seed;
}

} // namespace sm1rt
