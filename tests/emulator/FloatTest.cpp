// Floats of every width: rounding modes, NaN, flushing, conversions, against the arithmetic of the host.
#include "EmulatorTest.h"

#include <cfenv>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

using namespace emulator;

namespace {

const float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<Inputs> floatInputs() {
  std::vector<Inputs> inputs;
  const float edges[] = {0.0f,     -0.0f, 1.0f,  -1.5f, 1e-40f, -3e-39f,  1.17549435e-38f, 3.4e38f,
                         -3.4e38f, kInf,  -kInf, kNan,  0.1f,   65519.0f, 65520.0f,        1.00390625f};
  for (float a : edges)
    for (float b : edges)
      inputs.push_back({bits(a), bits(b), bits(a * 0.5f + 1)});
  std::mt19937 random(2);
  for (int i = 0; i < 128; ++i) {
    auto any = [&] { return bits(std::ldexp(float(int(random())) * 0x1p-31f, int(random() % 60) - 30)); };
    inputs.push_back({any(), any(), any()});
  }
  return inputs;
}

using Reference = std::function<float(float, float, float)>;

void expectFloats(const std::string &instruction, size_t operands, const Reference &reference) {
  auto inputs = floatInputs();
  auto results = evaluate(instruction, "f32", std::vector<std::string>(operands, "f32"), inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    float expected = reference(asFloat(inputs[i][0]), asFloat(inputs[i][1]), asFloat(inputs[i][2]));
    uint32_t wanted = std::isnan(expected) ? 0x7fffffffu : bitCast<uint32_t>(expected);
    ASSERT_EQ(uint32_t(results[i]), wanted) << instruction << " of " << asFloat(inputs[i][0]) << ", " << asFloat(inputs[i][1])
                                            << ", " << asFloat(inputs[i][2]);
  }
}

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

template <class Body> float rounded(int mode, Body body) {
  std::fesetround(mode);
  volatile float result = body();
  std::fesetround(FE_TONEAREST);
  return result;
}

TEST(FloatTest, NearestArithmetic) {
  expectFloats("add.rn.f32 %d, %a, %b;", 2, [](float a, float b, float) { return a + b; });
  expectFloats("sub.f32 %d, %a, %b;", 2, [](float a, float b, float) { return a - b; });
  expectFloats("mul.rn.f32 %d, %a, %b;", 2, [](float a, float b, float) { return a * b; });
  expectFloats("div.rn.f32 %d, %a, %b;", 2, [](float a, float b, float) { return a / b; });
  expectFloats("fma.rn.f32 %d, %a, %b, %c;", 3, [](float a, float b, float c) { return std::fma(a, b, c); });
  expectFloats("sqrt.rn.f32 %d, %a;", 1, [](float a, float, float) { return std::sqrt(a); });
  expectFloats("rcp.rn.f32 %d, %a;", 1, [](float a, float, float) { return 1 / a; });
}

TEST(FloatTest, FlushAndSaturate) {
  expectFloats("add.rn.ftz.f32 %d, %a, %b;", 2, [](float a, float b, float) { return flushed(flushed(a) + flushed(b)); });
  expectFloats("mul.ftz.f32 %d, %a, %b;", 2, [](float a, float b, float) { return flushed(flushed(a) * flushed(b)); });
  expectFloats("add.sat.f32 %d, %a, %b;", 2, [](float a, float b, float) {
    float sum = a + b;
    return sum > 0 ? std::fmin(sum, 1.0f) : 0.0f; // NaN becomes 0
  });
}

TEST(FloatTest, DirectedRounding) {
  struct {
    const char *name;
    int mode;
  } modes[] = {{"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  for (auto [name, mode] : modes) {
    int host = mode;
    expectFloats("add." + std::string(name) + ".f32 %d, %a, %b;", 2, [=](float a, float b, float) {
      volatile float x = a, y = b;
      return rounded(host, [&] { return x + y; });
    });
    expectFloats("fma." + std::string(name) + ".f32 %d, %a, %b, %c;", 3,
                 [=](float a, float b, float c) { return rounded(host, [&] { return std::fma(a, b, c); }); });
    auto inputs = std::vector<Inputs>{{bits(1.0 / 3)}, {bits(-1.0 / 3)}, {bits(1e-50)}, {bits(1e300)}, {bits(-2.5)}};
    auto results = evaluate("cvt." + std::string(name) + ".f32.f64 %d, %a;", "f32", {"f64"}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      volatile double source = bitCast<double>(inputs[i][0]);
      EXPECT_EQ(asFloat(results[i]), rounded(host, [&] { return static_cast<float>(source); })) << name << " " << source;
    }
  }
}

TEST(FloatTest, MinMax) {
  auto pick = [](bool maximum, bool propagate) {
    return [=](float a, float b, float) {
      if (std::isnan(a) || std::isnan(b))
        return propagate ? kNan : std::isnan(a) ? b : a;
      if (a == b)
        return std::signbit(a) == maximum ? b : a;
      return (a < b) != maximum ? a : b;
    };
  };
  expectFloats("min.f32 %d, %a, %b;", 2, pick(false, false));
  expectFloats("max.f32 %d, %a, %b;", 2, pick(true, false));
  expectFloats("min.NaN.f32 %d, %a, %b;", 2, pick(false, true));
  expectFloats("max.NaN.f32 %d, %a, %b;", 2, pick(true, true));
}

TEST(FloatTest, ComparisonsWithNan) {
  struct {
    const char *relation;
    std::function<bool(float, float)> holds;
  } cases[] = {{"lt", [](float a, float b) { return a < b; }},
               {"ltu", [](float a, float b) { return !(a >= b); }},
               {"ne", [](float a, float b) { return a < b || a > b; }},
               {"neu", [](float a, float b) { return a != b; }},
               {"equ", [](float a, float b) { return !(a < b || a > b); }},
               {"num", [](float a, float b) { return a == a && b == b; }},
               {"nan", [](float a, float b) { return a != a || b != b; }}};
  for (auto &test : cases)
    expectFloats("setp." + std::string(test.relation) + ".f32 %p1, %a, %b; selp.f32 %d, 0f3F800000, 0f00000000, %p1;", 2,
                 [&](float a, float b, float) { return test.holds(a, b) ? 1.0f : 0.0f; });
}

TEST(FloatTest, ApproximateFunctions) {
  struct {
    const char *name;
    double relativeError; // of a device, from the PTX manual, with some air
    std::function<double(double)> exact;
  } cases[] = {{"ex2.approx.f32", 1e-6, [](double x) { return std::exp2(x); }},
               {"lg2.approx.f32", 1e-6, [](double x) { return std::log2(x); }},
               {"rsqrt.approx.f32", 1e-6, [](double x) { return 1 / std::sqrt(x); }},
               {"tanh.approx.f32", 6e-4, [](double x) { return std::tanh(x); }},
               {"sin.approx.f32", 2e-6, [](double x) { return std::sin(x); }},
               {"rcp.approx.ftz.f32", 1e-6, [](double x) { return 1 / x; }}};
  std::vector<Inputs> inputs = {{bits(0.3f)}, {bits(1.0f)}, {bits(2.75f)}, {bits(7.5f)}};
  for (auto &test : cases) {
    auto results = evaluate(std::string(test.name) + " %d, %a;", "f32", {"f32"}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      double wanted = test.exact(double(asFloat(inputs[i][0])));
      EXPECT_NEAR(asFloat(results[i]), wanted, test.relativeError * std::fabs(wanted)) << test.name;
    }
  }
}

TEST(FloatTest, ToIntegers) {
  std::vector<Inputs> inputs;
  const float values[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 3e9f, -3e9f, 5e9f, kNan, kInf, -kInf, 1e-30f};
  for (float value : values)
    inputs.push_back({bits(value), 0, 0});
  struct {
    const char *name;
    std::vector<int64_t> wanted;
  } cases[] = {{"rni.s32", {0, 2, 2, 0, -2, 2147483647, -2147483648ll, 2147483647, 0, 2147483647, -2147483648ll, 0}},
               {"rzi.s32", {0, 1, 2, 0, -1, 2147483647, -2147483648ll, 2147483647, 0, 2147483647, -2147483648ll, 0}},
               {"rmi.s32", {0, 1, 2, -1, -2, 2147483647, -2147483648ll, 2147483647, 0, 2147483647, -2147483648ll, 0}},
               {"rpi.u32", {1, 2, 3, 0, 0, 3000000000ll, 0, 4294967295ll, 0, 4294967295ll, 0, 1}}};
  for (auto &test : cases) {
    auto results = evaluate("cvt." + std::string(test.name) + ".f32 %d, %a;", "b32", {"f32"}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_EQ(uint32_t(results[i]), uint32_t(test.wanted[i])) << test.name << " of " << values[i];
  }
  auto wide = evaluate("cvt.rzi.s64.f32 %d, %a;", "b64", {"f32"}, {{bits(kNan)}, {bits(-3e9f)}, {bits(1e30f)}});
  EXPECT_EQ(wide, (std::vector<uint64_t>{0x8000000000000000, uint64_t(-3000000000ll), 0x7fffffffffffffff}));
  auto floats = evaluate("cvt.rn.f32.u64 %d, %a;", "f32", {"b64"}, {{0xffffffffffffffff}, {0x8000008000000001}, {16777217}});
  EXPECT_EQ(asFloat(floats[0]), 18446744073709551616.0f);
  EXPECT_EQ(asFloat(floats[1]), 9223373136366403584.0f); // just above the middle
  EXPECT_EQ(asFloat(floats[2]), 16777216.0f);
}

// ---- 16-bit floats: a value is the nearest of all 65536 candidates, ties to even ----

double valueOf(uint16_t bits, bool brain) {
  int exponentBits = brain ? 8 : 5, mantissaBits = 15 - exponentBits, bias = (1 << (exponentBits - 1)) - 1;
  int exponent = bits >> mantissaBits & ((1 << exponentBits) - 1), mantissa = bits & ((1 << mantissaBits) - 1);
  double magnitude = exponent ? std::ldexp(1 + std::ldexp(mantissa, -mantissaBits), exponent - bias)
                              : std::ldexp(mantissa, 1 - bias - mantissaBits);
  return bits & 0x8000 ? -magnitude : magnitude;
}

uint16_t nearest(long double value, bool brain) {
  uint16_t infinity = brain ? 0x7f80 : 0x7c00, sign = std::signbit(value) ? 0x8000 : 0;
  long double magnitude = std::fabs(value);
  uint16_t low = 0, high = infinity; // bit patterns grow with the value; the infinity stands where the next number would be
  while (high - low > 1) {
    auto middle = static_cast<uint16_t>((low + high) / 2);
    (static_cast<long double>(valueOf(middle, brain)) <= magnitude ? low : high) = middle;
  }
  long double below = magnitude - static_cast<long double>(valueOf(low, brain)),
              above = static_cast<long double>(valueOf(high, brain)) - magnitude;
  bool up = above < below || (above == below && low % 2);
  return static_cast<uint16_t>(sign | (up ? high : low));
}

TEST(FloatTest, ToNarrowFloats) {
  auto inputs = floatInputs();
  for (bool brain : {false, true}) {
    auto results = evaluate(brain ? "cvt.rn.bf16.f32 %h1, %a; mov.b16 %d, %h1;" : "cvt.rn.f16.f32 %h1, %a; mov.b16 %d, %h1;", "b16",
                            {"f32"}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      float value = asFloat(inputs[i][0]);
      uint16_t wanted =
          std::isnan(value)
              ? 0x7fff
              : nearest(static_cast<long double>(std::isinf(value) ? std::copysign(1e39L, static_cast<long double>(value)) : value),
                        brain);
      ASSERT_EQ(results[i] & 0xffff, wanted) << value << (brain ? " to bf16" : " to f16");
    }
  }
  auto packed = evaluate("cvt.rn.bf16x2.f32 %d, %a, %b;", "b32", {"f32", "f32"}, {{bits(1.0f), bits(-2.0f)}});
  EXPECT_EQ(packed[0], 0x3f80c000u);
  auto relu = evaluate("cvt.rn.relu.f16x2.f32 %d, %a, %b;", "b32", {"f32", "f32"}, {{bits(-1.0f), bits(2.0f)}});
  EXPECT_EQ(relu[0], 0x00004000u);
  auto tf32 = evaluate("cvt.rna.tf32.f32 %d, %a;", "b32", {"f32"}, {{bits(1.0f + 0x1p-11f)}, {bits(-1.0f - 0x1p-12f)}});
  EXPECT_EQ(tf32[0], bits(1.0f + 0x1p-10f));
  EXPECT_EQ(tf32[1], bits(-1.0f));
}

TEST(FloatTest, ToE4m3) {
  for (auto [value, wanted] : std::initializer_list<std::pair<float, unsigned>>{{1.0f, 0x38},
                                                                                {-1.0625f, 0xb8}, // halves go to the even one
                                                                                {1.1875f, 0x3a},
                                                                                {448, 0x7e},
                                                                                {-500, 0xfe},
                                                                                {INFINITY, 0x7e},
                                                                                {NAN, 0x7f},
                                                                                {0x1p-9f, 1},
                                                                                {0x1.8p-9f, 2},
                                                                                {0x1p-10f, 0},
                                                                                {0x1.fp-7f, 8}, // from below the normal ones
                                                                                {-0.0f, 0x80}})
    EXPECT_EQ(evaluate("cvt.rn.satfinite.e4m3x2.f32 %h1, %a, %b; mov.b16 %d, %h1;", "b16", {"f32", "f32"},
                       {{bits(value), bits(2.0f)}})[0] &
                  0xffff,
              wanted << 8 | 0x40)
        << value;
}

TEST(FloatTest, NarrowArithmetic) {
  std::mt19937 random(3);
  for (bool brain : {false, true}) {
    std::vector<Inputs> inputs;
    uint16_t infinity = brain ? 0x7f80 : 0x7c00;
    for (int i = 0; i < 512; ++i) {
      Inputs input{};
      for (auto &operand : input)
        operand = (random() % infinity) | (random() & 0x8000);
      // 1.5 (1 + n / 128) lies halfway between two numbers for odd n, and +-2^-60 decides: where rounding twice goes wrong.
      if (i < 64 && brain)
        input = {0x3f80u + unsigned(i % 32), 0x3fc0, i & 32 ? 0xa180u : 0x2180u};
      inputs.push_back(input);
    }
    std::string type = brain ? "bf16" : "f16";
    auto run = [&](const std::string &text) { return evaluate(text + " mov.b16 %d, %h1;", "b16", {"b16", "b16", "b16"}, inputs); };
    auto sums = run("add.rn." + type + " %h1, %a, %b;"), products = run("mul.rn." + type + " %h1, %a, %b;"),
         fmas = run("fma.rn." + type + " %h1, %a, %b, %c;");
    for (size_t i = 0; i < inputs.size(); ++i) {
      long double a = static_cast<long double>(valueOf(uint16_t(inputs[i][0]), brain)),
                  b = static_cast<long double>(valueOf(uint16_t(inputs[i][1]), brain)),
                  c = static_cast<long double>(valueOf(uint16_t(inputs[i][2]), brain));
      ASSERT_EQ(sums[i] & 0xffff, nearest(a + b, brain)) << type;
      ASSERT_EQ(products[i] & 0xffff, nearest(a * b, brain)) << type;
      // 64 bits of significand are not always exact either: only where they are.
      long double product = a * b, sum = product + c;
      if (sum - product == c && sum - c == product) {
        ASSERT_EQ(fmas[i] & 0xffff, nearest(sum, brain)) << type;
      }
    }
  }
}

TEST(FloatTest, PackedPairs) {
  uint64_t a = 0x40003f80, b = 0x3f804040; // bf16 {1, 2} and {3, 1}, low half first
  EXPECT_EQ(evaluate("fma.rn.bf16x2 %d, %a, %b, %a;", "b32", {"b32", "b32"}, {{a, b}})[0], 0x40804080u); // {4, 4}
  EXPECT_EQ(evaluate("max.NaN.bf16x2 %d, %a, %b;", "b32", {"b32", "b32"}, {{0x7fc03f80, b}})[0], 0x7fff4040u);
}

TEST(FloatTest, PackedSinglePairs) {
  Environment environment("SM1_EMULATOR_CAPABILITY", "12.0");
  uint64_t x = bits(1.5f) | bits(-2.0f) << 32, y = bits(2.0f) | bits(0.25f) << 32;
  EXPECT_EQ(evaluate("mul.rn.f32x2 %d, %a, %b;", "b64", {"b64", "b64"}, {{x, y}}, "sm_100", "8.7")[0], bits(3.0f) | bits(-0.5f)
                                                                                                                        << 32);
  EXPECT_EQ(evaluate("fma.rn.f32x2 %d, %a, %b, %a;", "b64", {"b64", "b64"}, {{x, y}}, "sm_100", "8.7")[0], bits(4.5f) | bits(-2.5f)
                                                                                                                            << 32);
}

TEST(FloatTest, Doubles) {
  std::vector<Inputs> inputs = {
      {bits(1.0), bits(3.0), bits(-1.0 / 3)}, {bits(1e308), bits(10.0), bits(0.0)}, {bits(0.1), bits(0.2), bits(0.3)}};
  auto quotients = evaluate("div.rn.f64 %d, %a, %b;", "f64", {"f64", "f64"}, inputs);
  auto fmas = evaluate("fma.rn.f64 %d, %a, %b, %c;", "f64", {"f64", "f64", "f64"}, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    double a = bitCast<double>(inputs[i][0]), b = bitCast<double>(inputs[i][1]), c = bitCast<double>(inputs[i][2]);
    EXPECT_EQ(quotients[i], bits(a / b));
    EXPECT_EQ(fmas[i], bits(std::fma(a, b, c)));
  }
}

} // namespace
