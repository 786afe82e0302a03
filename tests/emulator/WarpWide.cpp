// Instructions in which lanes or threads meet: barriers, shuffles, votes, reductions; and those that ask about the warp.
#include "Lanes.h"

#include <algorithm>
#include <chrono>

namespace emulator {

namespace {

constexpr uint32_t kPoison = 0xcdcdcdcd; // what a lane gets from one that takes no part

enum : uint8_t { kUp, kDown, kButterfly, kIndex };

/// list: lane operand, predicate (or kNoSlot).
void shuffle(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  const auto *a = warp.slot<uint32_t>(self.a), *by = warp.slot<uint32_t>(slots[0]), *clamp = warp.slot<uint32_t>(self.c);
  uint32_t source[32];
  std::copy(a, a + 32, source);
  auto *d = warp.slot<uint32_t>(self.d);
  uint32_t inRange = 0;
  forLanes(mask, [&](unsigned lane) {
    uint32_t b = by[lane] & 31, segment = clamp[lane] >> 8 & 31, limit = clamp[lane] & 31;
    int last = static_cast<int>((lane & segment) | (limit & ~segment)), first = static_cast<int>(lane & segment), from = 0;
    bool fits = false;
    switch (self.variant) {
    case kUp:
      from = int(lane) - int(b);
      fits = from >= last;
      break;
    case kDown:
      from = int(lane + b);
      fits = from <= last;
      break;
    case kButterfly:
      from = int(lane ^ b);
      fits = from <= last;
      break;
    default:
      from = first | int(b & ~segment);
      fits = from <= last;
      break;
    }
    if (!fits)
      from = int(lane);
    d[lane] = mask >> from & 1 ? source[from] : kPoison;
    inRange |= uint32_t(fits) << lane;
  });
  if (slots[1] != kNoSlot) {
    uint32_t &p = warp.predicate(slots[1]);
    p = (p & ~mask) | (inRange & mask);
  }
}

void decodeShuffle(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync up down bfly idx");
  if (!statement.has("sync"))
    builder.fail("shfl without .sync is gone since PTX 6.4");
  builder.expectOperands(statement, 5, 5);
  const auto &operands = statement.operands;
  Instruction instruction;
  instruction.run = shuffle;
  instruction.flow = Flow::WarpSync;
  instruction.variant = statement.has("up") ? kUp : statement.has("down") ? kDown : statement.has("bfly") ? kButterfly : kIndex;
  instruction.a = builder.read(operands[1], Type::B32);
  instruction.c = builder.read(operands[3], Type::B32);
  instruction.b = builder.read(operands[4], Type::B32);
  uint32_t lane = builder.read(operands[2], Type::B32), predicate = kNoSlot;
  const Operand &to = operands[0];
  if (to.kind == Operand::Pair)
    predicate = builder.writePredicate(to.parts[1]);
  builder.list(instruction, {lane, predicate});
  instruction.d = builder.write(to.kind == Operand::Pair ? to.parts[0] : to, Type::B32);
  builder.emit(instruction);
}

enum : uint8_t { kAll, kAny, kUni, kBallot };

void vote(Warp &warp, const Instruction &self, uint32_t mask) {
  uint32_t held = warp.predicate(self.a) & mask;
  bool truth = self.variant == kAll ? held == mask : self.variant == kAny ? held != 0 : held == mask || held == 0;
  if (self.variant == kBallot) {
    auto *d = warp.slot<uint32_t>(self.d);
    forLanes(mask, [&](unsigned lane) { d[lane] = held; });
    return;
  }
  uint32_t &d = warp.predicate(self.d);
  d = (d & ~mask) | (truth ? mask : 0);
}

void decodeVote(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync all any uni ballot");
  if (!statement.has("sync"))
    builder.fail("vote without .sync is gone since PTX 6.4");
  builder.expectOperands(statement, 3, 3);
  Instruction instruction;
  instruction.run = vote;
  instruction.flow = Flow::WarpSync;
  instruction.variant = statement.has("all") ? kAll : statement.has("any") ? kAny : statement.has("uni") ? kUni : kBallot;
  instruction.a = builder.readPredicate(statement.operands[1]);
  instruction.b = builder.read(statement.operands[2], Type::B32);
  instruction.d = instruction.variant == kBallot ? builder.write(statement.operands[0], Type::B32)
                                                 : builder.writePredicate(statement.operands[0]);
  builder.emit(instruction);
}

struct Add {
  template <class T> static T apply(T a, T b) { return static_cast<T>(uint64_t(a) + uint64_t(b)); }
};
struct Min {
  template <class T> static T apply(T a, T b) { return std::min(a, b); }
};
struct Max {
  template <class T> static T apply(T a, T b) { return std::max(a, b); }
};
struct And {
  template <class T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <class T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <class T> static T apply(T a, T b) { return a ^ b; }
};

template <class T, class Op> void reduce(Warp &warp, const Instruction &self, uint32_t mask) {
  const auto *a = warp.slot<T>(self.a);
  auto *d = warp.slot<T>(self.d);
  T total = fromSlot<T>(a[__builtin_ctz(mask)]);
  for (uint32_t rest = mask & (mask - 1); rest; rest &= rest - 1)
    total = Op::apply(total, fromSlot<T>(a[__builtin_ctz(rest)]));
  forLanes(mask, [&](unsigned lane) { d[lane] = toSlot<T>(total); });
}

template <class Op> Handler reduction(Type type) { return type == Type::S32 ? reduce<int32_t, Op> : reduce<uint32_t, Op>; }

void decodeRedux(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync add min max and or xor");
  builder.expectOperands(statement, 3, 3);
  Type type = builder.type(statement);
  if (isFloat(type))
    builder.fail("redux is known for integers");
  Instruction instruction;
  const std::pair<const char *, Handler (*)(Type)> table[] = {{"add", reduction<Add>}, {"min", reduction<Min>},
                                                              {"max", reduction<Max>}, {"and", reduction<And>},
                                                              {"or", reduction<Or>},   {"xor", reduction<Xor>}};
  for (const auto &entry : table)
    if (statement.has(entry.first))
      instruction.run = entry.second(type);
  instruction.flow = Flow::WarpSync;
  instruction.a = builder.read(statement.operands[1], type);
  instruction.b = builder.read(statement.operands[2], Type::B32);
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
}

/// match.any: the lanes with my value; match.all: all of them or none, and whether all agree.
template <class T> void match(Warp &warp, const Instruction &self, uint32_t mask) {
  const auto *a = warp.slot<T>(self.a);
  auto *d = warp.slot<uint32_t>(self.d);
  uint32_t result[32] = {};
  forLanes(mask, [&](unsigned lane) {
    for (uint32_t rest = mask; rest; rest &= rest - 1)
      result[lane] |= uint32_t(a[__builtin_ctz(rest)] == a[lane]) << __builtin_ctz(rest);
  });
  bool all = result[__builtin_ctz(mask)] == mask;
  forLanes(mask, [&](unsigned lane) { d[lane] = !self.variant ? result[lane] : all ? mask : 0; });
  if (self.c != kNoSlot) {
    uint32_t &p = warp.predicate(self.c);
    p = (p & ~mask) | (all ? mask : 0);
  }
}

void decodeMatch(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync any all");
  builder.expectOperands(statement, 3, 3);
  Type type = builder.type(statement);
  Instruction instruction;
  instruction.run = bytesOf(type) == 8 ? match<uint64_t> : match<uint32_t>;
  instruction.flow = Flow::WarpSync;
  instruction.variant = statement.has("all");
  instruction.a = builder.read(statement.operands[1], type);
  instruction.b = builder.read(statement.operands[2], Type::B32);
  const Operand &to = statement.operands[0];
  if (to.kind == Operand::Pair)
    instruction.c = builder.writePredicate(to.parts[1]);
  instruction.d = builder.write(to.kind == Operand::Pair ? to.parts[0] : to, Type::B32);
  builder.emit(instruction);
}

void elect(Warp &warp, const Instruction &self, uint32_t mask) {
  auto leader = static_cast<unsigned>(__builtin_ctz(mask));
  auto *d = warp.slot<uint32_t>(self.d);
  forLanes(mask, [&](unsigned lane) { d[lane] = leader; });
  uint32_t &p = warp.predicate(self.c);
  p = (p & ~mask) | 1u << leader;
}

void decodeElect(Builder &builder, const Statement &statement) {
  builder.expectOperands(statement, 2, 2);
  const Operand &to = statement.operands[0];
  if (to.kind != Operand::Pair)
    builder.fail("elect.sync without a predicate");
  Instruction instruction;
  instruction.run = elect;
  instruction.flow = Flow::WarpSync;
  instruction.b = builder.read(statement.operands[1], Type::B32);
  instruction.c = builder.writePredicate(to.parts[1]);
  instruction.d = builder.write(to.parts[0], Type::B32);
  builder.emit(instruction);
}

void nothing(Warp &, const Instruction &, uint32_t) {}

// ---- block barriers ----

void decodeWarpBarrier(Builder &builder, const Statement &statement) {
  builder.expectOperands(statement, 1, 1);
  Instruction instruction;
  instruction.run = nothing;
  instruction.flow = Flow::WarpSync;
  instruction.b = builder.read(statement.operands[0], Type::B32);
  builder.emit(instruction);
}

void decodeBarrier(Builder &builder, const Statement &statement) {
  if (statement.has("cluster"))
    return decodeClusterBarrier(builder, statement);
  builder.allow(statement, "cta sync arrive red popc and or aligned warp");
  if (statement.has("warp"))
    return decodeWarpBarrier(builder, statement);
  if (statement.planted)
    return;
  bool reduces = statement.has("red");
  Instruction instruction;
  instruction.flow = Flow::Barrier;
  instruction.aligned = statement.name == "bar" || statement.has("aligned");
  size_t at = reduces, count = statement.operands.size() - at - reduces;
  if (statement.operands.size() < 1 + 2u * reduces || count > 2)
    builder.fail("a barrier with " + std::to_string(statement.operands.size()) + " operands");
  instruction.a = builder.read(statement.operands[at], Type::U32);
  if (statement.has("arrive") && count != 2)
    builder.fail("an arrival at a barrier without the number of threads");
  if (count == 2)
    instruction.b = builder.read(statement.operands[at + 1], Type::U32);
  instruction.barrier = statement.has("arrive") ? BarrierOp::Arrive : BarrierOp::Sync;
  if (reduces) {
    Operand predicate = statement.operands.back();
    instruction.variant = predicate.negated;
    predicate.negated = false;
    instruction.c = builder.readPredicate(predicate);
    instruction.barrier = statement.has("popc") ? BarrierOp::Popc : statement.has("and") ? BarrierOp::And : BarrierOp::Or;
    instruction.d =
        statement.has("popc") ? builder.write(statement.operands[0], Type::U32) : builder.writePredicate(statement.operands[0]);
  }
  builder.emit(instruction);
}

// ---- questions ----

void activeMask(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  forLanes(mask, [&](unsigned lane) { d[lane] = mask; });
}

template <class T> void clockValue(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<T>(self.d);
  uint64_t value = warp.steps;
  if (self.variant)
    value = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
  forLanes(mask, [&](unsigned lane) { d[lane] = static_cast<T>(value); });
}

} // namespace

/// mov from a register that changes while the kernel runs. False for any other mov.
bool decodeClock(Builder &builder, const Statement &statement) {
  const std::string &name = statement.operands[1].name;
  bool timer = name == "%globaltimer" || name == "%globaltimer_lo";
  if (!timer && name != "%clock" && name != "%clock64" && name != "%clock_hi")
    return false;
  Type type = builder.type(statement);
  Instruction instruction;
  instruction.run = bytesOf(type) == 8 ? clockValue<uint64_t> : clockValue<uint32_t>;
  instruction.variant = timer;
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
  return true;
}

void addWarpDecoders(Decoders &decoders) {
  decoders["shfl"] = decodeShuffle;
  decoders["vote"] = decodeVote;
  decoders["redux"] = decodeRedux;
  decoders["match"] = decodeMatch;
  decoders["elect"] = decodeElect;
  decoders["bar"] = decoders["barrier"] = decodeBarrier;
  decoders["activemask"] = [](Builder &builder, const Statement &statement) {
    Instruction instruction;
    instruction.run = activeMask;
    instruction.d = builder.write(statement.operands.at(0), Type::B32);
    builder.emit(instruction);
  };
  decoders["nanosleep"] = [](Builder &builder, const Statement &) {
    Instruction instruction;
    instruction.run = nothing;
    instruction.flow = Flow::Yield;
    builder.emit(instruction);
  };
}

} // namespace emulator
