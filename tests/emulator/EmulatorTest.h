// What the tests of the emulator share: the driver library opened like a program would, and kernels around single instructions.
#ifndef EMULATOR_TEST_H
#define EMULATOR_TEST_H

#include "Cuda.h"
#include "Types.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace emulator {

/// Sets an environment variable for the length of a scope.
class Environment {
public:
  Environment(const char *name, const std::string &value) : name(name) { setenv(name, value.c_str(), 1); }
  ~Environment() { unsetenv(name); }
  Environment(const Environment &) = delete;

private:
  const char *name;
};

/// The library that is built with the tests, found from this program, bin/sm1-emulator-tests.
inline std::string emulatedDriver() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib/libsm1-emulated-cuda.so";
}

/// The library with a context of its own; the settings are those of the environment when it is made. SM1_EMULATOR_TEST_DRIVER names
/// another library: with libcuda.so.1 the tests of instructions show whether a device agrees.
class Gpu {
public:
  Gpu() {
    const char *other = std::getenv("SM1_EMULATOR_TEST_DRIVER");
    library = dlopen(other ? other : emulatedDriver().c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(library, nullptr) << dlerror();
    EXPECT_EQ(call("cuInit", 0u), 0);
    void *context = nullptr;
    EXPECT_EQ(call("cuDevicePrimaryCtxRetain", &context, 0), 0);
    EXPECT_EQ(call("cuCtxSetCurrent", context), 0);
    EXPECT_EQ(call("cuStreamCreate", &stream, 0u), 0);
  }
  ~Gpu() {
    call("cuDevicePrimaryCtxRelease_v2", 0);
    dlclose(library);
  }

  template <class... Arguments> int call(const char *name, Arguments... arguments) {
    auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(library, name));
    EXPECT_NE(function, nullptr) << name;
    return function ? function(arguments...) : -1;
  }

  /// Loads PTX; `log` gets the error log.
  int load(const std::string &ptx, CUmodule &module) {
    std::vector<char> buffer(4096);
    int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {buffer.data(), reinterpret_cast<void *>(buffer.size())};
    int error = call("cuModuleLoadDataEx", &module, static_cast<const void *>(ptx.c_str()), 2u, options, values);
    log = buffer.data();
    return error;
  }
  CUfunction function(const std::string &ptx, const char *name = "k") {
    CUmodule module = nullptr;
    EXPECT_EQ(load(ptx, module), 0) << log;
    CUfunction result = nullptr;
    EXPECT_EQ(call("cuModuleGetFunction", &result, module, name), 0);
    return result;
  }

  CUdeviceptr allocate(size_t bytes) {
    CUdeviceptr address = 0;
    EXPECT_EQ(call("cuMemAlloc_v2", &address, bytes), 0);
    return address;
  }
  template <class T> CUdeviceptr upload(const std::vector<T> &values) {
    CUdeviceptr address = allocate(values.size() * sizeof(T));
    EXPECT_EQ(call("cuMemcpyHtoDAsync_v2", address, static_cast<const void *>(values.data()), values.size() * sizeof(T), stream),
              0);
    return address;
  }
  template <class T> std::vector<T> download(CUdeviceptr address, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(call("cuMemcpyDtoHAsync_v2", static_cast<void *>(values.data()), address, count * sizeof(T), stream), 0);
    return values;
  }

  /// The launch, then the stream waited for: the first error of the two.
  int run(CUfunction function, unsigned blocks, unsigned threads, std::vector<uint64_t> params, unsigned shared = 0) {
    if (int error = launch(function, blocks, threads, params, shared))
      return error;
    return call("cuStreamSynchronize", stream);
  }
  int launch(CUfunction function, unsigned blocks, unsigned threads, std::vector<uint64_t> params, unsigned shared = 0) {
    std::vector<void *> pointers;
    for (uint64_t &param : params)
      pointers.push_back(&param);
    return call("cuLaunchKernel", function, blocks, 1u, 1u, threads, 1u, 1u, shared, stream, pointers.data(),
                static_cast<void **>(nullptr));
  }

  CUstream stream = nullptr;
  std::string log;

private:
  void *library = nullptr;
};

inline const std::string kHeader = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// `ptx` for another chip.
inline std::string forTarget(const std::string &target, const std::string &version, std::string ptx) {
  return ".version " + version + "\n.target " + target + ptx.substr(ptx.find("\n.address_size"));
}

/// A kernel `k(p0, p1, ...)` of 64-bit parameters in %rd1, %rd2, ...; %r1 is the thread, %rd0 the thread times 8.
inline std::string kernel(unsigned params, const std::string &body, const std::string &before = "") {
  std::string list, loads;
  for (unsigned i = 0; i < params; ++i) {
    list += std::string(i ? ", " : "") + ".param .u64 p" + std::to_string(i);
    loads += "ld.param.u64 %rd" + std::to_string(i + 1) + ", [p" + std::to_string(i) + "];\n";
  }
  return kHeader + before + ".visible .entry k(" + list +
         ") {\n.reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<64>;\n.reg .f32 %f<64>;\n.reg .b64 %rd<32>;\n.reg .f64 "
         "%fd<16>;\n" +
         loads + "mov.u32 %r1, %tid.x;\nmul.wide.u32 %rd0, %r1, 8;\n" + body + "\nret;\n}\n";
}

using Inputs = std::array<uint64_t, 3>;

/// Runs `instruction` on operands %a, %b, %c with result %d, registers of the types given ("b32"), one thread per input; the bits
/// of %d.
inline std::vector<uint64_t> evaluate(const std::string &instruction, const std::string &result,
                                      const std::vector<std::string> &types, const std::vector<Inputs> &inputs,
                                      const std::string &target = "sm_90", const std::string &version = "8.0") {
  Gpu gpu;
  std::string body = ".reg ." + result +
                     " %d;\nmov.u64 %rd4, 0;\nmul.wide.u32 %rd5, %r1, 24;\nadd.s64 %rd1, %rd1, %rd5;\nadd.s64 %rd2, %rd2, "
                     "%rd0;\nst.global.u64 [%rd2], %rd4;\n";
  for (size_t i = 0; i < types.size(); ++i) {
    std::string name(1, static_cast<char>('a' + i));
    body +=
        ".reg ." + types[i] + " %" + name + ";\nld.global." + types[i] + " %" + name + ", [%rd1+" + std::to_string(8 * i) + "];\n";
  }
  body += instruction + "\nst.global." + result + " [%rd2], %d;\n";
  std::vector<uint64_t> flat;
  for (const Inputs &input : inputs)
    flat.insert(flat.end(), input.begin(), input.end());
  CUdeviceptr in = gpu.upload(flat), out = gpu.allocate(inputs.size() * 8);
  EXPECT_EQ(gpu.run(gpu.function(forTarget(target, version, kernel(2, body))), 1, static_cast<unsigned>(inputs.size()), {in, out}),
            0);
  return gpu.download<uint64_t>(out, inputs.size());
}

inline uint64_t bits(float value) { return bitCast<uint32_t>(value); }
inline uint64_t bits(double value) { return bitCast<uint64_t>(value); }
inline float asFloat(uint64_t value) { return bitCast<float>(static_cast<uint32_t>(value)); }

} // namespace emulator

#endif // EMULATOR_TEST_H
