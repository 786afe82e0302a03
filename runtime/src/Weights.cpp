// Binding weights: strict about what a checkpoint holds, one tensor at a time.
#include "Weights.h"

#include "Platform.h"
#include "sm1rt/PackageFormat.h"
#include "sm1rt/packing/Checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

namespace sm1rt {

//===-- Memory --------------------------------------------------------------------------------------------------------------===//

static uint64_t aligned(uint64_t bytes) { return (bytes + SM1_TENSOR_ALIGNMENT - 1) / SM1_TENSOR_ALIGNMENT * SM1_TENSOR_ALIGNMENT; }

/// The package's own bytes where the device can use them in place; null where they have to be copied.
static uint8_t *inPlace(const Package &package, Device &device, size_t weight, int64_t layer) {
  if (package.plan.weightsExternal)
    return nullptr;
  const uint8_t *data = package.weightData(weight, layer);
  auto buffer = device.borrow(data, *byteCount(package.plan.weights[weight].type));
  return buffer && reinterpret_cast<uintptr_t>(data) % SM1_TENSOR_ALIGNMENT == 0 ? buffer->address : nullptr;
}

/// Fills `addresses`, and `memory` for everything that cannot stay where it is.
Expected<void> Weights::allocate(const Package &package, Device &device) {
  uint64_t needed = 0;
  for (size_t i = 0; i < package.plan.weights.size(); ++i) {
    const PlanWeight &weight = package.plan.weights[i];
    addresses.emplace_back();
    for (int64_t layer = 0; layer < weight.copies(); ++layer) {
      addresses.back().push_back(inPlace(package, device, i, layer));
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

Expected<void> Weights::packCheckpoint(const Package &package, const std::string &params, Device &device) {
  const Plan &plan = package.plan;
  auto checkpoint = Checkpoint::open(params, plan.model, plan.params);
  if (!checkpoint)
    return checkpoint.error();
  ParallelFor parallel = threadedFor(0);
  for (size_t param = 0; param < plan.params.size(); ++param)
    for (int64_t layer = 0; layer < plan.params[param].copies(); ++layer)
      if (checkpoint->tensor(param, layer))
        if (auto packed = packTensor(plan, *checkpoint, param, layer, device, parallel); !packed)
          return packed;
  return {};
}

Expected<Weights> Weights::bind(const Package &package, const std::string &params, Device &device) {
  const Plan &plan = package.plan;
  bool needsCheckpoint = plan.weightsExternal && !plan.params.empty();
  if (needsCheckpoint && params.empty())
    return Error{fmt::format("{}: holds no weights; name a checkpoint with --params=DIR|FILE", package.file.path())};
  if (!plan.weightsExternal && !params.empty())
    return Error{fmt::format("{}: carries its own weights, '{}' would be ignored; drop --params", package.file.path(), params)};
  Weights weights;
  if (auto allocated = weights.allocate(package, device); !allocated)
    return allocated.error();
  if (needsCheckpoint) {
    if (auto packed = weights.packCheckpoint(package, params, device); !packed)
      return packed.error();
    return weights;
  }
  for (size_t i = 0; i < plan.weights.size() && !plan.weightsExternal; ++i)
    for (size_t layer = 0; layer < weights.addresses[i].size(); ++layer) {
      uint64_t bytes = *byteCount(plan.weights[i].type);
      const uint8_t *data = package.weightData(i, int64_t(layer));
      if (weights.addresses[i][layer] == data)
        continue;
      if (auto copied = device.upload({weights.addresses[i][layer], bytes, data, bytes, bytes, 1}); !copied)
        return copied.error();
    }
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
