// Texts of kernels/, embedded at build time: PTX of the runtime's own kernels, a header for kernels of users. Each ends with a NUL byte.
#ifndef SM1RT_SRC_CUDA_KERNELS_H
#define SM1RT_SRC_CUDA_KERNELS_H

namespace sm1rt::cuda {

extern const char statesPtx[];
extern const char samplePtx[];
extern const char mathHeader[];

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_KERNELS_H
