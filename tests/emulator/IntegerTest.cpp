// Integer and bit instructions against the arithmetic of the host.
#include "EmulatorTest.h"

#include <algorithm>
#include <functional>
#include <random>

using namespace emulator;

namespace {

std::vector<Inputs> integerInputs() {
  std::vector<Inputs> inputs;
  const uint64_t edges[] = {0,
                            1,
                            2,
                            31,
                            32,
                            33,
                            63,
                            64,
                            65,
                            0x7fffffff,
                            0x80000000,
                            0xffffffff,
                            0x7fffffffffffffff,
                            0x8000000000000000,
                            ~0ull,
                            0xffffffff80000000};
  for (uint64_t a : edges)
    for (uint64_t b : edges)
      inputs.push_back({a, b, a ^ (b << 1)});
  std::mt19937_64 random(1);
  for (int i = 0; i < 64; ++i)
    inputs.push_back({random(), random() >> (random() % 64), random()});
  return inputs;
}

using Reference = std::function<uint64_t(uint64_t, uint64_t, uint64_t)>;

void expectEqual(const std::string &instruction, const std::string &result, const std::vector<std::string> &types,
                 const Reference &reference) {
  auto inputs = integerInputs();
  auto results = evaluate(instruction, result, types, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    ASSERT_EQ(results[i], reference(inputs[i][0], inputs[i][1], inputs[i][2]))
        << instruction << " of " << inputs[i][0] << ", " << inputs[i][1] << ", " << inputs[i][2];
}

using i32 = int32_t;
using u32 = uint32_t;
using i64 = int64_t;
using u64 = uint64_t;

TEST(IntegerTest, Arithmetic32) {
  const std::vector<std::string> two = {"b32", "b32"}, three = {"b32", "b32", "b32"};
  expectEqual("add.s32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u32(a + b); });
  expectEqual("sub.u32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u32(a - b); });
  expectEqual("mul.lo.s32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u32(a * b); });
  expectEqual("mul.hi.u32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u64(u32(a)) * u32(b) >> 32; });
  expectEqual("mul.hi.s32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u32(u64(i64(i32(a)) * i32(b)) >> 32); });
  expectEqual("mul.wide.s32 %d, %a, %b;", "b64", two, [](u64 a, u64 b, u64) { return u64(i64(i32(a)) * i32(b)); });
  expectEqual("mad.lo.s32 %d, %a, %b, %c;", "b32", three, [](u64 a, u64 b, u64 c) { return u32(a * b + c); });
  expectEqual("mad.wide.u32 %d, %a, %b, %c;", "b64", {"b32", "b32", "b64"},
              [](u64 a, u64 b, u64 c) { return u64(u32(a)) * u32(b) + c; });
  expectEqual("min.s32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return u32(std::min(i32(a), i32(b))); });
  expectEqual("max.u32 %d, %a, %b;", "b32", two, [](u64 a, u64 b, u64) { return std::max(u32(a), u32(b)); });
  expectEqual("abs.s32 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) { return i32(a) < 0 ? u32(0 - a) : u32(a); });
  expectEqual("add.sat.s32 %d, %a, %b;", "b32", two,
              [](u64 a, u64 b, u64) { return u32(i32(std::clamp<i64>(i64(i32(a)) + i32(b), -2147483648ll, 2147483647ll))); });
  expectEqual("sad.u32 %d, %a, %b, %c;", "b32", three,
              [](u64 a, u64 b, u64 c) { return u32(c + (u32(a) < u32(b) ? b - a : a - b)); });
}

TEST(IntegerTest, Division) {
  expectEqual("div.u32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) { return u32(b) ? u32(a) / u32(b) : ~0u; });
  expectEqual("rem.s32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) {
    return i32(b) == 0 ? ~0u : i32(b) == -1 ? 0u : u32(i32(a) % i32(b));
  });
  expectEqual("rem.u64 %d, %a, %b;", "b64", {"b64", "b64"}, [](u64 a, u64 b, u64) { return b ? a % b : ~0ull; });
  expectEqual("div.s64 %d, %a, %b;", "b64", {"b64", "b64"}, [](u64 a, u64 b, u64) {
    return b == 0 ? ~0ull : i64(b) == -1 ? 0 - a : u64(i64(a) / i64(b));
  });
}

TEST(IntegerTest, Arithmetic64AndCarries) {
  expectEqual("mul.hi.s64 %d, %a, %b;", "b64", {"b64", "b64"},
              [](u64 a, u64 b, u64) { return u64((__int128)i64(a) * i64(b) >> 64); });
  expectEqual("mad.lo.u64 %d, %a, %b, %c;", "b64", {"b64", "b64", "b64"}, [](u64 a, u64 b, u64 c) { return a * b + c; });
  expectEqual("add.cc.u64 %d, %a, %b; addc.u64 %d, %c, 0;", "b64", {"b64", "b64", "b64"},
              [](u64 a, u64 b, u64 c) { return c + (a + b < a); });
  // The upper half of a product of 64 bits, from halves.
  expectEqual(
      "mov.b64 {%r2, %r3}, %a; mov.b64 {%r4, %r5}, %b; mul.hi.u32 %r6, %r2, %r4; mad.lo.cc.u32 %r6, %r2, %r5, %r6; "
      "madc.hi.u32 %r7, %r2, %r5, 0; mad.lo.cc.u32 %r6, %r3, %r4, %r6; madc.hi.cc.u32 %r7, %r3, %r4, %r7; addc.u32 %r8, 0, 0; "
      "mad.lo.cc.u32 %r7, %r3, %r5, %r7; madc.hi.u32 %r8, %r3, %r5, %r8; mov.b64 %d, {%r7, %r8};",
      "b64", {"b64", "b64"}, [](u64 a, u64 b, u64) { return u64((unsigned __int128)a * b >> 64); });
  expectEqual("sub.cc.u32 %d, %a, %b; subc.u32 %d, %c, 0;", "b32", {"b32", "b32", "b32"},
              [](u64 a, u64 b, u64 c) { return u32(c - (u32(a) < u32(b))); });
}

TEST(IntegerTest, PackedHalves) {
  expectEqual("add.u16x2 %d, %a, %b;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return u64(uint16_t(a + b)) | u64(uint16_t((a >> 16) + (b >> 16))) << 16; });
  expectEqual("max.s16x2 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) {
    auto larger = [&](int shift) { return u64(uint16_t(std::max(int16_t(a >> shift), int16_t(b >> shift)))) << shift; };
    return larger(0) | larger(16);
  });
}

TEST(IntegerTest, Shifts) {
  expectEqual("shl.b32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) { return u32(b) > 31 ? 0 : u32(a) << u32(b); });
  expectEqual("shr.u32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) { return u32(b) > 31 ? 0 : u32(a) >> u32(b); });
  expectEqual("shr.s32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) { return u32(i32(a) >> std::min(u32(b), 31u)); });
  expectEqual("shr.s64 %d, %a, %b;", "b64", {"b64", "b32"}, [](u64 a, u64 b, u64) { return u64(i64(a) >> std::min(u32(b), 63u)); });
  expectEqual("shl.b64 %d, %a, %b;", "b64", {"b64", "b32"}, [](u64 a, u64 b, u64) { return u32(b) > 63 ? 0 : a << u32(b); });
  expectEqual("shf.l.wrap.b32 %d, %a, %b, %c;", "b32", {"b32", "b32", "b32"},
              [](u64 a, u64 b, u64 c) { return u32(((u64(u32(b)) << 32 | u32(a)) << (c & 31)) >> 32); });
  expectEqual("shf.r.clamp.b32 %d, %a, %b, %c;", "b32", {"b32", "b32", "b32"},
              [](u64 a, u64 b, u64 c) { return u32((u64(u32(b)) << 32 | u32(a)) >> std::min(u32(c), 32u)); });
}

TEST(IntegerTest, Bits) {
  expectEqual("popc.b64 %d, %a;", "b32", {"b64"}, [](u64 a, u64, u64) { return u64(__builtin_popcountll(a)); });
  expectEqual("clz.b32 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) { return u32(a) ? u64(__builtin_clz(u32(a))) : 32; });
  expectEqual("bfind.s32 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) {
    u32 x = i32(a) < 0 ? ~u32(a) : u32(a);
    return x ? u32(31 - __builtin_clz(x)) : ~0u;
  });
  expectEqual("brev.b32 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) {
    u32 r = 0;
    for (int i = 0; i < 32; ++i)
      r |= (u32(a) >> i & 1) << (31 - i);
    return r;
  });
  expectEqual("bfe.u32 %d, %a, %b, 5;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return (b & 255) > 31 ? 0 : u32(a) >> (b & 255) & 31; });
  expectEqual("bfe.s32 %d, %a, 3, 7;", "b32", {"b32"}, [](u64 a, u64, u64) { return u32(i32(u32(a) << 22) >> 25); });
  expectEqual("bfi.b32 %d, %a, %b, 4, 9;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return (u32(b) & ~(511u << 4)) | (u32(a) & 511) << 4; });
  expectEqual("lop3.b32 %d, %a, %b, %c, 0xCA;", "b32", {"b32", "b32", "b32"},
              [](u64 a, u64 b, u64 c) { return u32((a & b) | (~a & c)); });
  expectEqual("prmt.b32 %d, %a, %b, 0x5140;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return u32((a & 255) | (b & 255) << 8 | (a >> 8 & 255) << 16 | (b >> 8 & 255) << 24); });
  expectEqual("prmt.b32 %d, %a, 0, 0xBA98;", "b32", {"b32"}, [](u64 a, u64, u64) {
    u32 r = 0;
    for (int i = 0; i < 32; i += 8)
      r |= (a >> i & 0x80 ? 255u : 0u) << i;
    return r;
  });
  expectEqual("not.b64 %d, %a;", "b64", {"b64"}, [](u64 a, u64, u64) { return ~a; });
}

TEST(IntegerTest, NarrowTypesExtend) {
  expectEqual("cvt.s32.s8 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) { return u32(i32(int8_t(a))); });
  expectEqual("cvt.u32.u16 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) { return u64(uint16_t(a)); });
  expectEqual("cvt.s64.s32 %d, %a;", "b64", {"b32"}, [](u64 a, u64, u64) { return u64(i64(i32(a))); });
  expectEqual("cvt.sat.s8.s32 %d, %a;", "b32", {"b32"}, [](u64 a, u64, u64) { return u32(std::clamp(i32(a), -128, 127)); });
  expectEqual("ld.global.s8 %d, [%rd1];", "b32", {}, [](u64 a, u64, u64) { return u32(i32(int8_t(a))); });
  expectEqual("ld.global.s32 %d, [%rd1];", "b64", {}, [](u64 a, u64, u64) { return u64(i64(i32(a))); });
  expectEqual("mov.b64 {%r10, %r11}, %a; mov.b64 %d, {%r11, %r10};", "b64", {"b64"},
              [](u64 a, u64, u64) { return a << 32 | a >> 32; });
  expectEqual("mov.b32 {%h1, %h2}, %a; add.s16 %h1, %h1, %h2; mov.b32 %d, {%h2, %h1};", "b32", {"b32"},
              [](u64 a, u64, u64) { return u64(uint16_t(a >> 16)) | u64(uint16_t(a + (a >> 16))) << 16; });
}

TEST(IntegerTest, ComparisonsAndSelection) {
  expectEqual("setp.lt.s32 %p1, %a, %b; selp.b32 %d, 1, 0, %p1;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return u64(i32(a) < i32(b)); });
  expectEqual("setp.hi.u64 %p1|%p2, %a, %b; selp.b32 %r9, 1, 0, %p1; selp.b32 %d, 2, %r9, %p2;", "b32", {"b64", "b64"},
              [](u64 a, u64 b, u64) { return a > b ? 1ull : 2ull; });
  expectEqual("setp.eq.s32 %p1, %b, 0; setp.ge.and.s32 %p2, %a, 0, !%p1; selp.b32 %d, %a, %b, %p2;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return i32(a) >= 0 && u32(b) != 0 ? u32(a) : u32(b); });
  expectEqual("setp.gt.u32 %p1, %a, %b; @!%p1 add.u32 %d, %a, 7; @%p1 sub.u32 %d, %a, 7;", "b32", {"b32", "b32"},
              [](u64 a, u64 b, u64) { return u32(a) > u32(b) ? u32(a - 7) : u32(a + 7); });
  expectEqual("set.lt.u32.s32 %d, %a, %b;", "b32", {"b32", "b32"}, [](u64 a, u64 b, u64) { return i32(a) < i32(b) ? ~0u : 0u; });
}

} // namespace
