// wgmma against plain loops, and what is wrong around it.
#include "EmulatorTest.h"
#include "SoftFloat.h"

#include <cmath>
#include <random>

using namespace emulator;

namespace {

constexpr unsigned kRows = 64, kColumns = 24;

/// A 64 x k and a 24 x k matrix of small integers, and the shared memory in which they lie swizzled, k numbers of a row together,
/// as bf16 or e4m3.
struct Operands {
  explicit Operands(unsigned k, bool fp8 = false)
      : k(k), fp8(fp8), rows(kRows * k), columns(kColumns * k), image((kRows + kColumns) * rowBytes()) {
    std::mt19937 random(k);
    for (auto *matrix : {&rows, &columns})
      for (int &value : *matrix)
        value = int(random() % 15) - 7;
    place(rows, 0);
    place(columns, kRows * rowBytes());
  }
  unsigned bytes() const { return fp8 ? 1 : 2; }
  unsigned rowBytes() const { return k * bytes(); }
  void place(const std::vector<int> &matrix, unsigned first) {
    unsigned chunks = rowBytes() / 16;
    for (unsigned i = 0; i < matrix.size(); ++i) {
      unsigned row = i / k, at = i % k * bytes(), turn = row * chunks / 8 % chunks; // eight chunks of 16 bytes are all banks
      uint16_t number = fp8 ? toE4m3(float(matrix[i])).bits : uint16_t(bitCast<uint32_t>(float(matrix[i])) >> 16);
      std::memcpy(&image[first + row * rowBytes() + (at / 16 ^ turn) * 16 + at % 16], &number, bytes());
    }
  }
  int sum(unsigned row, unsigned column) const {
    int total = 0;
    for (unsigned j = 0; j < k; ++j)
      total += rows[row * k + j] * columns[column * k + j];
    return total;
  }

  unsigned k;
  bool fp8;
  std::vector<int> rows, columns;
  std::vector<uint8_t> image;
};

std::string sumRegisters() {
  std::string text = "{";
  for (unsigned i = 0; i < kColumns / 2; ++i)
    text += (i ? ", %f" : "%f") + std::to_string(i);
  return text + "}";
}

std::string product(unsigned at16Bytes, bool adds = true, bool fp8 = false) {
  std::string offset = std::to_string(at16Bytes);
  return "add.s64 %rd6, %rd4, " + offset + "; add.s64 %rd7, %rd5, " + offset + ";\n" + "wgmma.mma_async.sync.aligned.m64n24" +
         (fp8 ? "k32.f32.e4m3.e4m3 " : "k16.f32.bf16.bf16 ") + sumRegisters() + ", %rd6, %rd7, " + (adds ? "1" : "0") +
         (fp8 ? ", 1, 1;\n" : ", 1, 1, 0, 0;\n");
}

/// Copies the image to shared memory, runs `body` and stores each thread's registers; %rd4 and %rd5 are the descriptors.
std::string program(const Operands &operands, const std::string &body) {
  unsigned bytes = unsigned(operands.image.size()), rowBytes = operands.rowBytes(),
           mode = rowBytes == 128  ? 1
                  : rowBytes == 64 ? 2
                                   : 3;
  uint64_t fixed = uint64_t(mode) << 62 | uint64_t(rowBytes * 8 / 16) << 32 | 1 << 16;
  std::string text =
      "mov.u32 %r2, tile; shl.b32 %r3, %r1, 1; add.u32 %r3, %r3, %r2; mul.wide.u32 %rd3, %r1, 2; add.s64 %rd3, %rd3, %rd1;\n";
  for (unsigned at = 0; at < bytes; at += 256)
    text += "ld.global.u16 %h1, [%rd3+" + std::to_string(at) + "]; st.shared.u16 [%r3+" + std::to_string(at) + "], %h1;\n";
  text += "fence.proxy.async; bar.sync 0;\nshr.u32 %r4, %r2, 4; cvt.u64.u32 %rd4, %r4; or.b64 %rd4, %rd4, " +
          std::to_string(fixed) + "; add.s64 %rd5, %rd4, " + std::to_string(kRows * rowBytes / 16) + ";\n";
  for (unsigned i = 0; i < kColumns / 2; ++i)
    text += "mov.f32 %f" + std::to_string(i) + ", 0f3f800000;\n";
  text += body + "mul.lo.u32 %r5, %r1, " + std::to_string(kColumns * 2) + "; cvt.u64.u32 %rd8, %r5; add.s64 %rd2, %rd2, %rd8;\n";
  for (unsigned i = 0; i < kColumns / 2; ++i)
    text += "st.global.f32 [%rd2+" + std::to_string(4 * i) + "], %f" + std::to_string(i) + ";\n";
  return forTarget("sm_90a", "8.0", kernel(2, text, ".shared .align 1024 .b8 tile[" + std::to_string(bytes) + "];\n"));
}

/// Its registers, [thread][register]; `error` is what the launch says.
std::vector<float> run(const Operands &operands, const std::string &body, int &error) {
  Gpu gpu;
  CUdeviceptr in = gpu.upload(operands.image), out = gpu.upload(std::vector<float>(128 * kColumns / 2, 0));
  error = gpu.run(gpu.function(program(operands, body)), 1, 128, {in, out});
  return error ? std::vector<float>() : gpu.download<float>(out, 128 * kColumns / 2);
}

std::string allProducts(const Operands &operands, bool adds) {
  std::string text = "wgmma.fence.sync.aligned;\n";
  for (unsigned at = 0; at < operands.rowBytes(); at += 32)
    text += product(at / 16, adds || at, operands.fp8);
  return text + "wgmma.commit_group.sync.aligned;\n";
}

void expectSums(const Operands &operands, const std::vector<float> &found, int before) {
  ASSERT_EQ(found.size(), 128 * kColumns / 2);
  for (unsigned thread = 0; thread < 128; ++thread)
    for (unsigned i = 0; i < kColumns / 2; ++i) {
      unsigned row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + thread % 4 * 2 + i % 2;
      ASSERT_EQ(found[thread * kColumns / 2 + i], float(operands.sum(row, column) + before)) << row << " " << column;
    }
}

TEST(WgmmaTest, Products) {
  for (bool fp8 : {false, true})
    for (unsigned lines : {1u, 2u, 4u}) {
      Operands operands(lines * (fp8 ? 32 : 16), fp8);
      for (bool adds : {false, true}) {
        int error = 0;
        auto found = run(operands, allProducts(operands, adds) + "wgmma.wait_group.sync.aligned 0;\n", error);
        ASSERT_EQ(error, 0) << lines;
        expectSums(operands, found, adds);
      }
    }
}

/// Sums are there when their group has been waited for, not before, and go with registers that are moved meanwhile.
TEST(WgmmaTest, SumsLandWhenTheyAreWaitedFor) {
  Operands operands(32);
  int error = 0;
  std::string first = "wgmma.fence.sync.aligned;\n" + product(0) + "wgmma.commit_group.sync.aligned;\n", second = product(2);
  auto found = run(operands, first + second + "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n", error);
  ASSERT_EQ(error, 0);
  expectSums(operands, found, 1);
  found = run(operands, first + second + "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 1;\n", error);
  ASSERT_EQ(error, 0);
  for (float value : found)
    ASSERT_TRUE(std::isnan(value));
  found = run(operands, first + "mov.f32 %f40, %f3;\nwgmma.wait_group.sync.aligned 0;\nmov.f32 %f3, %f40;\n", error);
  ASSERT_EQ(error, 0);
  ASSERT_FALSE(std::isnan(found[3]));
}

TEST(WgmmaTest, WaitsThatAreLeftOut) {
  Operands operands(16);
  std::string wait = "wgmma.wait_group.sync.aligned 0;\n", write = "mov.u32 %r6, 0; st.shared.u32 [tile+4], %r6;\n";
  int error = 0;
  run(operands,
      allProducts(operands, true) + wait + "bar.sync 0; setp.eq.u32 %p1, %r1, 0;\n@%p1 bra WRITE;\nbra DONE;\nWRITE:\n" + write +
          "DONE:\n",
      error);
  EXPECT_EQ(error, 0);
  run(operands,
      allProducts(operands, true) + "setp.eq.u32 %p1, %r1, 0;\n@%p1 bra WRITE;\nbra DONE;\nWRITE:\n" + write +
          "DONE:\nbar.sync 0;\n" + wait,
      error);
  EXPECT_NE(error, 0) << "an operand is written while it is read";
  run(operands, product(0) + "wgmma.commit_group.sync.aligned;\n" + wait, error);
  EXPECT_NE(error, 0) << "no wgmma.fence";
}

} // namespace
