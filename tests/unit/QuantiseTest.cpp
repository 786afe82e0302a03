// Quantised matrices: integers and scales by hand, layouts against the place that the format gives each number.
#include "TestFiles.h"
#include "sm1rt/Packing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace sm1rt;

namespace {

using Steps = std::vector<PackingStep>;
constexpr DType F32 = DType::F32, F16 = DType::F16;

/// Packs into a vector of T.
template <typename T> std::vector<T> packed(const TensorType &source, const void *data, const Steps &steps) {
  auto type = packedType(source, steps);
  EXPECT_TRUE(bool(type)) << type.error().message;
  std::vector<T> out(*elementCount(type->shape), T(77));
  EXPECT_EQ(dtypeBytes(type->dtype), sizeof(T));
  auto done = pack(source, data, steps, out.data(), out.size() * sizeof(T), threadedFor(3));
  EXPECT_TRUE(bool(done)) << done.error().message;
  return out;
}

std::vector<float> normals(size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

std::vector<float> asFloats(const std::vector<uint16_t> &halves) {
  std::vector<float> values(halves.size());
  convertElements(F16, halves.data(), F32, values.data(), halves.size());
  return values;
}

// Scale 1: integers stay as they are, halves go to the even neighbour.
TEST(QuantiseTest, EightBitsByHand) {
  std::vector<float> rows{127, 2.5f, 3.5f, -0.5f, -126.5f, 1.49f, /* scale 2 */ -254, 1, 3, 5, 0, -0.0f, /* nothing */ 0,
                          0,   0,    0,    0,     0};
  TensorType type{F32, {3, 6}};
  EXPECT_EQ(packed<int8_t>(type, rows.data(), {PackingStep::quantise(8, 0, F32)}),
            (std::vector<int8_t>{127, 2, 4, 0, -126, 1, -127, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(packed<float>(type, rows.data(), {PackingStep::scales(8, 0, F32)}), (std::vector<float>{1, 2, 0}));
}

// Every number of e4m3 is itself; between two of them the nearest, of halves the even one; 448 is the end, and NaN stays.
TEST(QuantiseTest, E4m3) {
  std::vector<uint8_t> all(256), back(256);
  for (size_t i = 0; i < 256; ++i)
    all[i] = uint8_t(i);
  std::vector<float> values(256);
  convertElements(DType::F8E4M3, all.data(), F32, values.data(), 256);
  convertElements(F32, values.data(), DType::F8E4M3, back.data(), 256);
  EXPECT_EQ(back, all);
  EXPECT_EQ(values[0x38], 1.0f);
  EXPECT_EQ(values[0x7e], 448.0f);
  EXPECT_EQ(values[0x81], -0x1p-9f);
  EXPECT_TRUE(std::isnan(values[0x7f]));
  for (size_t i = 0; i + 1 < 0x7f; ++i) {
    float half = (values[i] + values[i + 1]) / 2, numbers[] = {std::nextafter(half, 0.0f), half, std::nextafter(half, 500.0f)};
    uint8_t rounded[3];
    convertElements(F32, numbers, DType::F8E4M3, rounded, 3);
    EXPECT_EQ(rounded[0], i);
    EXPECT_EQ(rounded[1], i + i % 2);
    EXPECT_EQ(rounded[2], i + 1);
  }
  float beyond[] = {449, -1e30f, INFINITY, -INFINITY};
  uint8_t rounded[4];
  convertElements(F32, beyond, DType::F8E4M3, rounded, 4);
  EXPECT_EQ(std::vector<uint8_t>(rounded, rounded + 4), (std::vector<uint8_t>{0x7e, 0xfe, 0x7e, 0xfe}));
}

// With the scales of 8 bits: 1, 2 and none.
TEST(QuantiseTest, MatrixOfE4m3) {
  std::vector<float> rows{127, 1, -1.0625f, /* scale 2 */ -254, 2.25f, 0, /* nothing */ 0, 0, 0};
  TensorType type{F32, {3, 3}};
  EXPECT_EQ(packed<uint8_t>(type, rows.data(), {PackingStep::e4m3(8, 0, F32)}),
            (std::vector<uint8_t>{0x70, 0x38, 0xb8, 0xf0, 0x39, 0, 0, 0, 0}));
  EXPECT_ERROR(packedType(type, {PackingStep::e4m3(4, 0, F32)}), "it takes the place of 8 bits");
}

// Groups of four, the last one of two; each with its own scale, which is negative where the extreme weight is positive.
TEST(QuantiseTest, FourBitsByHand) {
  std::vector<float> row{-8, 7, 2, 0, 1, -0.875f, 0.125f, 0, 16, -4};
  TensorType type{F32, {1, 10}};
  EXPECT_EQ(packed<int8_t>(type, row.data(), {PackingStep::quantise(4, 4, F16)}),
            (std::vector<int8_t>{-8, 7, 2, 0, -8, 7, -1, 0, -8, 2}));
  EXPECT_EQ(asFloats(packed<uint16_t>(type, row.data(), {PackingStep::scales(4, 4, F16)})), (std::vector<float>{1, -0.125f, -2}));
}

// Of all candidates, computed in double, none is better.
TEST(QuantiseTest, FourBitsOfLeastError) {
  constexpr size_t group = 32, groups = 500;
  std::vector<float> source = normals(groups * group);
  TensorType type{F32, {1, int64_t(source.size())}};
  std::vector<float> scales = packed<float>(type, source.data(), {PackingStep::scales(4, group, F32)});
  for (size_t g = 0; g < groups; ++g) {
    const float *weights = source.data() + g * group;
    double extreme = *std::max_element(weights, weights + group, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    auto errorOf = [&](double scale) {
      double sum = 0;
      for (size_t k = 0; k < group; ++k)
        sum += std::pow(weights[k] - scale * std::min(7.0, std::max(-8.0, std::nearbyint(weights[k] / scale))), 2);
      return sum;
    };
    double least = 1e30;
    bool candidate = false;
    for (double divisor = 6.5; divisor <= 10.25; divisor += 0.25) {
      least = std::min(least, errorOf(-extreme / divisor));
      candidate |= scales[g] == float(-extreme / divisor);
    }
    EXPECT_TRUE(candidate) << g;
    EXPECT_LE(errorOf(scales[g]), least * 1.0001) << g;
  }
}

// The integers belong to the scale as it is stored: 1/3 as F16 is a little less than 1/3.
TEST(QuantiseTest, ScalesAreRoundedFirst) {
  std::vector<float> source = normals(64 * 100);
  TensorType type{F32, {64, 100}};
  for (auto [bits, limit] : {std::pair<int64_t, float>{8, 127}, {4, 7}})
    for (int64_t group : {0, 32, 1000}) {
      auto integers = packed<int8_t>(type, source.data(), {PackingStep::quantise(bits, group, F16)});
      auto scales = asFloats(packed<uint16_t>(type, source.data(), {PackingStep::scales(bits, group, F16)}));
      size_t groups = group == 32 ? 4 : 1;
      ASSERT_EQ(scales.size(), 64 * groups);
      for (size_t i = 0; i < source.size(); ++i) {
        float scale = scales[i / 100 * groups + (group == 32 ? i % 100 / 32 : 0)];
        ASSERT_NE(scale, 0.0f);
        ASSERT_EQ(float(integers[i]), std::min(limit, std::max(-limit - (bits == 4), std::nearbyint(source[i] / scale)))) << i;
      }
    }
}

// Any dtype of a checkpoint, from some of its rows.
TEST(QuantiseTest, TakesRowsOfSixteenBits) {
  std::vector<float> source = normals(9 * 40);
  std::vector<uint16_t> narrow(source.size());
  convertElements(F32, source.data(), DType::BF16, narrow.data(), source.size());
  convertElements(DType::BF16, narrow.data(), F32, source.data(), source.size());
  Steps steps{PackingStep::rows(2, 7), PackingStep::quantise(8, 0, F32)};
  EXPECT_EQ(packed<int8_t>({DType::BF16, {9, 40}}, narrow.data(), steps), packed<int8_t>({F32, {9, 40}}, source.data(), steps));
  std::vector<float> part(source.begin() + 80, source.begin() + 280);
  EXPECT_EQ(packed<int8_t>({F32, {9, 40}}, source.data(), steps), packed<int8_t>({F32, {5, 40}}, part.data(), {steps[1]}));
}

// Scales as kernels read them: one row for all channels, or a panel's together.
TEST(QuantiseTest, ScalesAsRowAndAsPanels) {
  std::vector<float> source = normals(21 * 70);
  TensorType type{F32, {21, 70}};
  std::vector<float> whole = packed<float>(type, source.data(), {PackingStep::scales(8, 0, F32)});
  Steps row{PackingStep::scales(8, 0, F32), PackingStep::channelsLast(), PackingStep::pad(32)};
  EXPECT_EQ(*packedType(type, row), (TensorType{F32, {1, 32}}));
  std::vector<float> padded = packed<float>(type, source.data(), row);
  whole.resize(32, 0.0f);
  EXPECT_EQ(padded, whole);
  Steps panels{PackingStep::scales(4, 32, F16), PackingStep::panels()};
  EXPECT_EQ(*packedType(type, panels), (TensorType{F16, {2, 3, 16}}));
  auto scales = packed<uint16_t>(type, source.data(), {panels[0]}), inPanels = packed<uint16_t>(type, source.data(), panels);
  for (size_t n = 0; n < 32; ++n)
    for (size_t g = 0; g < 3; ++g)
      ASSERT_EQ(inPanels[(n / 16 * 3 + g) * 16 + n % 16], n < 21 ? scales[n * 3 + g] : 0);
}

// With group 1 the scales have the shape and dtype of the matrix, and are still not the matrix.
TEST(QuantiseTest, AScalePerWeight) {
  std::vector<float> source = normals(6);
  std::vector<float> scales = packed<float>({F32, {2, 3}}, source.data(), {PackingStep::scales(8, 1, F32)});
  for (size_t i = 0; i < source.size(); ++i)
    EXPECT_EQ(scales[i], std::fabs(source[i]) / 127);
}

TEST(LayoutTest, Pairs) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 8}, {37, 45}}) {
    std::vector<uint16_t> source(size_t(rows * columns));
    for (size_t i = 0; i < source.size(); ++i)
      source[i] = uint16_t(0x3f80 + i);
    Steps steps{PackingStep::pairs()};
    TensorType type{DType::BF16, {rows, columns}};
    int64_t panels = (rows + 15) / 16, halves = (columns + 1) / 2;
    EXPECT_EQ(*packedType(type, steps), (TensorType{DType::BF16, {panels, halves, 16, 2}}));
    std::vector<uint16_t> result = packed<uint16_t>(type, source.data(), steps);
    for (int64_t n = 0; n < panels * 16; ++n)
      for (int64_t k = 0; k < halves * 2; ++k)
        ASSERT_EQ(result[size_t(((n / 16 * halves + k / 2) * 16 + n % 16) * 2 + k % 2)],
                  n < rows && k < columns ? source[size_t(n * columns + k)] : 0);
  }
}

TEST(LayoutTest, PairsOfRoundedWeights) {
  std::vector<float> source = normals(20 * 6);
  std::vector<uint16_t> narrow(source.size());
  convertElements(F32, source.data(), DType::BF16, narrow.data(), source.size());
  EXPECT_EQ(packed<uint16_t>({F32, {20, 6}}, source.data(), {PackingStep::cast(DType::BF16), PackingStep::pairs()}),
            packed<uint16_t>({DType::BF16, {20, 6}}, narrow.data(), {PackingStep::pairs()}));
}

TEST(LayoutTest, Quads) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 8}, {37, 45}, {50, 1030}}) {
    std::vector<float> source = normals(size_t(rows * columns));
    TensorType type{F32, {rows, columns}};
    Steps steps{PackingStep::quantise(8, 0, F32), PackingStep::quads()};
    int64_t panels = (rows + 15) / 16, fours = (columns + 3) / 4;
    EXPECT_EQ(*packedType(type, steps), (TensorType{DType::U8, {panels, fours, 16, 4}}));
    std::vector<int8_t> integers = packed<int8_t>(type, source.data(), {steps[0]});
    std::vector<uint8_t> result = packed<uint8_t>(type, source.data(), steps);
    for (int64_t n = 0; n < panels * 16; ++n)
      for (int64_t k = 0; k < fours * 4; ++k)
        ASSERT_EQ(int(result[size_t(((n / 16 * fours + k / 4) * 16 + n % 16) * 4 + k % 4)]),
                  128 + (n < rows && k < columns ? integers[size_t(n * columns + k)] : 0));
  }
}

TEST(LayoutTest, Nibbles) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 32}, {37, 45}, {50, 1050}}) {
    std::vector<float> source = normals(size_t(rows * columns));
    TensorType type{F32, {rows, columns}};
    Steps steps{PackingStep::quantise(4, 32, F16), PackingStep::nibbles()};
    int64_t panels = (rows + 15) / 16, blocks = (columns + 31) / 32;
    EXPECT_EQ(*packedType(type, steps), (TensorType{DType::U8, {panels, blocks, 4, 16, 4}}));
    std::vector<int8_t> integers = packed<int8_t>(type, source.data(), {steps[0]});
    std::vector<uint8_t> result = packed<uint8_t>(type, source.data(), steps);
    auto code = [&](int64_t n, int64_t k) { return 8 + (n < rows && k < columns ? integers[size_t(n * columns + k)] : 0); };
    size_t place = 0;
    for (int64_t p = 0; p < panels; ++p)
      for (int64_t b = 0; b < blocks; ++b)
        for (int64_t j = 0; j < 4; ++j)
          for (int64_t n = p * 16; n < p * 16 + 16; ++n)
            for (int64_t i = 0; i < 4; ++i, ++place) {
              int64_t k = 32 * b + 4 * j + i;
              ASSERT_EQ(int(result[place]), code(n, k) | code(n, k + 16) << 4) << n << " " << k;
            }
  }
}

// Weights so large or so small that their scale is at the end of its type.
TEST(QuantiseTest, ExtremeWeights) {
  float huge[4] = {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 1, 0};
  TensorType type{F32, {1, 4}};
  EXPECT_EQ(packed<int8_t>(type, huge, {PackingStep::quantise(8, 0, F32)}), (std::vector<int8_t>{127, -127, 0, 0}));
  int8_t out[4];
  uint16_t scale;
  EXPECT_ERROR(pack(type, huge, {PackingStep::quantise(4, 0, F16)}, out, 4), "is not finite as F16; store weights as f32 or bf16");
  EXPECT_ERROR(pack(type, huge, {PackingStep::scales(4, 0, F16)}, &scale, 2), "is not finite as F16");
  // Below half of F16's least number a scale is 0 and the row with it.
  float tiny[4] = {1e-7f, -1e-7f, 1e-44f, 0};
  EXPECT_EQ(packed<int8_t>(type, tiny, {PackingStep::quantise(4, 0, F16)}), (std::vector<int8_t>{0, 0, 0, 0}));
  EXPECT_EQ(packed<int8_t>(type, tiny, {PackingStep::quantise(8, 0, F32)}), (std::vector<int8_t>{127, -127, 0, 0}));
}

TEST(QuantiseTest, RefusesWhatDoesNotFit) {
  TensorType matrix{F32, {16, 32}};
  PackingStep eight = PackingStep::quantise(8, 0, F32), four = PackingStep::quantise(4, 32, F16);
  auto refused = [&](const Steps &steps, const char *text) { EXPECT_ERROR(packedType(matrix, steps), text); };
  refused({PackingStep::quantise(5, 0, F32)}, "step 'quantise to 5 bits' does not fit F32 [16, 32]: integers have 8 or 4 bits");
  refused({PackingStep::quantise(8, -1, F32)}, "a group has at least one column");
  refused({PackingStep::scales(8, 0, DType::BF16)}, "scales are F32 or F16");
  refused({PackingStep::quads()}, "quads are of a quantised matrix");
  refused({PackingStep::nibbles()}, "quantised to 4 bits");
  refused({eight, PackingStep::nibbles()}, "step 'nibbles' does not fit I8 [16, 32]: nibbles are of a matrix quantised to 4 bits");
  refused({PackingStep::pairs()}, "pairs are of 16-bit numbers");
  refused({eight, PackingStep::pairs()}, "pairs are of 16-bit numbers");
  refused({eight, PackingStep::cast(F32)}, "weights are F32, F16 or BF16");
  refused({eight, PackingStep::panels()}, "panels are of F32, F16 or BF16");
  refused({eight, eight}, "it holds integers already");
  refused({eight, PackingStep::scales(8, 0, F32)}, "it holds integers already");
  refused({four, PackingStep::nibbles(), PackingStep::pad(16)}, "a layout of integers is padded already");
  refused({four, PackingStep::quads(), PackingStep::quads()}, "quads are of a quantised matrix");
  EXPECT_ERROR(packedType({F32, {16}}, {eight}), "only a matrix is quantised");
  EXPECT_ERROR(packedType({F32, {16, 0}}, {eight}), "only a matrix is quantised");
  EXPECT_ERROR(packedType({DType::I8, {16, 4}}, {PackingStep::quads()}), "cannot be packed");
}

TEST(QuantiseTest, StepsAsJson) {
  EXPECT_EQ(toJson({PackingStep::quantise(4, 32, F16), PackingStep::nibbles()}),
            R"([{"op":"quantise","bits":4,"group":32,"scale":"f16"},{"op":"nibbles"}])");
  EXPECT_EQ(toJson({PackingStep::scales(8, 0, F32), PackingStep::quads(), PackingStep::pairs()}),
            R"([{"op":"scales","bits":8,"group":0,"scale":"f32"},{"op":"quads"},{"op":"pairs"}])");
}

} // namespace
