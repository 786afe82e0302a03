// What a machine can do at best, measured in this process in turns with the model: moving memory and multiplying, on a CPU or a
// GPU.
#ifndef SM1_BENCH_CEILINGS_H
#define SM1_BENCH_CEILINGS_H

#include "GpuMachine.h"
#include "Memory.h"
#include "Peaks.h"
#include "Samples.h"

#include <functional>
#include <optional>
#include <vector>

/// One figure of a machine: bytes a second of a mix of streams, or operations or launches a second.
struct Ceiling {
  std::string name;
  const char *unit; ///< "bytes", "operations" or "launches"
  int threads;      ///< of a CPU; 0: of a GPU
  std::string mix;  ///< of memory: "read", or bytes read for bytes written, "5:1"
  Samples perSecond;
};

/// Ceilings that somebody has asked for. Each is measured once in every turn.
class Ceilings {
public:
  /// Of the CPU's. `weightBytes` are those of the model. Memory is measured over as many, or over 512 MB where that is so little
  /// that a cache could hold it; `threads` are the most that will be asked for.
  sm1rt::Expected<void> openCpu(double weightBytes, int threads);
  void openGpu(std::unique_ptr<GpuMachine> machine) { gpuMachine = std::move(machine); }

  /// Index of a ceiling of the CPU or the GPU, which has to be open; measured from then on.
  size_t memory(StreamMix mix, int threads);
  size_t arithmetic(Peak peak, int threads);
  size_t ofGpu(GpuRate rate);

  /// Measures each once; figures count only when `keep`.
  sm1rt::Expected<void> measure(bool keep);

  const std::vector<Ceiling> &all() const { return ceilings; }
  bool hasCpu() const { return cpuMemory.has_value(); }
  GpuMachine *gpu() const { return gpuMachine.get(); } ///< null: not open
  /// Memory that a CPU's, or else a GPU's, are measured over.
  double memoryBytes() const { return cpuMemory ? double(cpuMemory->size()) : gpuMachine ? gpuMachine->memoryBytes() : 0; }
  bool hugePages() const { return cpuMemory && cpuMemory->hugePages(); }

private:
  size_t add(Ceiling ceiling, std::function<sm1rt::Expected<double>()> measure);

  std::optional<MemoryCeiling> cpuMemory;
  std::unique_ptr<GpuMachine> gpuMachine;
  std::vector<Ceiling> ceilings;
  std::vector<std::function<sm1rt::Expected<double>()>> measures; // of each
};

/// Bytes of the largest cache that the system tells of; 0 when it does not.
double lastLevelCacheBytes();

#endif // SM1_BENCH_CEILINGS_H
