// The toy model of TestPackage.h for a GPU: the same plan with a program for sm_90, whose kernels are PTX written by hand.
#ifndef SM1_TESTS_UNIT_CUDATESTPACKAGE_H
#define SM1_TESTS_UNIT_CUDATESTPACKAGE_H

#include "TestPackage.h"

namespace sm1test {

/// Kernels for the GPU contract of PackageFormat.h: one over segments with time cut, two over segments, one of them with more than
/// 48 KB of shared memory, one over selected rows. Without its NUL byte.
std::string toyPtx();

/// What to change of the package before it is written.
struct ToyGpuOptions {
  bool external = false;
  bool cpuToo = true; ///< also the program for x86-64-v3
  std::string target = "sm_90";
  std::string ptx = toyPtx();      ///< a NUL byte follows it in the file
  std::string cubin;               ///< empty: none
  nlohmann::json changes = {};     ///< merged into the plan's GPU program
  nlohmann::json planChanges = {}; ///< merged into the plan
};
nlohmann::json toyGpuPlan(const ToyGpuOptions &options);
void writeToyGpuPackage(const std::string &path, const ToyGpuOptions &options = {});

} // namespace sm1test

#endif // SM1_TESTS_UNIT_CUDATESTPACKAGE_H
