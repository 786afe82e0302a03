// NVRTC, the CUDA C++ compiler that comes as a library: loaded when somebody brings a kernel of their own.
#ifndef SM1RT_SRC_CUDA_NVRTC_H
#define SM1RT_SRC_CUDA_NVRTC_H

#include "sm1rt/Error.h"

#include <string>
#include <vector>

namespace sm1rt::cuda {

/// What NVRTC makes of one file.
struct CompiledCuda {
  std::string compiler;             ///< "NVRTC 13.0"
  std::string ptx;                  ///< ends with a NUL byte, as c_str() does
  std::vector<char> cubin;          ///< the same as machine code
  std::vector<std::string> kernels; ///< names of its entries
};

/// Compiles the text of `file` for chips of an architecture (sm_90, or sm_90a), with the headers of kernels/ at hand.
/// SM1_NVRTC names the library, otherwise the system's is looked for. A mistake in the text is an error that shows its lines.
/// `options` are NVRTC's own.
Expected<CompiledCuda> compileCuda(const std::string &file, const std::string &text, const std::string &architecture,
                                   const std::vector<std::string> &options = {});

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_NVRTC_H
