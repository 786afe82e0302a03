//===- Ptxas.h - NVIDIA's assembler, where there is one ----------------------------------------------------------===//

#ifndef SM1C_LIB_CODEGEN_PTXAS_H
#define SM1C_LIB_CODEGEN_PTXAS_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace sm1 {

struct PtxasRun {
  bool refused = false;       ///< the text; `said` tells why
  std::string said;           ///< what it printed with -v
  std::vector<uint8_t> cubin; ///< empty where it refused
};

/// Path of ptxas: in PATH, then in CUDA_HOME/bin and /usr/local/cuda/bin; empty where there is none.
std::string findPtxas();

/// Assembles `ptx` for `chip` ("sm_120"). An error if the program cannot be run.
llvm::Expected<PtxasRun> runPtxas(const std::string &ptxas, llvm::StringRef ptx, llvm::StringRef chip);

} // namespace sm1

#endif // SM1C_LIB_CODEGEN_PTXAS_H
