// What can go wrong with a GPU: each thing is one sentence that says what to do, and nothing crashes afterwards.
#include "CudaTest.h"

#include "cuda/Driver.h"
#include "sm1rt/Package.h"

using namespace sm1rt;
using namespace sm1test;

namespace {

class CudaErrorTest : public CudaTest {
protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped())
      writeToyGpuPackage(package);
  }
  void write(const ToyGpuOptions &options) { writeToyGpuPackage(package, options); }
};

TEST_F(CudaErrorTest, NoDriver) {
  set("SM1_CUDA_DRIVER", "libno-such-driver.so");
  EXPECT_ERROR(tryOpen(), "libno-such-driver.so: ");
  EXPECT_ERROR(tryOpen(), "install the NVIDIA driver, name its library in SM1_CUDA_DRIVER, or pass --device=cpu");
  set("SM1_CUDA_DRIVER", "libc.so.6");
  EXPECT_ERROR(tryOpen(), "libc.so.6: has no function cu");
}

// Never a silent fallback; `auto` says with its name what it took.
TEST_F(CudaErrorTest, AutoTakesTheCpuOnlyWhereThereIsNoGpu) {
  auto gpu = tryOpen("auto");
  ASSERT_OK(gpu);
  EXPECT_EQ(gpu->deviceName().compare(0, 7, "cuda:0 "), 0) << gpu->deviceName();
  ToyGpuOptions newer;
  newer.target = "sm_120";
  write(newer);
  auto cpu = tryOpen("auto");
  ASSERT_OK(cpu);
  EXPECT_EQ(cpu->deviceName().compare(0, 4, "cpu "), 0) << cpu->deviceName();
  newer.cpuToo = false;
  write(newer);
  EXPECT_ERROR(tryOpen("auto"), "built for sm_120");
}

TEST_F(CudaErrorTest, DeviceNames) {
  EXPECT_ERROR(tryOpen("cuda:7"), "device 'cuda:7' does not exist");
  for (const char *name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cudas", "gpu", "cuda:99999999999"})
    EXPECT_ERROR(tryOpen(name), "is none of auto, cpu, cuda, cuda:N");
}

TEST_F(CudaErrorTest, NoFittingKernel) {
  ToyGpuOptions newer;
  newer.target = "sm_120";
  write(newer);
  EXPECT_ERROR(tryOpen(), "built for sm_120, x86-64-v3, cuda:0 (");
  EXPECT_ERROR(tryOpen(), ") is sm_90; recompile with --target=sm_90");
  OpenOptions options;
  options.isa = "sm_80";
  EXPECT_ERROR(tryOpen("cuda", options), "no kernels for 'sm_80'");
  options.isa = "x86-64-v3";
  EXPECT_ERROR(tryOpen("cuda", options), "built for x86-64-v3, cuda:0 (");
  options.isa = "sm_120";
  EXPECT_ERROR(tryOpen("cpu", options), "built for sm_120, this machine");
}

TEST_F(CudaErrorTest, PtxThatDoesNotCompileShowsTheLog) {
  ToyGpuOptions broken;
  broken.ptx.insert(broken.ptx.find("setp"), "no_such_instruction %c;\n  ");
  write(broken);
  EXPECT_ERROR(tryOpen(), "while loading the PTX of sm_90; the driver says: ");
}

TEST_F(CudaErrorTest, KernelThatIsNotThere) {
  ToyGpuOptions missing;
  missing.ptx.replace(missing.ptx.find("toy_scan"), 8, "toy_skan");
  write(missing);
  EXPECT_ERROR(tryOpen(), "the PTX of sm_90 has no entry 'toy_scan'");
}

TEST_F(CudaErrorTest, CubinThatTheDriverRefusesMakesWayForPtx) {
  ToyGpuOptions options;
  options.cubin = "no cubin at all";
  write(options);
  auto model = tryOpen();
  ASSERT_OK(model);
  EXPECT_NE(model->deviceName().find("sm_90, PTX)"), std::string::npos) << model->deviceName();
}

TEST_F(CudaErrorTest, MoreSharedMemoryThanABlockHas) {
  ToyGpuOptions options;
  nlohmann::json plan = toyGpuPlan(options);
  nlohmann::json entries = plan["programs"]["sm_90"]["entries"];
  entries["prefill"][1]["shared"] = 1000000;
  options.changes = {{"entries", entries}};
  write(options);
  EXPECT_ERROR(tryOpen(), "kernel 'toy_last' needs 1000000 bytes of shared memory, a block has at most ");
}

TEST_F(CudaErrorTest, PtxVersions) {
  EXPECT_EQ(cuda::cudaVersionOfPtx("// x\n.version 7.8\n"), 11080);
  EXPECT_EQ(cuda::cudaVersionOfPtx("\n.version 8.0\n"), 12000);
  EXPECT_EQ(cuda::cudaVersionOfPtx("\n.version 8.5"), 12050);
  EXPECT_EQ(cuda::cudaVersionOfPtx("\n.version 8.7\n"), 12080);
  EXPECT_EQ(cuda::cudaVersionOfPtx("\n.version 9.0\n"), 13000);
  EXPECT_EQ(cuda::cudaVersionOfPtx(".text"), 0);
  ToyGpuOptions future;
  future.ptx.replace(future.ptx.find("8.0"), 3, "99.9");
  write(future);
  EXPECT_ERROR(tryOpen(), "the PTX of sm_90 needs 103.9; update the driver, or pass --device=cpu");
}

//===-- Devices that fail ---------------------------------------------------------------------------------------------------===//

class CudaFailureTest : public CudaErrorTest {
protected:
  void SetUp() override {
    CudaErrorTest::SetUp();
    if (!IsSkipped() && real)
      GTEST_SKIP() << "only the emulated driver fails on demand";
  }
  Expected<Outputs> run(Model &model, Sequence &sequence, const char *entry = "step") {
    Piece piece;
    piece.sequence = &sequence;
    piece.tokens = &token;
    piece.count = 1;
    piece.selected = {0};
    return model.run(entry, {piece});
  }
  int32_t token = 3;
};

TEST_F(CudaFailureTest, NoDevice) {
  set("SM1_EMULATOR_FAIL", "cuInit:1:100");
  EXPECT_ERROR(tryOpen(), "finds no CUDA device (CUDA_ERROR_NO_DEVICE");
  auto cpu = tryOpen("auto");
  ASSERT_OK(cpu);
  EXPECT_EQ(cpu->deviceName().compare(0, 4, "cpu "), 0);
}

TEST_F(CudaFailureTest, OtherCapabilities) {
  set("SM1_EMULATOR_CAPABILITY", "8.6");
  EXPECT_ERROR(tryOpen(), ") is sm_86; recompile with --target=sm_86");
  set("SM1_EMULATOR_CAPABILITY", "12.0");
  auto model = tryOpen();
  ASSERT_OK(model);
  EXPECT_NE(model->deviceName().find("sm_90, PTX)"), std::string::npos) << model->deviceName();
  Sequence sequence = model->newSequence();
  ASSERT_OK(run(*model, sequence));
}

// "sm_90a" is for 9.0 alone.
TEST_F(CudaFailureTest, TargetOfOneChip) {
  ToyGpuOptions options;
  options.target = "sm_90a";
  options.ptx.replace(options.ptx.find("sm_90"), 5, "sm_90a");
  writeToyGpuPackage(package, options);
  set("SM1_EMULATOR_CAPABILITY", "10.0");
  EXPECT_ERROR(tryOpen(), "built for sm_90a");
  set("SM1_EMULATOR_CAPABILITY", "9.0");
  auto model = tryOpen();
  ASSERT_OK(model);
  EXPECT_NE(model->deviceName().find("sm_90a, PTX)"), std::string::npos) << model->deviceName();
}

TEST_F(CudaFailureTest, OutOfMemory) {
  set("SM1_EMULATOR_MEMORY", "1000");
  EXPECT_ERROR(tryOpen(), "weights: cuda:0 (");
  EXPECT_ERROR(tryOpen(), "): out of memory, 1664 bytes are needed, 1000 of 1000 are free; ");
  set("SM1_EMULATOR_MEMORY", "6000");
  auto model = tryOpen();
  ASSERT_OK(model);
  Sequence sequence = model->newSequence();
  std::vector<int32_t> tokens(4000, 1);
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = tokens.data();
  piece.count = 4000;
  EXPECT_ERROR(model->run("prefill", {piece}), "workspace: cuda:0 (");
  EXPECT_EQ(sequence.position(), 0);
  EXPECT_EQ(sequence.read(0), ToyReference().h);
  // What failed to grow is tried again, and fits.
  auto outputs = run(*model, sequence);
  ASSERT_OK(outputs);
  EXPECT_EQ((*outputs)[0], ToyReference().step(token));
}

// Every call of the driver, failing in its turn: an error that names the function's error and leaves the sequence alone, or none.
TEST_F(CudaFailureTest, EveryCallMayFail) {
  for (const char *function :
       {"cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuStreamCreate",
        "cuMemAlloc_v2", "cuMemsetD8Async", "cuMemAllocHost_v2", "cuMemcpyHtoDAsync_v2", "cuModuleLoadDataEx",
        "cuModuleGetFunction", "cuFuncGetAttribute", "cuFuncSetAttribute"}) {
    set("SM1_EMULATOR_FAIL", std::string(function) + ":1:801");
    EXPECT_ERROR(tryOpen(), "CUDA_ERROR_NOT_SUPPORTED");
  }
  for (const char *function : {"cuLaunchKernelEx", "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
                               "cuGraphLaunch", "cuMemcpyDtoHAsync_v2", "cuStreamSynchronize"}) {
    set("SM1_EMULATOR_FAIL", std::string(function) + ":1:801"); // opening calls none of them
    Model model = open();
    Sequence sequence = model.newSequence();
    EXPECT_ERROR(run(model, sequence), "CUDA_ERROR_NOT_SUPPORTED");
    EXPECT_EQ(sequence.position(), 0) << function;
  }
}

TEST_F(CudaFailureTest, ALostDeviceStaysLost) {
  for (const char *failure :
       {"cuLaunchKernelEx:1:700", "cuGraphLaunch:1:700", "cuStreamSynchronize:1:700", "cuMemcpyHtoDAsync_v2:4:700"}) {
    set("SM1_EMULATOR_FAIL", failure);
    Model model = open();
    Sequence sequence = model.newSequence();
    EXPECT_ERROR(run(model, sequence), "CUDA_ERROR_ILLEGAL_ADDRESS");
    for (const char *entry : {"step", "prefill"})
      EXPECT_ERROR(run(model, sequence, entry), "cuda:0: the device was lost: CUDA_ERROR_ILLEGAL_ADDRESS");
    EXPECT_ERROR(sequence.write(0, ToyReference().h), "the device was lost");
  }
}

//===-- Files that lie ------------------------------------------------------------------------------------------------------===//

/// The package with one thing of its GPU program changed does not open.
#define EXPECT_REFUSED(pathInProgram, value, text)                                                                                 \
  do {                                                                                                                             \
    ToyGpuOptions changed;                                                                                                         \
    nlohmann::json program = toyGpuPlan(changed)["programs"]["sm_90"];                                                             \
    program[nlohmann::json::json_pointer(std::string("/") + pathInProgram)] = value;                                               \
    changed.changes = program;                                                                                                     \
    write(changed);                                                                                                                \
    EXPECT_ERROR(Package::open(package), text);                                                                                    \
  } while (false)

TEST_F(CudaErrorTest, PlansThatLie) {
  EXPECT_REFUSED("entries/step/0/threads", 48, "48 is not a multiple of 32");
  EXPECT_REFUSED("entries/step/0/threads", 2048, "threads");
  EXPECT_REFUSED("entries/step/0/threads", 0, "threads");
  EXPECT_REFUSED("entries/step/0/shared", -1, "shared");
  EXPECT_REFUSED("entries/step/0/shared", 1 << 30, "shared");
  EXPECT_REFUSED("entries/step/0/row_split", 0, "row_split");
  EXPECT_REFUSED("entries/step/0/panel_split", 0, "panel_split");
  EXPECT_REFUSED("entries/step/0/time_split", -1, "time_split");
  EXPECT_REFUSED("entries/step/0/cluster", 9, "cluster");
  EXPECT_REFUSED("entries/step/0/walks", 3, "walks");
  EXPECT_REFUSED("entries/step/0/chunks", 32, "chunks");
  EXPECT_REFUSED("entries/step/0/chunks", 128, "blocks that take chunks of segments go on from tile to tile");
  EXPECT_REFUSED("entries/step/0/panels", 70000, "70000 panels in blocks of 1 make 70000 blocks");
  EXPECT_REFUSED("entries/step/0/rows", "layers", "'layers' is none of 'all', 'selected', 'segments'");
  EXPECT_REFUSED("entries/step/3/rows", "segments", "a launch over segments cannot use a buffer of selected rows");
  EXPECT_REFUSED("kernels/0/name", "toy embed", "'toy embed' is no name of a PTX entry");
  EXPECT_REFUSED("compute", "f64", "'f64' is none of");
  EXPECT_REFUSED("overlaps", 1, "overlaps");
  nlohmann::json map = {{"arg", 0}, {"rows", 128}, {"channels", 32}};
  EXPECT_REFUSED("entries/step/1/map", map, "arg 0 is no buffer of bf16");
  map["arg"] = 3;
  EXPECT_REFUSED("entries/step/1/map", map, "arg");
  map["arg"] = 0, map["rows"] = 257;
  EXPECT_REFUSED("entries/step/1/map", map, "rows");
}

TEST_F(CudaErrorTest, ComputeOfItsOwn) {
  ToyGpuOptions options;
  options.changes = {{"compute", "bf16"}};
  write(options);
  auto opened = Package::open(package);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->plan.programs.at("sm_90").compute, "bf16");
  EXPECT_EQ(opened->plan.programs.at("x86-64-v3").compute, "f32");
}

TEST_F(CudaErrorTest, CodeThatLies) {
  ToyGpuOptions options;
  options.ptx += std::string(1, '\0') + "more";
  write(options);
  EXPECT_ERROR(Package::open(package), "tensor 'kernel/sm_90' is no PTX, which has one NUL byte, its last");
  options = {};
  options.target = "sm_9";
  write(options);
  EXPECT_ERROR(Package::open(package), "target 'sm_9' names no compute capability");
}

} // namespace
