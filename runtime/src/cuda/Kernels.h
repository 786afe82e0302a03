// Texts of kernels/, embedded at build time: PTX of the runtime's own kernels, headers for kernels that NVRTC compiles. Each ends
// with a NUL byte.
#ifndef SM1RT_SRC_CUDA_KERNELS_H
#define SM1RT_SRC_CUDA_KERNELS_H

namespace sm1rt::cuda {

extern const char statesPtx[];
extern const char samplePtx[];
extern const char mathHeader[], samplingHeader[], samplingCudaHeader[];
extern const char tokenHeader[], tokenInstructionsHeader[], tokenSizesHeader[], tokenWeightsHeader[], tokenChoiceHeader[],
    tokenVectorHeader[], tokenMatrixHeader[], tokenEpilogueHeader[], tokenCudaHeader[];

/// Headers that a text for NVRTC finds, by the names of their files.
struct Header {
  const char *name, *text;
};
inline constexpr Header kernelHeaders[] = {{"sm1_math.cuh", mathHeader},
                                           {"sampling.h", samplingHeader},
                                           {"sampling.cuh", samplingCudaHeader},
                                           {"token.h", tokenHeader},
                                           {"token_instructions.cuh", tokenInstructionsHeader},
                                           {"token_sizes.cuh", tokenSizesHeader},
                                           {"token_weights.cuh", tokenWeightsHeader},
                                           {"token_choice.cuh", tokenChoiceHeader},
                                           {"token_vector.cuh", tokenVectorHeader},
                                           {"token_matrix.cuh", tokenMatrixHeader},
                                           {"token_epilogue.cuh", tokenEpilogueHeader},
                                           {"token.cuh", tokenCudaHeader}};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_KERNELS_H
