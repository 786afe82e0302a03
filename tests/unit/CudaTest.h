// What tests of the CUDA device share: where the driver is. The emulated driver is the one that is built with the tests; with
// SM1_TEST_REAL_CUDA set it is the machine's own.
#ifndef SM1_TESTS_UNIT_CUDATEST_H
#define SM1_TESTS_UNIT_CUDATEST_H

#include "CudaTestPackage.h"
#include "Platform.h"
#include "sm1rt/Model.h"

#include <cstdlib>
#include <filesystem>

namespace sm1test {

/// A test with a driver. What it puts into the environment is gone at its end.
class CudaTest : public testing::Test {
protected:
  void SetUp() override {
    real = std::getenv("SM1_TEST_REAL_CUDA") != nullptr;
    if (!real && !std::filesystem::exists(emulator))
      GTEST_SKIP() << emulator << " was not built";
    if (!real)
      set("SM1_CUDA_DRIVER", emulator);
    package = folder.file("toy.sm1pkg");
  }
  void TearDown() override {
    for (const std::string &name : changed)
      unsetenv(name.c_str());
  }

  void set(const std::string &name, const std::string &value) {
    setenv(name.c_str(), value.c_str(), 1);
    changed.push_back(name);
  }

  sm1rt::Expected<sm1rt::Model> tryOpen(const std::string &device = "cuda", sm1rt::OpenOptions options = {}) {
    options.device = device;
    return sm1rt::Model::open(package, options);
  }
  sm1rt::Model open(sm1rt::OpenOptions options = {}) {
    auto model = tryOpen("cuda", std::move(options));
    EXPECT_TRUE(bool(model)) << model.error().message;
    return std::move(*model);
  }

  /// Found from this program, bin/sm1-runtime-tests: a path among the compiler's options would keep ccache from knowing this file
  /// in another clone.
  const std::string emulator =
      std::filesystem::path(*sm1rt::executablePath()).parent_path().parent_path() / "lib/libsm1-emulated-cuda.so";
  bool real = false;
  TemporaryFolder folder;
  std::string package;

private:
  std::vector<std::string> changed;
};

} // namespace sm1test

#endif // SM1_TESTS_UNIT_CUDATEST_H
