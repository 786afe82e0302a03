// What the tests of findings share: a small kernel run for the error and the line that it ends with.
#ifndef EMULATOR_FINDINGS_H
#define EMULATOR_FINDINGS_H

#include "EmulatorTest.h"

namespace emulator {

struct Outcome {
  int error;
  std::string message; // of stderr
};

/// Runs a kernel of three pointers to 4 KB each (zeros, written; written; never written) in one block.
inline Outcome outcome(const std::string &body, const std::string &before = "", unsigned threads = 64, unsigned shared = 0) {
  Gpu gpu;
  CUdeviceptr in = gpu.upload(std::vector<uint32_t>(1024, 0)), out = gpu.upload(std::vector<uint32_t>(1024, 0)),
              fresh = gpu.allocate(4096);
  std::string text = kernel(3,
                            "shl.b32 %r2, %r1, 2; cvt.u64.u32 %rd4, %r2; add.s64 %rd5, %rd1, %rd4; add.s64 %rd6, %rd2, %rd4; "
                            "add.s64 %rd7, %rd3, %rd4;\n" +
                                body,
                            before);
  CUfunction function = gpu.function(forTarget("sm_90", "8.6", text));
  testing::internal::CaptureStderr();
  int error = gpu.run(function, 1, threads, {in, out, fresh}, shared);
  return {error, testing::internal::GetCapturedStderr()};
}

inline void expectFinding(const std::string &body, int error, const std::string &message, const std::string &before = "") {
  Outcome found = outcome(body, before);
  EXPECT_EQ(found.error, error) << body;
  EXPECT_NE(found.message.find(message), std::string::npos) << found.message;
  EXPECT_NE(found.message.find(" in kernel k, block (0,0,0), thread ("), std::string::npos) << found.message;
  EXPECT_NE(found.message.find(", PTX line "), std::string::npos) << found.message;
}
inline void expectClean(const std::string &body, const std::string &before = "") {
  Outcome found = outcome(body, before);
  EXPECT_EQ(found.error, 0) << body << "\n" << found.message;
}

} // namespace emulator

#endif // EMULATOR_FINDINGS_H
