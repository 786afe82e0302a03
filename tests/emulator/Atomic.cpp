// atom and red. Lanes take turns in lane order; with several host threads a lock makes the others wait.
#include "Lanes.h"
#include "SoftFloat.h"

#include <algorithm>
#include <mutex>

namespace emulator {

namespace {

std::mutex &atomicMutex() {
  static std::mutex mutex;
  return mutex;
}

struct Add {
  template <class T> static T apply(T old, T value, T) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(uint64_t(old) + uint64_t(value));
    else if constexpr (sizeof(T) == 2)
      return fromFloat<T>(toFloat(old) + toFloat(value));
    else
      return old + value;
  }
};
template <class H> struct Pair { H low, high; };
template <class H> struct AddPair {
  static uint32_t apply(uint32_t old, uint32_t value, uint32_t) {
    auto sum = [&](unsigned shift) {
      return uint32_t(Add::apply(H{uint16_t(old >> shift)}, H{uint16_t(value >> shift)}, H{}).bits) << shift;
    };
    return sum(0) | sum(16);
  }
};
struct Min {
  template <class T> static T apply(T old, T value, T) { return std::min(old, value); }
};
struct Max {
  template <class T> static T apply(T old, T value, T) { return std::max(old, value); }
};
struct And {
  template <class T> static T apply(T old, T value, T) { return old & value; }
};
struct Or {
  template <class T> static T apply(T old, T value, T) { return old | value; }
};
struct Xor {
  template <class T> static T apply(T old, T value, T) { return old ^ value; }
};
struct Exch {
  template <class T> static T apply(T, T value, T) { return value; }
};
struct Cas {
  template <class T> static T apply(T old, T compare, T value) { return old == compare ? value : old; }
};
struct Inc {
  template <class T> static T apply(T old, T value, T) { return old >= value ? T(0) : T(old + 1); }
};
struct Dec {
  template <class T> static T apply(T old, T value, T) { return old == 0 || old > value ? value : T(old - 1); }
};

template <class T, class Op> void atomic(Warp &warp, const Instruction &self, uint32_t mask) {
  std::unique_lock<std::mutex> lock(atomicMutex(), std::defer_lock);
  if (warp.block.schedule.hostThreads > 1)
    lock.lock();
  const auto *b = warp.slot<T>(self.b), *c = warp.slot<T>(self.c);
  uint32_t asked = mask;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint8_t *memory = warp.access(self, lane, warp.addressOf(self, lane), sizeof(T), AccessKind::Atomic);
    if (!memory)
      return;
    T old;
    std::memcpy(&old, memory, sizeof old);
    T value = Op::apply(old, fromSlot<T>(b[lane]), fromSlot<T>(c[lane]));
    warp.block.changes += std::memcmp(memory, &value, sizeof value) != 0;
    std::memcpy(memory, &value, sizeof value);
    if (self.d != kNoSlot)
      warp.slot<T>(self.d)[lane] = toSlot<T>(old);
  }
  warp.block.order.read(warp, self, asked);
  warp.block.order.wrote(warp, self, asked);
}

template <class Op> Handler integer(Type type) {
  switch (type) {
  case Type::U32:
  case Type::B32:
    return atomic<uint32_t, Op>;
  case Type::S32:
    return atomic<int32_t, Op>;
  case Type::U64:
  case Type::B64:
    return atomic<uint64_t, Op>;
  case Type::S64:
    return atomic<int64_t, Op>;
  default:
    return nullptr;
  }
}

Handler addition(Type type) {
  switch (type) {
  case Type::F32:
    return atomic<float, Add>;
  case Type::F64:
    return atomic<double, Add>;
  case Type::F16:
    return atomic<Half, Add>;
  case Type::BF16:
    return atomic<BFloat, Add>;
  case Type::F16x2:
    return atomic<uint32_t, AddPair<Half>>;
  case Type::BF16x2:
    return atomic<uint32_t, AddPair<BFloat>>;
  default:
    return integer<Add>(type);
  }
}

Handler operation(const Statement &statement, Type type) {
  if (statement.has("cas") && type == Type::B16)
    return atomic<uint16_t, Cas>;
  const std::pair<const char *, Handler (*)(Type)> table[] = {
      {"add", addition},     {"min", integer<Min>},   {"max", integer<Max>}, {"and", integer<And>}, {"or", integer<Or>},
      {"xor", integer<Xor>}, {"exch", integer<Exch>}, {"cas", integer<Cas>}, {"inc", integer<Inc>}, {"dec", integer<Dec>}};
  for (const auto &entry : table)
    if (statement.has(entry.first))
      return entry.second(type);
  return nullptr;
}

void decodeAtomic(Builder &builder, const Statement &statement) {
  builder.allow(statement, "add min max and or xor exch cas inc dec global shared shared::cta relaxed acquire release acq_rel cta "
                           "cluster gpu sys noftz L2::cache_hint");
  bool returns = statement.name == "atom";
  Type type = builder.type(statement);
  size_t at = returns, needed = returns + 2u + statement.has("cas");
  builder.expectOperands(statement, needed, needed + statement.has("L2::cache_hint"));
  Instruction instruction;
  instruction.run = operation(statement, type);
  if (!instruction.run)
    builder.fail("no such atomic operation");
  instruction.flow = Flow::Yield;
  instruction.bytes = static_cast<uint8_t>(bytesOf(type));
  instruction.space = statement.has("global")                                   ? Space::Global
                      : statement.has("shared") || statement.has("shared::cta") ? Space::Shared
                                                                                : Space::Generic;
  builder.address(statement.operands[at], instruction);
  instruction.b = instruction.c = builder.read(statement.operands[at + 1], type);
  if (statement.has("cas"))
    instruction.c = builder.read(statement.operands[at + 2], type);
  if (returns)
    instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
}

} // namespace

void addAtomicDecoders(Decoders &decoders) { decoders["atom"] = decoders["red"] = decodeAtomic; }

} // namespace emulator
