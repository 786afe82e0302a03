// A model's packed weights in device memory: copied or taken from the package as they are, or packed from a checkpoint.
#ifndef SM1RT_SRC_WEIGHTS_H
#define SM1RT_SRC_WEIGHTS_H

#include "Device.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

class Weights {
public:
  /// `params` is the checkpoint (a folder with model.safetensors, or a file) of an external package, empty for a self-contained
  /// one. The checkpoint must hold exactly the plan's params, all finite. `package` and `device` must outlive the weights.
  /// `warnOfFp8`, where there is one, is told of a checkpoint's norms that suit no rows of e4m3.
  using Warn = std::function<void(std::string_view)>;
  static Expected<Weights> bind(const Package &package, const std::string &params, Device &device, const Warn &warnOfFp8);

  /// Device address; `layer` is ignored for a weight without layers.
  uint8_t *address(size_t weight, int64_t layer) const {
    const auto &layers = addresses[weight];
    return layers.size() == 1 ? layers[0] : layers[size_t(layer)];
  }

  /// That of a launch in `layer`; -1: before the layers.
  uint8_t *address(const PlanArg &arg, int64_t layer) const {
    if (!arg.next)
      return address(arg.index, layer);
    int64_t next = layer + 1, count = int64_t(addresses[arg.index].size());
    return next == count && arg.last ? address(*arg.last, 0) : address(arg.index, std::min(next, count - 1));
  }

  /// A hash of all packed bytes: tells two trainings of one model apart. Reads everything, about 0.2 s per GB.
  Expected<uint64_t> hash(const Plan &plan, Device &device) const;

private:
  Expected<void> allocate(const Package &package, Device &device);
  Expected<void> packTensor(const Plan &plan, const Checkpoint &checkpoint, size_t param, int64_t layer, Device &device,
                            const ParallelFor &parallel);
  Expected<void> packCheckpoint(const Package &package, const std::string &params, Device &device, const Warn &warnOfFp8);
  Expected<void> copyPackage(const Package &package, Device &device);

  std::vector<std::vector<uint8_t *>> addresses; // [weight][layer]
  std::unique_ptr<DeviceBuffer> memory;          // all that had to be copied or packed
};

} // namespace sm1rt

#endif // SM1RT_SRC_WEIGHTS_H
