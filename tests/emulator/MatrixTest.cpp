// mma.sync, ldmatrix and cp.async against plain loops.
#include "EmulatorTest.h"
#include "SoftFloat.h"

#include <cmath>
#include <random>

using namespace emulator;

namespace {

struct Case {
  const char *name;
  unsigned k, elementBytes;
  const char *accumulator;
};

/// Values that every format holds exactly, so that any error of layout shows and none of rounding.
int smallValue(std::mt19937 &random) { return int(random() % 15) - 7; }

uint32_t encoded(int value, const std::string &type) {
  float real = float(value);
  if (type == "bf16")
    return bitCast<uint32_t>(real) >> 16;
  if (type == "tf32")
    return bitCast<uint32_t>(real);
  if (type == "s8")
    return uint8_t(value);
  if (type == "e4m3")
    return toE4m3(real).bits;
  if (!value)
    return 0;
  int exponent = std::ilogb(real);
  auto mantissa = static_cast<uint32_t>((std::fabs(real) / std::ldexp(1.0f, exponent) - 1) * 1024);
  return (value < 0 ? 0x8000u : 0u) | uint32_t(exponent + 15) << 10 | mantissa;
}

std::string registers(const char *prefix, unsigned first, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i)
    text += std::string(i ? ", " : "") + prefix + std::to_string(first + i);
  return text + "}";
}

/// Loads the fragments as the PTX manual lays them out, multiplies, stores C as words.
void checkMma(const std::string &type, unsigned k, const std::string &accumulator) {
  unsigned bytes = type == "tf32" ? 4 : type == "s8" || type == "e4m3" ? 1 : 2, perRegister = 4 / bytes;
  unsigned aRegisters = 16 * k / 32 / perRegister, bRegisters = 8 * k / 32 / perRegister;
  std::mt19937 random(k);
  std::vector<int> a(16 * k), b(8 * k), c(128);
  for (auto *matrix : {&a, &b, &c})
    for (int &value : *matrix)
      value = smallValue(random);
  std::vector<uint32_t> words(32 * 16, 0);
  for (unsigned lane = 0; lane < 32; ++lane) {
    unsigned group = lane / 4, inGroup = lane % 4;
    uint32_t *mine = &words[lane * 16];
    // Element i of A and B, from the formulas of the manual for 16-bit types, generalised by the elements of a register.
    for (unsigned i = 0; i < aRegisters * perRegister; ++i) {
      unsigned r = i / perRegister, row = group + (r % 2 ? 8 : 0),
               column = inGroup * perRegister + i % perRegister + (r >= 2 ? 4 * perRegister : 0);
      mine[r] |= encoded(a[row * k + column], type) << (8 * bytes * (i % perRegister));
    }
    for (unsigned i = 0; i < bRegisters * perRegister; ++i) {
      unsigned r = i / perRegister, row = inGroup * perRegister + i % perRegister + r * 4 * perRegister;
      mine[4 + r] |= encoded(b[group * k + row], type) << (8 * bytes * (i % perRegister));
    }
    for (unsigned i = 0; i < 4; ++i) {
      int value = c[(group + (i / 2) * 8) * 8 + inGroup * 2 + i % 2];
      mine[8 + i] = accumulator == "f32" ? bitCast<uint32_t>(float(value)) : uint32_t(value);
    }
  }
  std::string d = accumulator == "f32" ? "%f" : "%r", text = "shl.b64 %rd3, %rd0, 3; add.s64 %rd1, %rd1, %rd3;\n";
  for (unsigned i = 0; i < 8; ++i)
    text += "ld.global.b32 %r" + std::to_string(10 + i) + ", [%rd1+" + std::to_string(4 * i) + "];\n";
  for (unsigned i = 0; i < 4; ++i)
    text += "ld.global.b32 " + d + std::to_string(20 + i) + ", [%rd1+" + std::to_string(32 + 4 * i) + "];\n";
  text += "mma.sync.aligned.m16n8k" + std::to_string(k) + ".row.col." + accumulator + "." + type + "." + type + "." + accumulator +
          " " + registers(d.c_str(), 20, 4) + ", " + registers("%r", 10, aRegisters) + ", " + registers("%r", 14, bRegisters) +
          ", " + registers(d.c_str(), 20, 4) + ";\n";
  for (unsigned i = 0; i < 4; ++i)
    text += "st.global.b32 [%rd1+" + std::to_string(32 + 4 * i) + "], " + d + std::to_string(20 + i) + ";\n";
  Gpu gpu;
  CUdeviceptr memory = gpu.upload(words);
  std::string module = type == "e4m3" ? forTarget("sm_89", "8.4", kernel(1, text)) : kernel(1, text);
  ASSERT_EQ(gpu.run(gpu.function(module), 1, 32, {memory}), 0) << type;
  auto results = gpu.download<uint32_t>(memory, words.size());
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 4; ++i) {
      unsigned row = lane / 4 + (i / 2) * 8, column = lane % 4 * 2 + i % 2;
      int wanted = c[row * 8 + column];
      for (unsigned j = 0; j < k; ++j)
        wanted += a[row * k + j] * b[column * k + j];
      uint32_t found = results[lane * 16 + 8 + i];
      ASSERT_EQ(accumulator == "f32" ? int(bitCast<float>(found)) : int(found), wanted)
          << type << " k" << k << " row " << row << " column " << column;
    }
}

TEST(MatrixTest, Mma) {
  for (const char *schedule : {"warps", "threads"}) {
    Environment environment("SM1_EMULATOR_SCHEDULE", schedule);
    checkMma("bf16", 16, "f32");
    checkMma("bf16", 8, "f32");
    checkMma("f16", 16, "f32");
    checkMma("f16", 8, "f32");
    checkMma("tf32", 4, "f32");
    checkMma("tf32", 8, "f32");
    checkMma("s8", 16, "s32");
    checkMma("s8", 32, "s32");
    checkMma("e4m3", 32, "f32");
  }
}

/// Each lane fills row `lane` of four matrices with 256 i + 8 row + column, then loads `count` of them.
std::vector<uint32_t> loadedMatrices(unsigned count, bool transposed) {
  std::string text = "mov.u32 %r2, tile; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3; shr.u32 %r4, %r1, 3; shl.b32 %r4, %r4, 8; "
                     "and.b32 %r5, %r1, 7; shl.b32 %r5, %r5, 3; add.u32 %r4, %r4, %r5;\n";
  for (unsigned i = 0; i < 8; ++i)
    text += "add.u32 %r6, %r4, " + std::to_string(i) + "; st.shared.u16 [%r2+" + std::to_string(2 * i) + "], %r6;\n";
  text += "bar.warp.sync -1;\nldmatrix.sync.aligned.m8n8.x" + std::to_string(count) + (transposed ? ".trans" : "") +
          ".shared.b16 " + registers("%r", 10, count) + ", [%r2];\nshl.b64 %rd3, %rd0, 1; add.s64 %rd1, %rd1, %rd3;\n";
  for (unsigned i = 0; i < count; ++i)
    text += "st.global.u32 [%rd1+" + std::to_string(4 * i) + "], %r" + std::to_string(10 + i) + ";\n";
  Gpu gpu;
  CUdeviceptr out = gpu.upload(std::vector<uint32_t>(128, 0));
  EXPECT_EQ(gpu.run(gpu.function(kernel(1, text, ".shared .align 16 .b8 tile[512];\n")), 1, 32, {out}), 0);
  return gpu.download<uint32_t>(out, 128);
}

TEST(MatrixTest, Ldmatrix) {
  for (unsigned count : {1u, 2u, 4u})
    for (bool transposed : {false, true}) {
      auto words = loadedMatrices(count, transposed);
      for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned i = 0; i < count; ++i) {
          auto at = [&](unsigned e) {
            unsigned row = lane / 4, column = lane % 4 * 2 + e;
            return 256 * i + (transposed ? 8 * column + row : 8 * row + column);
          };
          ASSERT_EQ(words[lane * 4 + i], at(0) | at(1) << 16) << count << " matrices, lane " << lane;
        }
    }
}

TEST(MatrixTest, AsyncCopiesFillWithZeros) {
  std::string text = "mov.u32 %r2, tile; shl.b32 %r3, %r1, 4; add.u32 %r2, %r2, %r3; shl.b64 %rd3, %rd0, 1; add.s64 %rd1, %rd1, "
                     "%rd3; add.s64 %rd2, %rd2, %rd3; and.b32 %r4, %r1, 15;\n"
                     "cp.async.cg.shared.global [%r2], [%rd1], 16, %r4;\ncp.async.commit_group;\ncp.async.ca.shared.global "
                     "[%r2+512], [%rd1+8], 8;\ncp.async.commit_group;\n"
                     "cp.async.wait_group 1;\nld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r2];\nst.global.v4.u32 [%rd2], {%r10, "
                     "%r11, %r12, %r13};\n"
                     "cp.async.wait_all;\nld.shared.v2.u32 {%r10, %r11}, [%r2+512];\nst.global.v2.u32 [%rd2+512], {%r10, %r11};\n";
  Gpu gpu;
  std::vector<uint8_t> source(512);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<uint8_t>(i * 7 + 1);
  CUdeviceptr in = gpu.upload(source), out = gpu.upload(std::vector<uint8_t>(1024, 0));
  ASSERT_EQ(gpu.run(gpu.function(kernel(2, text, ".shared .align 16 .b8 tile[1024];\n")), 1, 32, {in, out}), 0);
  auto bytes = gpu.download<uint8_t>(out, 1024);
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 16; ++i) {
      ASSERT_EQ(bytes[lane * 16 + i], i < lane % 16 ? source[lane * 16 + i] : 0);
      if (i < 8) {
        ASSERT_EQ(bytes[512 + lane * 16 + i], source[lane * 16 + 8 + i]);
      }
    }
}

} // namespace
