// The CPU as a device: host memory, a thread pool, and launches cut into tasks.
#ifndef SM1RT_SRC_CPU_CPUDEVICE_H
#define SM1RT_SRC_CPU_CPUDEVICE_H

#include "../Device.h"

#include "sm1rt/packing/Tasks.h"

namespace sm1rt {

/// Rows of a pass: as many, in steps of 256 up to 2,048, as 48 MB hold the buffers of, should all rows be selected, beside the
/// threads' scratch; at least 256. Weights are read once a pass, so the more the better.
int64_t rowsThatFit(const PlanProgram &program, uint64_t scratchBytes);

/// `threads` 0: one per available core.
std::unique_ptr<Device> makeCpuDevice(const std::string &target, int threads);

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_CPUDEVICE_H
