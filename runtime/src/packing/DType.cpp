// Element types: sizes, names, and sizes of shapes with overflow ruled out; and the hash of a package's parts.
#include "sm1rt/DType.h"
#include "sm1rt/Packing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sm1rt {

namespace {
struct Row {
  DType dtype;
  uint64_t bytes;
  const char *fileName, *planName;
};
} // namespace

static const Row table[] = {
    {DType::F32, 4, "F32", "f32"}, {DType::F16, 2, "F16", "f16"}, {DType::BF16, 2, "BF16", "bf16"},
    {DType::F64, 8, "F64", "f64"}, {DType::I32, 4, "I32", "i32"}, {DType::I64, 8, "I64", "i64"},
    {DType::U8, 1, "U8", "u8"},    {DType::I8, 1, "I8", "i8"},    {DType::F8E4M3, 1, "F8_E4M3", "f8_e4m3"},
};

uint64_t dtypeBytes(DType dtype) { return table[size_t(dtype)].bytes; }

const char *dtypeName(DType dtype) { return table[size_t(dtype)].fileName; }

const char *dtypePlanName(DType dtype) { return table[size_t(dtype)].planName; }

std::optional<DType> parseDType(std::string_view name) {
  for (const Row &row : table)
    if (name == row.fileName || name == row.planName)
      return row.dtype;
  return std::nullopt;
}

bool isWeightDType(DType dtype) { return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16; }

std::string toString(const std::vector<int64_t> &shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string toString(const TensorType &type) { return fmt::format("{} {}", dtypeName(type.dtype), toString(type.shape)); }

std::optional<uint64_t> elementCount(const std::vector<int64_t> &shape) {
  constexpr uint64_t limit = uint64_t(1) << 48;
  uint64_t count = 1;
  for (int64_t dimension : shape) {
    if (dimension < 0 || uint64_t(dimension) > limit)
      return std::nullopt;
    if (dimension != 0 && count > limit / uint64_t(dimension))
      return std::nullopt;
    count *= uint64_t(dimension);
  }
  return count;
}

std::optional<uint64_t> byteCount(const TensorType &type) {
  auto count = elementCount(type.shape);
  if (!count)
    return std::nullopt;
  return *count * dtypeBytes(type.dtype);
}

uint64_t fnv1a(const void *data, uint64_t bytes, uint64_t seed) {
  for (uint64_t i = 0; i < bytes; ++i)
    seed = (seed ^ static_cast<const uint8_t *>(data)[i]) * 0x100000001b3ull;
  return seed;
}

std::string toHex(uint64_t value) { return fmt::format("{:016x}", value); }

} // namespace sm1rt
