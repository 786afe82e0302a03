// An NVIDIA GPU as a device, by way of the driver alone.
#ifndef SM1RT_SRC_CUDA_CUDADEVICE_H
#define SM1RT_SRC_CUDA_CUDADEVICE_H

#include "../Device.h"

namespace sm1rt {

/// Device `ordinal`, and the best target of the package that it runs (`isa`, when not empty). Nothing is loaded yet. Errors: no
/// driver or one too old, no such device, no fitting target.
Expected<OpenedDevice> openCudaDevice(const Package &package, int ordinal, const std::string &isa);

/// Name of device `ordinal` as a target, "sm_90".
Expected<std::string> cudaTarget(int ordinal);

} // namespace sm1rt

#endif // SM1RT_SRC_CUDA_CUDADEVICE_H
