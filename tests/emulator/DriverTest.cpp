// The driver's side: streams that run late, graphs, limits, errors that were asked for, planted bugs.
#include "EmulatorTest.h"
#include "Marks.h"
#include "PlantEach.h"

#include <algorithm>
#include <map>

using namespace emulator;

namespace {

const std::string kIncrement =
    kernel(1, "add.s64 %rd1, %rd1, %rd0; ld.global.u64 %rd2, [%rd1]; add.u64 %rd2, %rd2, 1; st.global.u64 [%rd1], %rd2;");

TEST(DriverTest, PinnedMemoryIsCopiedLate) {
  Gpu gpu;
  void *pinned = nullptr;
  ASSERT_EQ(gpu.call("cuMemAllocHost_v2", &pinned, size_t(256)), 0);
  auto *values = static_cast<uint64_t *>(pinned);
  for (uint64_t i = 0; i < 32; ++i)
    values[i] = i;
  CUdeviceptr memory = gpu.allocate(256);
  CUfunction function = gpu.function(kIncrement);
  ASSERT_EQ(gpu.call("cuMemcpyHtoDAsync_v2", memory, static_cast<const void *>(pinned), size_t(256), gpu.stream), 0);
  ASSERT_EQ(gpu.launch(function, 1, 32, {memory}), 0);
  ASSERT_EQ(gpu.call("cuMemcpyDtoHAsync_v2", pinned, memory, size_t(256), gpu.stream), 0);
  values[5] = 500; // too early: the copy has not run
  ASSERT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), 0);
  EXPECT_EQ(values[4], 5u);
  EXPECT_EQ(values[5], 501u);
  EXPECT_EQ(gpu.call("cuMemFreeHost", pinned), 0);
}

/// A register with half of an address must not look like one whose sum is on its way.
TEST(DriverTest, AddressesAreNoMarks) {
  Gpu gpu;
  constexpr uint64_t bytes = 256 << 20, cycle = 1ull << 32;
  for (uint64_t mapped = 0; mapped <= cycle; mapped += bytes) { // every low word comes up
    uint64_t place = (gpu.allocate(bytes) - kMark) % cycle;
    EXPECT_GE(place, uint64_t(kMarks));
    EXPECT_LE(place + bytes, cycle);
  }
}

TEST(DriverTest, GraphsReplayWithChangedMemory) {
  Gpu gpu;
  CUdeviceptr memory = gpu.upload(std::vector<uint64_t>(32, 10));
  CUfunction function = gpu.function(kIncrement);
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  ASSERT_EQ(gpu.call("cuStreamBeginCapture_v2", gpu.stream, 0), 0);
  ASSERT_EQ(gpu.launch(function, 1, 32, {memory}), 0);
  ASSERT_EQ(gpu.launch(function, 1, 16, {memory}), 0);
  CUdeviceptr forbidden = 0;
  ASSERT_EQ(gpu.call("cuStreamEndCapture", gpu.stream, &graph), 0);
  ASSERT_EQ(gpu.call("cuGraphInstantiateWithFlags", &exec, graph, 0ull), 0);
  EXPECT_EQ(gpu.download<uint64_t>(memory, 1)[0], 10u); // captured, not run
  ASSERT_EQ(gpu.call("cuGraphLaunch", exec, gpu.stream), 0);
  EXPECT_EQ(gpu.download<uint64_t>(memory, 32), ([] {
              std::vector<uint64_t> v(32, 11);
              std::fill_n(v.begin(), 16, 12);
              return v;
            }()));
  ASSERT_EQ(gpu.call("cuMemsetD8Async", memory, static_cast<unsigned char>(0), size_t(256), gpu.stream), 0);
  ASSERT_EQ(gpu.call("cuGraphLaunch", exec, gpu.stream), 0);
  ASSERT_EQ(gpu.call("cuGraphLaunch", exec, gpu.stream), 0);
  EXPECT_EQ(gpu.download<uint64_t>(memory, 1)[0], 4u);
  // Allocating or waiting spoils a capture.
  ASSERT_EQ(gpu.call("cuStreamBeginCapture_v2", gpu.stream, 0), 0);
  EXPECT_EQ(gpu.call("cuMemAlloc_v2", &forbidden, size_t(16)), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CUgraph spoiled = nullptr;
  EXPECT_EQ(gpu.call("cuStreamEndCapture", gpu.stream, &spoiled), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(gpu.call("cuGraphExecDestroy", exec), 0);
  EXPECT_EQ(gpu.call("cuGraphDestroy", graph), 0);
}

TEST(DriverTest, CopiesOfRectangles) {
  Gpu gpu;
  std::vector<uint8_t> host(100);
  for (size_t i = 0; i < host.size(); ++i)
    host[i] = static_cast<uint8_t>(i);
  CUdeviceptr memory = gpu.upload(std::vector<uint8_t>(64, 0));
  CUDA_MEMCPY2D copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = host.data();
  copy.srcPitch = 10;
  copy.srcXInBytes = 3;
  copy.srcY = 2;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = memory;
  copy.dstPitch = 16;
  copy.WidthInBytes = 5;
  copy.Height = 4;
  ASSERT_EQ(gpu.call("cuMemcpy2DAsync_v2", static_cast<const CUDA_MEMCPY2D *>(&copy), gpu.stream), 0);
  auto bytes = gpu.download<uint8_t>(memory, 64);
  for (unsigned y = 0; y < 4; ++y)
    for (unsigned x = 0; x < 16; ++x)
      EXPECT_EQ(bytes[y * 16 + x], x < 5 ? (y + 2) * 10 + x + 3 : 0);
  copy.Height = 5;
  EXPECT_EQ(gpu.call("cuMemcpy2DAsync_v2", static_cast<const CUDA_MEMCPY2D *>(&copy), gpu.stream), CUDA_ERROR_INVALID_VALUE);
}

TEST(DriverTest, LimitsOfTheChip) {
  for (auto [capability, major, shared] : {std::tuple("9.0", 9, 227), {"8.6", 8, 99}, {"12.0", 12, 99}}) {
    Environment environment("SM1_EMULATOR_CAPABILITY", capability);
    Gpu gpu;
    int value = 0;
    EXPECT_EQ(gpu.call("cuDeviceGetAttribute", &value, 75, 0), 0);
    EXPECT_EQ(value, major);
    EXPECT_EQ(gpu.call("cuDeviceGetAttribute", &value, 97, 0), 0);
    EXPECT_EQ(value, shared * 1024);
    CUfunction function = gpu.function(kIncrement);
    CUdeviceptr memory = gpu.upload(std::vector<uint64_t>(1024, 0));
    EXPECT_EQ(gpu.launch(function, 1, 1025, {memory}), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(gpu.launch(function, 0, 32, {memory}), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(gpu.launch(function, 1, 32, {memory}, 48 * 1024 + 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(gpu.call("cuFuncSetAttribute", function, int(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES), shared * 1024 + 1),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(gpu.call("cuFuncSetAttribute", function, int(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES), shared * 1024), 0);
    EXPECT_EQ(gpu.run(function, 1, 1024, {memory}, unsigned(shared) * 1024), 0);
    EXPECT_EQ(gpu.call("cuOccupancyMaxActiveBlocksPerMultiprocessor", &value, function, 1024, size_t(shared) * 1024), 0);
    EXPECT_EQ(value, 1);
  }
}

TEST(DriverTest, ModulesThatDoNotFit) {
  Gpu gpu;
  CUmodule module = nullptr;
  EXPECT_EQ(gpu.load(".version 8.7\n.target sm_120\n.address_size 64\n.visible .entry k() { ret; }", module),
            CUDA_ERROR_INVALID_PTX);
  EXPECT_NE(gpu.log.find(".target sm_120 does not run on sm_90"), std::string::npos) << gpu.log;
  EXPECT_EQ(gpu.load("\177ELF and so on", module), CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(gpu.load(".version 8.0\n", module), CUDA_ERROR_INVALID_PTX);
  ASSERT_EQ(gpu.load(kIncrement, module), 0);
  CUfunction function = nullptr;
  EXPECT_EQ(gpu.call("cuModuleGetFunction", &function, module, "other"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(gpu.call("cuModuleUnload", module), 0);
  EXPECT_EQ(gpu.call("cuModuleUnload", module), CUDA_ERROR_INVALID_HANDLE);
}

TEST(DriverTest, MemoryRunsOut) {
  Environment environment("SM1_EMULATOR_MEMORY", "1000000");
  Gpu gpu;
  CUdeviceptr first = gpu.allocate(900000), second = 0;
  EXPECT_EQ(gpu.call("cuMemAlloc_v2", &second, size_t(200000)), CUDA_ERROR_OUT_OF_MEMORY);
  size_t freeBytes = 0, total = 0;
  EXPECT_EQ(gpu.call("cuMemGetInfo_v2", &freeBytes, &total), 0);
  EXPECT_EQ(freeBytes, 100000u);
  EXPECT_EQ(gpu.call("cuMemFree_v2", first), 0);
  EXPECT_EQ(gpu.call("cuMemFree_v2", first), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(gpu.call("cuMemAlloc_v2", &second, size_t(200000)), 0);
}

TEST(DriverTest, CallsFailWhenAsked) {
  {
    Environment environment("SM1_EMULATOR_FAIL", "cuMemAlloc:2");
    Gpu gpu;
    CUdeviceptr address = gpu.allocate(16);
    EXPECT_EQ(gpu.call("cuMemAlloc_v2", &address, size_t(16)), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_EQ(gpu.call("cuMemAlloc_v2", &address, size_t(16)), 0);
  }
  Environment environment("SM1_EMULATOR_FAIL", "cuLaunchKernel:1:701");
  Gpu gpu;
  CUdeviceptr memory = gpu.upload(std::vector<uint64_t>(32, 0));
  CUfunction function = gpu.function(kIncrement);
  EXPECT_EQ(gpu.launch(function, 1, 32, {memory}), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  EXPECT_EQ(gpu.launch(function, 1, 32, {memory}), 0);
}

TEST(DriverTest, ErrorsHaveNames) {
  Gpu gpu;
  const char *text = nullptr;
  EXPECT_EQ(gpu.call("cuGetErrorName", 716, &text), 0);
  EXPECT_STREQ(text, "CUDA_ERROR_MISALIGNED_ADDRESS");
  EXPECT_EQ(gpu.call("cuGetErrorString", 2, &text), 0);
  EXPECT_STREQ(text, "out of memory");
}

TEST(DriverTest, BlocksOnTwoHostThreads) {
  Environment environment("SM1_EMULATOR_THREADS", "2");
  Gpu gpu;
  CUdeviceptr counter = gpu.upload(std::vector<uint32_t>(1, 0));
  CUfunction function = gpu.function(kernel(1, "red.global.add.u32 [%rd1], 1;"));
  ASSERT_EQ(gpu.run(function, 500, 64, {counter}), 0);
  EXPECT_EQ(gpu.download<uint32_t>(counter, 1)[0], 500 * 64u);
}

// ---- planted bugs ----

/// Reverses 64 numbers through shared memory that cp.async fills.
const std::string kReverse =
    kernel(2,
           "shl.b32 %r2, %r1, 2; mov.u32 %r3, tile; add.u32 %r4, %r3, %r2; cvt.u64.u32 %rd3, %r2; add.s64 %rd4, %rd1, %rd3; "
           "add.s64 %rd5, %rd2, %rd3;\n"
           "cp.async.ca.shared.global [%r4], [%rd4], 4; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;\n"
           "sub.u32 %r5, 252, %r2; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5]; bar.sync 0; st.shared.u32 [%r4], %r6; "
           "ld.shared.u32 %r7, [%r4]; st.global.u32 [%rd5], %r7;",
           ".shared .align 16 .b8 tile[256];\n");

bool reversesRightly() {
  Gpu gpu;
  std::vector<uint32_t> numbers(64);
  for (uint32_t i = 0; i < 64; ++i)
    numbers[i] = i * i;
  CUdeviceptr in = gpu.upload(numbers), out = gpu.allocate(256);
  testing::internal::CaptureStderr();
  int error = gpu.run(gpu.function(kReverse), 1, 64, {in, out});
  testing::internal::GetCapturedStderr();
  if (error)
    return false;
  auto found = gpu.download<uint32_t>(out, 64);
  return std::vector<uint32_t>(found.rbegin(), found.rend()) == numbers;
}

/// With SM1_EMULATOR_LAZY a kernel runs beside one that does not decode, which fails when it is launched, as loading would have.
TEST(DriverTest, KernelsAreDecodedWhenLaunched) {
  Environment lazy("SM1_EMULATOR_LAZY", "1");
  Gpu gpu;
  std::string good = kernel(1, "{ // }\nadd.s64 %rd1, %rd1, %rd0; st.global.u64 [%rd1], 7; /* } */ }");
  std::string bad = kernel(1, "frobnicate.b32 %r2, %r1;").substr(kHeader.size());
  bad.replace(bad.find(" k("), 3, " bad(");
  CUmodule module = nullptr;
  ASSERT_EQ(gpu.load(good + bad, module), 0) << gpu.log;
  CUfunction function = nullptr;
  ASSERT_EQ(gpu.call("cuModuleGetFunction", &function, module, "k"), 0);
  CUdeviceptr memory = gpu.upload(std::vector<uint64_t>(32, 0));
  EXPECT_EQ(gpu.run(function, 1, 32, {memory}), 0);
  EXPECT_EQ(gpu.download<uint64_t>(memory, 32), std::vector<uint64_t>(32, 7));
  ASSERT_EQ(gpu.call("cuModuleGetFunction", &function, module, "bad"), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(gpu.launch(function, 1, 32, {memory}), CUDA_ERROR_INVALID_PTX);
  auto line = std::to_string(std::count(good.begin(), good.end(), '\n') + 11);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "sm1 emulator: unknown instruction 'frobnicate' in line " + line + ": frobnicate.b32 %r2, %r1;\n");
}

/// What is asked for before a launch is known: shared memory of a kernel, declared in it or used by it.
TEST(DriverTest, SharedMemoryIsKnownBeforeALaunch) {
  Environment lazy("SM1_EMULATOR_LAZY", "1");
  for (const auto &[body, before] :
       {std::pair{".shared .align 8 .b8 s[64];", ""}, {"mov.u64 %rd2, s;", ".shared .align 8 .b8 s[64];\n"}}) {
    Gpu gpu;
    int bytes = 0;
    EXPECT_EQ(
        gpu.call("cuFuncGetAttribute", &bytes, int(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), gpu.function(kernel(1, body, before))), 0);
    EXPECT_GE(bytes, 64) << body;
  }
}

TEST(DriverTest, PlantedBugsAreCaught) {
  EXPECT_EQ(plantEach("count", reversesRightly), (std::map<std::string, unsigned>{{"barrier", 2}, {"wait", 1}, {"index", 5}}));
}

} // namespace
