// The loops over lanes that all handlers share. With all 32 lanes active the loop is one the host compiler can vectorise.
#ifndef EMULATOR_LANES_H
#define EMULATOR_LANES_H

#include "Builder.h"
#include "Machine.h"

namespace emulator {

template <class Body> inline __attribute__((always_inline)) void forLanes(uint32_t mask, Body body) {
  if (mask == ~0u) {
#pragma GCC ivdep
    for (unsigned lane = 0; lane < 32; ++lane)
      body(lane);
    return;
  }
  for (; mask; mask &= mask - 1)
    body(static_cast<unsigned>(__builtin_ctz(mask)));
}

/// d = Op(a)
template <class D, class A, class Op> void unary(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<D>(self.d);
  const auto *a = warp.slot<A>(self.a);
  forLanes(mask, [&](unsigned lane) { d[lane] = toSlot<D>(Op::apply(fromSlot<A>(a[lane]))); });
}

/// d = Op(a, b)
template <class D, class A, class B, class Op> void binary(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<D>(self.d);
  const auto *a = warp.slot<A>(self.a);
  const auto *b = warp.slot<B>(self.b);
  forLanes(mask, [&](unsigned lane) { d[lane] = toSlot<D>(Op::apply(fromSlot<A>(a[lane]), fromSlot<B>(b[lane]))); });
}

/// d = Op(a, b, c)
template <class D, class A, class B, class C, class Op> void ternary(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<D>(self.d);
  const auto *a = warp.slot<A>(self.a);
  const auto *b = warp.slot<B>(self.b);
  const auto *c = warp.slot<C>(self.c);
  forLanes(mask, [&](unsigned lane) {
    d[lane] = toSlot<D>(Op::apply(fromSlot<A>(a[lane]), fromSlot<B>(b[lane]), fromSlot<C>(c[lane])));
  });
}

template <class A, class D> void resize(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<D>(self.d);
  const auto *a = warp.slot<A>(self.a);
  forLanes(mask, [&](unsigned lane) { d[lane] = toSlot<D>(static_cast<D>(fromSlot<A>(a[lane]))); });
}

/// An instruction with up to three operands of the types given, in the order destination, a, b, c.
inline void emitOperation(Builder &builder, const Statement &statement, Handler run, Type d, std::initializer_list<Type> sources) {
  if (!run)
    builder.fail("'" + statement.name + "' with these modifiers is not known");
  builder.expectOperands(statement, sources.size() + 1, sources.size() + 1);
  Instruction instruction;
  instruction.run = run;
  uint32_t *slots[] = {&instruction.a, &instruction.b, &instruction.c};
  size_t i = 0;
  for (Type type : sources) {
    *slots[i] = builder.read(statement.operands[i + 1], type);
    ++i;
  }
  instruction.d = builder.write(statement.operands[0], d);
  builder.emit(instruction);
}

/// `Make<T>` for the host type of an integer type; nullptr for others. Make has a static member `handler`.
template <template <class> class Make> Handler forInteger(Type type) {
  switch (type) {
  case Type::U16:
  case Type::B16:
    return Make<uint16_t>::handler();
  case Type::S16:
    return Make<int16_t>::handler();
  case Type::U32:
  case Type::B32:
    return Make<uint32_t>::handler();
  case Type::S32:
    return Make<int32_t>::handler();
  case Type::U64:
  case Type::B64:
    return Make<uint64_t>::handler();
  case Type::S64:
    return Make<int64_t>::handler();
  default:
    return nullptr;
  }
}

} // namespace emulator

#endif // EMULATOR_LANES_H
