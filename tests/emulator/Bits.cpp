// Logic, shifts, bit fields, permutes, moves, selection.
#include "Lanes.h"
#include "Windows.h"

#include <algorithm>

namespace emulator {

namespace {

struct And {
  template <class T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <class T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <class T> static T apply(T a, T b) { return a ^ b; }
};
struct Not {
  template <class T> static T apply(T a) { return static_cast<T>(~a); }
};
struct CNot {
  template <class T> static T apply(T a) { return a == 0 ? 1 : 0; }
};
struct Move {
  template <class T> static T apply(T a) { return a; }
};

// Shifts by the width or more give zero, or the sign.
struct ShiftLeft {
  template <class T> static T apply(T a, uint32_t n) {
    return n >= 8 * sizeof(T) ? T(0) : static_cast<T>(static_cast<uint64_t>(a) << n);
  }
};
struct ShiftRight {
  template <class T> static T apply(T a, uint32_t n) {
    constexpr uint32_t width = 8 * sizeof(T);
    if (n >= width)
      return std::is_signed_v<T> ? static_cast<T>(a >> (width - 1)) : T(0);
    return static_cast<T>(a >> n);
  }
};

template <bool clamp> struct FunnelLeft {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t n = clamp ? std::min(c, 32u) : c & 31;
    return static_cast<uint32_t>(((uint64_t(b) << 32 | a) << n) >> 32);
  }
};
template <bool clamp> struct FunnelRight {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t n = clamp ? std::min(c, 32u) : c & 31;
    return static_cast<uint32_t>((uint64_t(b) << 32 | a) >> n);
  }
};

struct Popc32 {
  static uint32_t apply(uint32_t a) { return static_cast<uint32_t>(__builtin_popcount(a)); }
};
struct Popc64 {
  static uint32_t apply(uint64_t a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
};
struct Clz32 {
  static uint32_t apply(uint32_t a) { return a ? static_cast<uint32_t>(__builtin_clz(a)) : 32; }
};
struct Clz64 {
  static uint32_t apply(uint64_t a) { return a ? static_cast<uint32_t>(__builtin_clzll(a)) : 64; }
};
template <class T> struct Brev {
  static T apply(T a) {
    T result = 0;
    for (unsigned i = 0; i < 8 * sizeof(T); ++i)
      result = static_cast<T>(result << 1 | (a >> i & 1));
    return result;
  }
};
template <class T, bool shift> struct Bfind {
  static uint32_t apply(T a) {
    using U = std::make_unsigned_t<T>;
    U bits = std::is_signed_v<T> && a < 0 ? static_cast<U>(~a) : static_cast<U>(a);
    if (!bits)
      return ~0u;
    auto top = static_cast<uint32_t>(63 - __builtin_clzll(bits));
    return shift ? 8 * sizeof(T) - 1 - top : top;
  }
};

template <class T> struct Bfe {
  static T apply(T a, uint32_t b, uint32_t c) {
    uint32_t position = b & 255, length = c & 255, width = 8 * sizeof(T);
    if (!length)
      return 0;
    uint32_t signAt = std::min(position + length - 1, width - 1);
    bool sign = std::is_signed_v<T> && (a >> signAt & 1);
    std::make_unsigned_t<T> result = 0;
    for (uint32_t i = 0; i < width; ++i) {
      bool bit = i < length && position + i < width ? a >> (position + i) & 1 : sign;
      result |= static_cast<std::make_unsigned_t<T>>(bit) << i;
    }
    return static_cast<T>(result);
  }
};
template <class T> void bitFieldInsert(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  auto *d = warp.slot<T>(self.d);
  const auto *a = warp.slot<T>(slots[0]), *b = warp.slot<T>(slots[1]);
  const auto *position = warp.slot<uint32_t>(slots[2]), *length = warp.slot<uint32_t>(slots[3]);
  forLanes(mask, [&](unsigned lane) {
    T result = static_cast<T>(b[lane]);
    uint32_t from = position[lane] & 255, count = length[lane] & 255;
    for (uint32_t i = 0; i < count && from + i < 8 * sizeof(T); ++i)
      result = static_cast<T>((result & ~(T(1) << (from + i))) | (T(a[lane] >> i & 1) << (from + i)));
    d[lane] = result;
  });
}

void lop3(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  const auto *a = warp.slot<uint32_t>(self.a), *b = warp.slot<uint32_t>(self.b), *c = warp.slot<uint32_t>(self.c);
  unsigned table = self.variant;
  forLanes(mask, [&](unsigned lane) {
    uint32_t result = 0;
    for (unsigned i = 0; i < 8; ++i)
      if (table >> i & 1)
        result |= (i & 4 ? a[lane] : ~a[lane]) & (i & 2 ? b[lane] : ~b[lane]) & (i & 1 ? c[lane] : ~c[lane]);
    d[lane] = result;
  });
}

uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    uint32_t choice = selector >> (4 * i) & 15;
    auto byte = static_cast<uint8_t>(bytes >> (8 * (choice & 7)));
    if (choice & 8)
      byte = byte & 0x80 ? 0xff : 0;
    result |= uint32_t(byte) << (8 * i);
  }
  return result;
}
struct Permute {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) { return permuted(a, b, c); }
};
template <unsigned mode> struct PermuteMode { // f4e b4e rc8 ecl ecr rc16
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    static const uint16_t selectors[6][4] = {{0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
                                             {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
                                             {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    return permuted(a, b, selectors[mode][c & 3]);
  }
};

struct Bmsk {
  template <bool wrap> static uint32_t mask(uint32_t a, uint32_t b) {
    uint32_t from = wrap ? a & 31 : std::min(a, 32u), length = wrap ? b & 31 : std::min(b, 32u);
    uint64_t ones = (1ull << length) - 1;
    return static_cast<uint32_t>(ones << from);
  }
};
struct BmskClamp {
  static uint32_t apply(uint32_t a, uint32_t b) { return Bmsk::mask<false>(a, b); }
};
struct BmskWrap {
  static uint32_t apply(uint32_t a, uint32_t b) { return Bmsk::mask<true>(a, b); }
};

template <class Op> void logicPredicate(Warp &warp, const Instruction &self, uint32_t mask) {
  uint32_t &d = warp.predicate(self.d), result = Op::apply(warp.predicate(self.a), self.b == kNoSlot ? 0 : warp.predicate(self.b));
  d = (d & ~mask) | (result & mask);
}
struct NotPredicate {
  static uint32_t apply(uint32_t a, uint32_t) { return ~a; }
};
struct MovePredicate {
  static uint32_t apply(uint32_t a, uint32_t) { return a; }
};

void emitPredicateLogic(Builder &builder, const Statement &statement, Handler run, size_t sources) {
  builder.expectOperands(statement, sources + 1, sources + 1);
  Instruction instruction;
  instruction.run = run;
  instruction.a = builder.readPredicate(statement.operands[1]);
  if (sources == 2)
    instruction.b = builder.readPredicate(statement.operands[2]);
  instruction.d = builder.writePredicate(statement.operands[0]);
  builder.emit(instruction);
}

Type bitsOf(Type type) { return bytesOf(type) == 8 ? Type::B64 : bytesOf(type) == 2 ? Type::B16 : Type::B32; }

template <class Op> struct Two {
  template <class T> struct Make {
    static Handler handler() { return binary<T, T, T, Op>; }
  };
};
template <class Op> struct One {
  template <class T> struct Make {
    static Handler handler() { return unary<T, T, Op>; }
  };
};
template <class Op> struct Shift {
  template <class T> struct Make {
    static Handler handler() { return binary<T, T, uint32_t, Op>; }
  };
};

template <class Op> void decodeLogic(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  Type type = builder.type(statement);
  if (type == Type::Pred)
    return emitPredicateLogic(builder, statement, logicPredicate<Op>, 2);
  emitOperation(builder, statement, forInteger<Two<Op>::template Make>(type), type, {type, type});
}

template <class Op> void decodeUnary(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  Type type = builder.type(statement);
  emitOperation(builder, statement, forInteger<One<Op>::template Make>(type), type, {type});
}

template <class Op> void decodeShift(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  Type type = builder.type(statement);
  emitOperation(builder, statement, forInteger<Shift<Op>::template Make>(type), type, {type, Type::U32});
}

template <template <bool> class Op> void decodeFunnel(Builder &builder, const Statement &statement) {
  builder.allow(statement, "l r clamp wrap");
  using W = uint32_t;
  Handler run = statement.has("clamp") ? ternary<W, W, W, W, Op<true>> : ternary<W, W, W, W, Op<false>>;
  emitOperation(builder, statement, run, Type::B32, {Type::B32, Type::B32, Type::B32});
}

void decodeCount(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  bool wide = bytesOf(builder.type(statement)) == 8, population = statement.name == "popc";
  Handler run = wide         ? (population ? unary<uint32_t, uint64_t, Popc64> : unary<uint32_t, uint64_t, Clz64>)
                : population ? unary<uint32_t, uint32_t, Popc32>
                             : unary<uint32_t, uint32_t, Clz32>;
  emitOperation(builder, statement, run, Type::U32, {builder.type(statement)});
}

template <class T> Handler bfindHandler(bool shift) {
  return shift ? unary<uint32_t, T, Bfind<T, true>> : unary<uint32_t, T, Bfind<T, false>>;
}

void decodeBfind(Builder &builder, const Statement &statement) {
  builder.allow(statement, "shiftamt");
  bool shift = statement.has("shiftamt");
  Type type = builder.type(statement);
  Handler run = type == Type::U32   ? bfindHandler<uint32_t>(shift)
                : type == Type::S32 ? bfindHandler<int32_t>(shift)
                : type == Type::U64 ? bfindHandler<uint64_t>(shift)
                                    : bfindHandler<int64_t>(shift);
  emitOperation(builder, statement, run, Type::U32, {type});
}

template <class T> struct BfeMake {
  static Handler handler() { return ternary<T, T, uint32_t, uint32_t, Bfe<T>>; }
};

void decodeBfi(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  builder.expectOperands(statement, 5, 5);
  Type type = builder.type(statement);
  Instruction instruction;
  instruction.run = bytesOf(type) == 8 ? bitFieldInsert<uint64_t> : bitFieldInsert<uint32_t>;
  const auto &operands = statement.operands;
  builder.list(instruction, {builder.read(operands[1], type), builder.read(operands[2], type), builder.read(operands[3], Type::U32),
                             builder.read(operands[4], Type::U32)});
  instruction.d = builder.write(operands[0], type);
  builder.emit(instruction);
}

void decodeLop3(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  builder.expectOperands(statement, 5, 5);
  if (statement.operands[4].kind != Operand::Integer)
    builder.fail("the table of lop3 is no constant");
  Instruction instruction;
  instruction.run = lop3;
  instruction.a = builder.read(statement.operands[1], Type::B32);
  instruction.b = builder.read(statement.operands[2], Type::B32);
  instruction.c = builder.read(statement.operands[3], Type::B32);
  instruction.variant = static_cast<uint8_t>(statement.operands[4].bits);
  instruction.d = builder.write(statement.operands[0], Type::B32);
  builder.emit(instruction);
}

void decodePrmt(Builder &builder, const Statement &statement) {
  builder.allow(statement, "f4e b4e rc8 ecl ecr rc16");
  using W = uint32_t;
  Handler run = ternary<W, W, W, W, Permute>;
  if (statement.has("f4e"))
    run = ternary<W, W, W, W, PermuteMode<0>>;
  if (statement.has("b4e"))
    run = ternary<W, W, W, W, PermuteMode<1>>;
  if (statement.has("rc8"))
    run = ternary<W, W, W, W, PermuteMode<2>>;
  if (statement.has("ecl"))
    run = ternary<W, W, W, W, PermuteMode<3>>;
  if (statement.has("ecr"))
    run = ternary<W, W, W, W, PermuteMode<4>>;
  if (statement.has("rc16"))
    run = ternary<W, W, W, W, PermuteMode<5>>;
  emitOperation(builder, statement, run, Type::B32, {Type::B32, Type::B32, Type::B32});
}

// ---- mov: values, addresses, packing ----

void packOrUnpack(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *parts = warp.block.launch.program->lists.data() + self.list;
  bool packing = self.variant & 1, wideWhole = self.variant & 2;
  unsigned width = self.bytes * 8, count = self.listCount;
  uint64_t ones = width == 64 ? ~0ull : (1ull << width) - 1;
  forLanes(mask, [&](unsigned lane) {
    if (packing) {
      uint64_t whole = 0;
      for (unsigned i = 0; i < count; ++i)
        whole |= (uint64_t(warp.slot<uint32_t>(parts[i])[lane]) & ones) << (i * width);
      if (wideWhole)
        warp.slot<uint64_t>(self.d)[lane] = whole;
      else
        warp.slot<uint32_t>(self.d)[lane] = static_cast<uint32_t>(whole);
      return;
    }
    uint64_t whole = wideWhole ? warp.slot<uint64_t>(self.a)[lane] : warp.slot<uint32_t>(self.a)[lane];
    for (unsigned i = 0; i < count; ++i)
      warp.slot<uint32_t>(parts[i])[lane] = static_cast<uint32_t>(whole >> (i * width) & ones);
  });
}

void decodeMov(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  builder.expectOperands(statement, 2, 2);
  Type type = builder.type(statement);
  if (type == Type::Pred)
    return emitPredicateLogic(builder, statement, logicPredicate<MovePredicate>, 1);
  const Operand &to = statement.operands[0], &from = statement.operands[1];
  bool packing = from.kind == Operand::Vector, unpacking = to.kind == Operand::Vector;
  if (!packing && !unpacking) {
    if (decodeClock(builder, statement))
      return;
    Type bits = bitsOf(type);
    return emitOperation(builder, statement, bytesOf(bits) == 8 ? unary<uint64_t, uint64_t, Move> : unary<uint32_t, uint32_t, Move>,
                         bits, {bits});
  }
  const auto &parts = packing ? from.parts : to.parts;
  if (packing == unpacking || parts.size() < 2 || bytesOf(type) % parts.size())
    builder.fail("mov between vectors that do not fit");
  Instruction instruction;
  instruction.run = packOrUnpack;
  instruction.bytes = static_cast<uint8_t>(bytesOf(type) / parts.size());
  Type part = instruction.bytes == 4 ? Type::B32 : instruction.bytes == 2 ? Type::B16 : Type::B8;
  instruction.variant = static_cast<uint8_t>(packing | (bytesOf(type) == 8) << 1);
  std::vector<uint32_t> slots;
  for (const Operand &operand : parts)
    slots.push_back(packing ? builder.read(operand, part) : builder.write(operand, part));
  // A part may be the whole's own register only if it is read before; distinct widths rule that out.
  builder.list(instruction, slots);
  (packing ? instruction.d : instruction.a) = packing ? builder.write(to, type) : builder.read(from, type);
  builder.emit(instruction);
}

// ---- generic addresses ----

void toGeneric(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint64_t>(self.d);
  const auto *a = warp.slot<uint64_t>(self.a);
  forLanes(mask, [&](unsigned lane) { d[lane] = a[lane] + static_cast<uint64_t>(self.imm); });
}

void isInSpace(Warp &warp, const Instruction &self, uint32_t mask) {
  const auto *a = warp.slot<uint64_t>(self.a);
  uint32_t &d = warp.predicate(self.d);
  forLanes(mask, [&](unsigned lane) {
    uint64_t offset;
    d = (d & ~(1u << lane)) | uint32_t(spaceOf(a[lane], offset) == self.space) << lane;
  });
}

Space spaceModifier(Builder &builder, const Statement &statement) {
  if (statement.has("shared") || statement.has("shared::cta"))
    return Space::Shared;
  if (statement.has("local"))
    return Space::Local;
  if (statement.has("param") || statement.has("param::entry"))
    return Space::Param;
  if (!statement.has("global") && !statement.has("const"))
    builder.fail("no address space");
  return Space::Global;
}

void decodeCvta(Builder &builder, const Statement &statement) {
  builder.allow(statement, "to global shared shared::cta local param param::entry const");
  builder.expectOperands(statement, 2, 2);
  Instruction instruction;
  uint64_t window = windowOf(spaceModifier(builder, statement));
  instruction.run = toGeneric;
  instruction.imm = static_cast<int64_t>(statement.has("to") ? 0 - window : window);
  if (builder.type(statement) != Type::U64)
    builder.fail("32-bit generic addresses are not known");
  instruction.a = builder.read(statement.operands[1], Type::U64);
  instruction.d = builder.write(statement.operands[0], Type::U64);
  builder.emit(instruction);
}

void decodeIsspacep(Builder &builder, const Statement &statement) {
  builder.allow(statement, "global shared shared::cta local param param::entry const");
  builder.expectOperands(statement, 2, 2);
  Instruction instruction;
  instruction.run = isInSpace;
  instruction.space = spaceModifier(builder, statement);
  instruction.a = builder.read(statement.operands[1], Type::U64);
  instruction.d = builder.writePredicate(statement.operands[0]);
  builder.emit(instruction);
}

} // namespace

void addBitDecoders(Decoders &decoders) {
  decoders["and"] = decodeLogic<And>;
  decoders["or"] = decodeLogic<Or>;
  decoders["xor"] = decodeLogic<Xor>;
  decoders["not"] = [](Builder &builder, const Statement &statement) {
    if (builder.type(statement) == Type::Pred)
      emitPredicateLogic(builder, statement, logicPredicate<NotPredicate>, 1);
    else
      decodeUnary<Not>(builder, statement);
  };
  decoders["cnot"] = decodeUnary<CNot>;
  decoders["shl"] = decodeShift<ShiftLeft>;
  decoders["shr"] = decodeShift<ShiftRight>;
  decoders["shf"] = [](Builder &builder, const Statement &statement) {
    statement.has("l") ? decodeFunnel<FunnelLeft>(builder, statement) : decodeFunnel<FunnelRight>(builder, statement);
  };
  decoders["popc"] = decoders["clz"] = decodeCount;
  decoders["brev"] = [](Builder &builder, const Statement &statement) {
    Type type = builder.type(statement);
    emitOperation(builder, statement,
                  bytesOf(type) == 8 ? unary<uint64_t, uint64_t, Brev<uint64_t>> : unary<uint32_t, uint32_t, Brev<uint32_t>>, type,
                  {type});
  };
  decoders["bfind"] = decodeBfind;
  decoders["bfe"] = [](Builder &builder, const Statement &statement) {
    Type type = builder.type(statement);
    emitOperation(builder, statement, forInteger<BfeMake>(type), type, {type, Type::U32, Type::U32});
  };
  decoders["bfi"] = decodeBfi;
  decoders["lop3"] = decodeLop3;
  decoders["prmt"] = decodePrmt;
  decoders["bmsk"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "clamp wrap");
    using W = uint32_t;
    emitOperation(builder, statement, statement.has("clamp") ? binary<W, W, W, BmskClamp> : binary<W, W, W, BmskWrap>, Type::B32,
                  {Type::B32, Type::B32});
  };
  decoders["mov"] = decodeMov;
  decoders["cvta"] = decodeCvta;
  decoders["isspacep"] = decodeIsspacep;
}

} // namespace emulator
