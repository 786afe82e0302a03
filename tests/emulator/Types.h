// The operand types of PTX: names, sizes, and how values of 16-bit floats look on the host.
#ifndef EMULATOR_TYPES_H
#define EMULATOR_TYPES_H

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace emulator {

enum class Type : uint8_t {
  None,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  F32,
  F32x2,
  TF32,
  F64,
  Pred,
  U16x2,
  S16x2,
  E4M3x2
};

/// The type called `name` ("f32", no dot), Type::None if there is none.
Type typeNamed(std::string_view name);

inline unsigned bytesOf(Type type) {
  switch (type) {
  case Type::B8:
  case Type::U8:
  case Type::S8:
    return 1;
  case Type::B16:
  case Type::U16:
  case Type::S16:
  case Type::F16:
  case Type::BF16:
  case Type::E4M3x2:
    return 2;
  case Type::B64:
  case Type::U64:
  case Type::S64:
  case Type::F64:
  case Type::F32x2:
    return 8;
  case Type::B128:
    return 16;
  default:
    return 4;
  }
}
inline bool isSigned(Type type) { return type >= Type::S8 && type <= Type::S64; }
inline bool isFloat(Type type) { return type >= Type::F16 && type <= Type::F64; }

template <class To, class From> inline To bitCast(const From &from) {
  static_assert(sizeof(To) == sizeof(From), "a bit cast keeps the size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

/// 16-bit floats are carried as their bits; arithmetic goes through float.
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

/// A register of up to 32 bits occupies a 32-bit slot per lane, one of 64 bits a 64-bit slot.
template <class T> using SlotOf = std::conditional_t<sizeof(T) <= 4, uint32_t, uint64_t>;

template <class T> inline T fromSlot(SlotOf<T> slot) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(slot);
  else if constexpr (sizeof(T) == 2)
    return T{static_cast<uint16_t>(slot)};
  else
    return bitCast<T>(slot);
}
template <class T> inline SlotOf<T> toSlot(T value) {
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
    return static_cast<SlotOf<T>>(static_cast<std::make_signed_t<SlotOf<T>>>(value));
  else if constexpr (std::is_integral_v<T>)
    return static_cast<SlotOf<T>>(value);
  else if constexpr (sizeof(T) == 2)
    return value.bits;
  else
    return bitCast<SlotOf<T>>(value);
}

} // namespace emulator

#endif // EMULATOR_TYPES_H
