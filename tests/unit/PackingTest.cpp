// Packing steps against plain loops, conversions against every 16-bit value.
#include "sm1rt/Packing.h"
#include "TestFiles.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace sm1rt;

namespace {

std::vector<float> randomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

/// Packs into a vector of T.
template <typename T>
std::vector<T> packed(const TensorType &source, const void *data, const std::vector<PackingStep> &steps,
                      const ParallelFor &parallel = serialFor) {
  auto type = packedType(source, steps);
  EXPECT_TRUE(bool(type));
  std::vector<T> out(*elementCount(type->shape), T(77));
  EXPECT_EQ(dtypeBytes(type->dtype), sizeof(T));
  auto done = pack(source, data, steps, out.data(), out.size() * sizeof(T), parallel);
  EXPECT_TRUE(bool(done)) << done.error().message;
  return out;
}

uint16_t toHalf(DType type, float value) {
  uint16_t bits;
  convertElements(DType::F32, &value, type, &bits, 1);
  return bits;
}

float fromHalf(DType type, uint16_t bits) {
  float value;
  convertElements(type, &bits, DType::F32, &value, 1);
  return value;
}

/// The value of 16 bits, from the definition of the formats.
double meaning(DType type, uint16_t bits) {
  int exponentBits = type == DType::F16 ? 5 : 8, fractionBits = 15 - exponentBits, bias = (1 << (exponentBits - 1)) - 1;
  int exponent = bits >> fractionBits & ((1 << exponentBits) - 1), fraction = bits & ((1 << fractionBits) - 1);
  double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponentBits) - 1)
    return fraction ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0)
    return sign * std::ldexp(fraction, 1 - bias - fractionBits);
  return sign * std::ldexp(fraction + (1 << fractionBits), exponent - bias - fractionBits);
}

// Every value is read as what it means and comes back as it was.
TEST(ConvertTest, AllSixteenBitValues) {
  for (DType type : {DType::F16, DType::BF16})
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      double wanted = meaning(type, uint16_t(bits));
      float value = fromHalf(type, uint16_t(bits));
      if (std::isnan(wanted)) {
        EXPECT_TRUE(std::isnan(value));
        EXPECT_TRUE(std::isnan(fromHalf(type, toHalf(type, value))));
      } else {
        ASSERT_EQ(double(value), wanted) << bits;
        ASSERT_EQ(toHalf(type, value), bits);
      }
    }
}

// Halfway between two neighbours the even one wins; a hair away the nearer one.
TEST(ConvertTest, RoundsToNearestEven) {
  for (DType type : {DType::F16, DType::BF16}) {
    uint32_t infinity = type == DType::F16 ? 0x7c00 : 0x7f80;
    for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
      double low = meaning(type, uint16_t(bits)), high = meaning(type, uint16_t(bits + 1));
      float middle = float((low + high) / 2);
      ASSERT_EQ(double(middle), (low + high) / 2);
      ASSERT_EQ(toHalf(type, middle), bits + (bits & 1)) << bits;
      ASSERT_EQ(toHalf(type, std::nextafter(middle, 0.0f)), bits);
      ASSERT_EQ(toHalf(type, std::nextafter(middle, HUGE_VALF)), bits + 1);
      ASSERT_EQ(toHalf(type, -middle), 0x8000 | (bits + (bits & 1)));
    }
    EXPECT_EQ(toHalf(type, HUGE_VALF), infinity);
    EXPECT_EQ(toHalf(type, std::numeric_limits<float>::max()), infinity);
  }
  EXPECT_EQ(toHalf(DType::F16, 65519.0f), 0x7bff);
  EXPECT_EQ(toHalf(DType::F16, 65520.0f), 0x7c00);
}

// The usual list, at sizes that fit no panel and no block: [N, K] to [ceil(N/16), K, 16] with zeros for missing rows.
TEST(PackingTest, RowsCastPanels) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 7}, {37, 48}, {50, 257}, {33, 600}}) {
    std::vector<float> source = randomFloats(size_t((rows + 5) * columns), 1);
    for (DType to : {DType::F32, DType::BF16, DType::F16}) {
      std::vector<PackingStep> steps{PackingStep::rows(3, 3 + rows), PackingStep::cast(to), PackingStep::panels()};
      TensorType type{DType::F32, {rows + 5, columns}};
      int64_t panels = (rows + 15) / 16;
      EXPECT_EQ(*packedType(type, steps), (TensorType{to, {panels, columns, 16}}));
      std::vector<float> result(size_t(panels * columns * 16));
      if (to == DType::F32) {
        result = packed<float>(type, source.data(), steps, threadedFor(3));
      } else {
        std::vector<uint16_t> narrow = packed<uint16_t>(type, source.data(), steps, threadedFor(3));
        convertElements(to, narrow.data(), DType::F32, result.data(), narrow.size());
      }
      for (int64_t n = 0; n < panels * 16; ++n)
        for (int64_t k = 0; k < columns; ++k) {
          float wanted = n < rows ? source[size_t((n + 3) * columns + k)] : 0.0f;
          wanted = to == DType::F32 ? wanted : fromHalf(to, toHalf(to, wanted));
          ASSERT_EQ(result[size_t((n / 16 * columns + k) * 16 + n % 16)], wanted) << n << " " << k;
        }
    }
  }
}

TEST(PackingTest, ConvolutionWeight) {
  std::vector<float> source = randomFloats(21 * 1 * 4, 2);
  std::vector<float> result =
      packed<float>({DType::F32, {21, 1, 4}}, source.data(), {PackingStep::channelsLast(), PackingStep::pad(32)});
  ASSERT_EQ(result.size(), 4u * 32);
  for (size_t k = 0; k < 4; ++k)
    for (size_t c = 0; c < 32; ++c)
      EXPECT_EQ(result[k * 32 + c], c < 21 ? source[c * 4 + k] : 0.0f);
}

// What wgmma finds where it looks: column c of a product of 8 columns in line c, swizzled, and in them neighbouring rows of the
// matrix for the thread that has columns 2t and 2t + 1 of each.
TEST(PackingTest, Images) {
  constexpr int64_t rows = 37, columns = 70, lines = 48;
  std::vector<uint16_t> source(rows * columns);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = uint16_t(i + 1);
  auto result = packed<uint16_t>({DType::BF16, {rows, columns}}, source.data(), {PackingStep::images()}, threadedFor(3));
  ASSERT_EQ(result.size(), size_t(3 * lines * 32));
  for (int64_t panel = 0; panel < lines / 16; ++panel)
    for (int64_t thread = 0; thread < 4; ++thread)
      for (int64_t i = 0; i < 4; ++i)
        for (int64_t k = 0; k < 96; ++k) {
          int64_t line = panel * 16 + i / 2 * 8 + thread * 2 + i % 2, row = panel * 16 + thread * 4 + i;
          int64_t byte = (k / 32 * lines + line) * 64 + k % 32 * 2, turned = byte ^ (byte >> 7 & 3) << 4;
          EXPECT_EQ(result[size_t(turned / 2)], row < rows && k < columns ? source[size_t(row * columns + k)] : 0)
              << row << " " << k;
        }
}

// What a stage holds: of each step and panel its fragments, as "fragments" has them, then half a line of zeros; panels in eights.
TEST(PackingTest, Stages) {
  constexpr int64_t rows = 37, columns = 70, panels = 8, wide = 1056, tile = 256;
  std::vector<uint16_t> source(rows * columns);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = uint16_t(i + 1);
  TensorType type{DType::BF16, {rows, columns}};
  auto fragments = packed<uint16_t>(type, source.data(), {PackingStep::fragments()});
  auto result = packed<uint16_t>(type, source.data(), {PackingStep::stages()}, threadedFor(2));
  ASSERT_EQ(fragments.size(), size_t(3 * 6 * tile));
  ASSERT_EQ(result.size(), size_t(2 * panels * wide));
  for (int64_t step = 0; step < 2; ++step)
    for (int64_t panel = 0; panel < panels; ++panel)
      for (int64_t i = 0; i < wide; ++i) {
        int64_t number = step * 4 + i / tile;
        bool isThere = panel < 3 && i < 4 * tile && number < 6;
        EXPECT_EQ(result[size_t((step * panels + panel) * wide + i)],
                  isThere ? fragments[size_t((panel * 6 + number) * tile + i % tile)] : 0)
            << step << " " << panel << " " << i;
      }
}

// The same of bytes: lines of 64 k, the last chunk of a row cut short.
TEST(PackingTest, ImagesOfBytes) {
  constexpr int64_t rows = 21, columns = 77, lines = 32;
  std::vector<float> source = randomFloats(rows * columns, 9);
  TensorType type{DType::F32, {rows, columns}};
  PackingStep step = PackingStep::e4m3(8, 0, DType::F32);
  auto bytes = packed<uint8_t>(type, source.data(), {step});
  auto result = packed<uint8_t>(type, source.data(), {step, PackingStep::images()}, threadedFor(3));
  ASSERT_EQ(result.size(), size_t(2 * lines * 64));
  for (int64_t row = 0; row < lines; ++row)
    for (int64_t k = 0; k < 128; ++k) {
      int64_t line = row / 16 * 16 + row % 4 / 2 * 8 + row % 16 / 4 * 2 + row % 2;
      int64_t byte = (k / 64 * lines + line) * 64 + k % 64, turned = byte ^ (byte >> 7 & 3) << 4;
      EXPECT_EQ(result[size_t(turned)], row < rows && k < columns ? bytes[size_t(row * columns + k)] : 0) << row << " " << k;
    }
}

// What a lane of m16n8k32 finds in its four words: rows g and g + 8 at bytes 4t of a tile's two halves.
TEST(PackingTest, FragmentsOfBytes) {
  constexpr int64_t rows = 21, columns = 77, tiles = 4;
  std::vector<float> source = randomFloats(rows * columns, 9);
  TensorType type{DType::F32, {rows, columns}};
  PackingStep step = PackingStep::e4m3(8, 0, DType::F32);
  EXPECT_EQ(*packedType(type, {step, PackingStep::fragments()}), (TensorType{DType::F8E4M3, {2, tiles, 32, 16}}));
  auto bytes = packed<uint8_t>(type, source.data(), {step});
  auto result = packed<uint8_t>(type, source.data(), {step, PackingStep::fragments()}, threadedFor(3));
  for (int64_t row = 0; row < 32; ++row)
    for (int64_t k = 0; k < tiles * 32; ++k) {
      int64_t lane = row % 8 * 4 + k % 16 / 4, word = k % 32 / 16 * 2 + row % 16 / 8;
      int64_t place = ((row / 16 * tiles + k / 32) * 32 + lane) * 16 + word * 4 + k % 4;
      EXPECT_EQ(result[size_t(place)], row < rows && k < columns ? bytes[size_t(row * columns + k)] : 0) << row << " " << k;
    }
}

// Steps that move nothing, alone and around others.
TEST(PackingTest, StepsThatChangeNothing) {
  std::vector<float> source = randomFloats(12, 3);
  TensorType vector{DType::F32, {12}}, matrix{DType::F32, {3, 4}};
  EXPECT_EQ(packed<float>(vector, source.data(), {}), source);
  EXPECT_EQ(
      packed<float>(vector, source.data(), {PackingStep::cast(DType::F32), PackingStep::channelsLast(), PackingStep::pad(12)}),
      source);
  EXPECT_EQ(packed<float>(matrix, source.data(), {PackingStep::rows(1, 2)}),
            std::vector<float>(source.begin() + 4, source.begin() + 8));
  std::vector<float> padded =
      packed<float>(vector, source.data(), {PackingStep::channelsLast(), PackingStep::pad(16), PackingStep::channelsLast()});
  EXPECT_EQ(std::vector<float>(padded.begin(), padded.begin() + 12), source);
  EXPECT_EQ(std::vector<float>(padded.begin() + 12, padded.end()), std::vector<float>(4, 0.0f));
  std::vector<float> rounded =
      packed<float>(vector, source.data(), {PackingStep::cast(DType::BF16), PackingStep::cast(DType::F32)});
  for (size_t i = 0; i < source.size(); ++i)
    EXPECT_EQ(rounded[i], fromHalf(DType::BF16, toHalf(DType::BF16, source[i])));
}

// A tensor of a foreign file may start at any byte.
TEST(PackingTest, UnalignedSource) {
  std::vector<float> source = randomFloats(20 * 5, 4);
  std::vector<uint8_t> bytes(source.size() * 4 + 1);
  std::memcpy(bytes.data() + 1, source.data(), source.size() * 4);
  TensorType type{DType::F32, {20, 5}};
  std::vector<PackingStep> steps{PackingStep::cast(DType::BF16), PackingStep::panels()};
  EXPECT_EQ(packed<uint16_t>(type, bytes.data() + 1, steps), packed<uint16_t>(type, source.data(), steps));
}

TEST(PackingTest, RefusesWhatDoesNotFit) {
  TensorType matrix{DType::F32, {3, 4}};
  EXPECT_ERROR(packedType(matrix, {PackingStep::rows(2, 4)}), "step 'rows 2 to 4' does not fit F32 [3, 4]");
  EXPECT_ERROR(packedType(matrix, {PackingStep::rows(2, 2)}), "the range leaves the first dimension");
  EXPECT_ERROR(packedType(matrix, {PackingStep::pad(3)}), "it would cut the last dimension");
  EXPECT_ERROR(packedType(matrix, {PackingStep::pad(1 << 30)}), "more than doubles");
  EXPECT_ERROR(packedType(matrix, {PackingStep::cast(DType::I32)}), "weights are F32, F16 or BF16");
  EXPECT_ERROR(packedType({DType::F32, {3}}, {PackingStep::panels()}), "panels need two dimensions");
  EXPECT_ERROR(packedType({DType::BF16, {3}}, {PackingStep::images()}), "images need two dimensions");
  EXPECT_ERROR(packedType(matrix, {PackingStep::images()}), "images are of 16-bit numbers or F8_E4M3");
  EXPECT_ERROR(packedType(matrix, {PackingStep::fragments()}), "fragments are of 16-bit numbers or F8_E4M3");
  EXPECT_ERROR(packedType({DType::I32, {3}}, {}), "cannot be packed");
  EXPECT_ERROR(packedType({DType::F32, {}}, {PackingStep::pad(16)}), "a scalar has no last dimension");
  float values[12] = {}, out[12];
  EXPECT_ERROR(pack(matrix, values, {}, out, 44), "takes 48 bytes, 44 were given");
}

// Rounding may not turn a weight into infinity.
TEST(PackingTest, RefusesOverflowingCasts) {
  float values[4] = {1, 70000, 3, 4};
  uint16_t out[4];
  EXPECT_ERROR(pack({DType::F32, {4}}, values, {PackingStep::cast(DType::F16)}, out, 8), "not finite as F16 (element 1");
  EXPECT_TRUE(bool(pack({DType::F32, {4}}, values, {PackingStep::cast(DType::BF16)}, out, 8)));
}

TEST(PackingTest, FindsNonFiniteValues) {
  std::vector<float> values = randomFloats(100000, 5);
  EXPECT_EQ(firstNonFinite(DType::F32, values.data(), values.size(), threadedFor(2)), -1);
  values[77777] = std::nanf("");
  values[99999] = -HUGE_VALF;
  EXPECT_EQ(firstNonFinite(DType::F32, values.data(), values.size(), threadedFor(2)), 77777);
  std::vector<uint16_t> halves{0x3c00, 0x7bff, 0xfc00};
  EXPECT_EQ(firstNonFinite(DType::F16, halves.data(), 3), 2);
  EXPECT_EQ(firstNonFinite(DType::BF16, halves.data(), 3), -1);
}

TEST(PackingTest, StepsAsJson) {
  EXPECT_EQ(
      toJson({PackingStep::rows(1, 9), PackingStep::cast(DType::BF16), PackingStep::channelsLast(), PackingStep::pad(32),
              PackingStep::panels()}),
      R"([{"op":"rows","begin":1,"end":9},{"op":"cast","to":"bf16"},{"op":"channels_last"},{"op":"pad","to":32},{"op":"panels","width":16}])");
}

} // namespace
