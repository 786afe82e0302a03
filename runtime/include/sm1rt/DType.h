// Element types of tensors in files, packages and workspaces.
#ifndef SM1RT_DTYPE_H
#define SM1RT_DTYPE_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

enum class DType : uint8_t { F32, F16, BF16, F64, I32, I64, U8, I8, F8E4M3 };

/// Bytes of one element.
uint64_t dtypeBytes(DType dtype);
/// The safetensors spelling, e.g. "BF16".
const char *dtypeName(DType dtype);
/// The plan's spelling, e.g. "bf16".
const char *dtypePlanName(DType dtype);
/// Reads either spelling, "BF16" (safetensors) or "bf16" (plan, command lines); nothing else.
std::optional<DType> parseDType(std::string_view name);
/// True for F32, F16 and BF16: what weights may be.
bool isWeightDType(DType dtype);

/// Dtype and shape of a dense tensor, last dimension contiguous.
struct TensorType {
  DType dtype = DType::F32;
  std::vector<int64_t> shape;

  bool operator==(const TensorType &other) const { return dtype == other.dtype && shape == other.shape; }
  bool operator!=(const TensorType &other) const { return !(*this == other); }
};

/// "F32 [2, 3]".
std::string toString(const TensorType &type);
/// "[2, 3]".
std::string toString(const std::vector<int64_t> &shape);
/// Product of the dimensions; nothing when one is negative or the product exceeds 2^48.
std::optional<uint64_t> elementCount(const std::vector<int64_t> &shape);
/// Element count times element size; nothing where elementCount has nothing.
std::optional<uint64_t> byteCount(const TensorType &type);

} // namespace sm1rt

#endif // SM1RT_DTYPE_H
