// What NVIDIA's management library tells of a GPU's energy, where the machine has that library.
#ifndef SM1_BENCH_NVML_H
#define SM1_BENCH_NVML_H

#include "sm1rt/Error.h"

#include <string>

/// The energy counter of one GPU. The library is loaded at run time; its few functions are declared as its ABI has them.
class EnergyCounter {
public:
  /// Of the GPU at `busId`, "0000:1B:00.0". The error says what is missing: the library (SM1_NVML names another), the counter.
  static sm1rt::Expected<EnergyCounter> open(const std::string &busId);

  /// Joules since some moment in the past. GPUs update it some ten times a second.
  sm1rt::Expected<double> joules() const;

private:
  using Device = struct nvmlDevice_st *;
  using TotalEnergy = int (*)(Device, unsigned long long *);
  EnergyCounter(std::string library, Device device, TotalEnergy total)
      : library(std::move(library)), device(device), total(total) {}

  std::string library;
  Device device;
  TotalEnergy total;
};

#endif // SM1_BENCH_NVML_H
