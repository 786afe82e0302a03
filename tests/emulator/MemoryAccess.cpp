// ld and st, in every space and width; prefetches, fences and other hints, which do nothing here.
#include "Lanes.h"
#include "Windows.h"

#include <algorithm>
#include <atomic>

namespace emulator {

namespace {

/// One element of `size` bytes to a slot, extended.
template <class T> uint64_t extended(const uint8_t *from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return toSlot<T>(value);
}

enum : uint8_t { kStrong = 1, kRelease = 2 };
constexpr unsigned kMostElements = 8; // of a vector

bool isGlobal(const Instruction &self, uint64_t address) {
  return self.space == Space::Global || (self.space == Space::Generic && spaceOf(address, address) == Space::Global);
}

/// Whether others may see a store to global memory later.
bool mayBeLate(Warp &warp, const Instruction &self) {
  return warp.block.launch.cooperative && warp.block.schedule.order == Order::Shuffled && !(self.variant & kRelease);
}

/// False after a finding. `old` are the bytes that `value` is about to replace.
bool judgeStore(Warp &warp, const Instruction &self, unsigned lane, uint64_t address, const uint8_t *old, const void *value) {
  GlobalStores &stores = warp.block.stores;
  if (!warp.block.schedule.racecheck)
    return true;
  if (!self.variant && !mayBeLate(warp, self))
    return stores.note(warp, lane, address, self.bytes, old, static_cast<const uint8_t *>(value));
  stores.forget(address, self.bytes);
  return true;
}

/// Strong accesses of one word of shared memory do not race with each other, whichever order they come in.
AccessKind kindOf(const Instruction &self, AccessKind kind) {
  return self.variant && self.space == Space::Shared ? AccessKind::Atomic : kind;
}

/// Lanes that read neighbouring words of global memory, all at once; false if they do not, or if one of them may not.
template <class T, AccessKind kind> bool loadTogether(Warp &warp, const Instruction &self, uint32_t mask) {
  constexpr uint64_t most = 4096;
  if (self.space != Space::Global || !(mask & (mask - 1)))
    return false;
  std::array<uint64_t, 32> addresses; // what is loaded may take their register
  uint64_t first = ~0ull, last = 0, bits = 0;
  forLanes(mask, [&](unsigned lane) {
    uint64_t address = addresses[lane] = warp.addressOf(self, lane);
    first = std::min(first, address), last = std::max(last, address), bits |= address;
  });
  if (last - first > most || bits & (self.bytes - 1u))
    return false;
  const uint8_t *from = warp.block.global.quickRange(first, last - first + self.bytes, kind);
  if (!from)
    return false;
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  for (unsigned i = 0; i < self.listCount; ++i) {
    auto *to = warp.slot<T>(slots[i]);
    forLanes(mask, [&](unsigned lane) {
      to[lane] = static_cast<SlotOf<T>>(extended<T>(from + (addresses[lane] - first) + i * sizeof(T)));
    });
  }
  return true;
}

/// variant: strong (volatile, relaxed or more), which may order what threads do elsewhere.
template <class T, AccessKind kind> void load(Warp &warp, const Instruction &self, uint32_t mask) {
  uint32_t asked = mask;
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  if (loadTogether<T, kind>(warp, self, mask))
    mask = 0;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    const uint8_t *from = warp.access(self, lane, warp.addressOf(self, lane), self.bytes, kindOf(self, kind));
    if (!from)
      return;
    for (unsigned i = 0; i < self.listCount; ++i)
      warp.slot<T>(slots[i])[lane] = static_cast<SlotOf<T>>(extended<T>(from + i * sizeof(T)));
  }
  if (self.variant) {
    std::atomic_thread_fence(std::memory_order_acquire); // the host may have written it
    warp.block.order.read(warp, self, asked);
  }
}

template <class T> void store(Warp &warp, const Instruction &self, uint32_t mask) {
  uint32_t asked = mask;
  if (self.variant & kRelease) {
    warp.landStores();
    std::atomic_thread_fence(std::memory_order_release); // the host may read it
  }
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t address = warp.addressOf(self, lane);
    uint8_t *to = warp.access(self, lane, address, self.bytes, kindOf(self, AccessKind::Write));
    if (!to)
      return;
    std::array<T, kMostElements> values;
    bool changed = false, global = isGlobal(self, address);
    for (unsigned i = 0; i < self.listCount; ++i) {
      values[i] = static_cast<T>(warp.slot<T>(slots[i])[lane]);
      T before; // a comparison of memory would be a call
      std::memcpy(&before, to + i * sizeof(T), sizeof(T));
      changed |= before != values[i];
    }
    warp.block.changes += changed && self.space != Space::Local;
    if (global && !judgeStore(warp, self, lane, address, to, values.data()))
      return;
    bool late = global && mayBeLate(warp, self);
    for (unsigned i = 0; i < self.listCount; ++i)
      if (late)
        warp.storeLate(to + i * sizeof(T), sizeof(T), values[i]);
      else
        std::memcpy(to + i * sizeof(T), &values[i], sizeof(T));
  }
  if (self.variant)
    warp.block.order.wrote(warp, self, asked);
}

Space spaceOfAccess(const Statement &statement) {
  if (statement.has("global"))
    return Space::Global;
  if (statement.has("shared") || statement.has("shared::cta"))
    return Space::Shared;
  if (statement.has("local"))
    return Space::Local;
  if (statement.has("param") || statement.has("param::entry") || statement.has("param::func"))
    return Space::Param;
  return statement.has("const") ? Space::Constant : Space::Generic;
}

constexpr const char *kKnown = "global shared shared::cta local param param::entry param::func const v2 v4 v8 nc volatile weak "
                               "relaxed acquire release cta cluster gpu sys "
                               "ca cg cs lu cv wb wt L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last "
                               "L1::no_allocate L2::cache_hint L2::64B L2::128B L2::256B "
                               "L2::evict_last L2::evict_normal L2::evict_first unified";

template <AccessKind kind> Handler loadHandler(Type type) {
  switch (type) {
  case Type::S8:
    return load<int8_t, kind>;
  case Type::S16:
    return load<int16_t, kind>;
  default:
    break;
  }
  switch (bytesOf(type)) {
  case 1:
    return load<uint8_t, kind>;
  case 2:
    return load<uint16_t, kind>;
  case 4:
    return load<uint32_t, kind>;
  case 8:
    return load<uint64_t, kind>;
  default:
    return nullptr;
  }
}
Handler storeHandler(Type type) {
  switch (bytesOf(type)) {
  case 1:
    return store<uint8_t>;
  case 2:
    return store<uint16_t>;
  case 4:
    return store<uint32_t>;
  case 8:
    return store<uint64_t>;
  default:
    return nullptr;
  }
}

void decodeAccess(Builder &builder, const Statement &statement) {
  if (statement.has("async"))
    return decodeClusterStore(builder, statement);
  builder.allow(statement, kKnown);
  bool isLoad = statement.name == "ld" || statement.name == "ldu";
  Type type = builder.type(statement);
  // A cache policy may follow as a third operand.
  builder.expectOperands(statement, 2, statement.has("L2::cache_hint") ? 3 : 2);
  const Operand &memory = statement.operands[isLoad ? 1 : 0], &data = statement.operands[isLoad ? 0 : 1];
  unsigned count = statement.has("v2") ? 2 : statement.has("v4") ? 4 : statement.has("v8") ? 8 : 1;
  std::vector<Operand> parts = data.kind == Operand::Vector ? data.parts : std::vector<Operand>{data};
  if (parts.size() != count)
    builder.fail(std::to_string(parts.size()) + " registers for " + std::to_string(count) + " elements");
  Instruction instruction;
  instruction.space = spaceOfAccess(statement);
  bool readOnly = statement.has("nc");
  instruction.run = !isLoad    ? storeHandler(type)
                    : readOnly ? loadHandler<AccessKind::ReadConstant>(type)
                               : loadHandler<AccessKind::Read>(type);
  if (!instruction.run || type == Type::Pred)
    builder.fail("an access of this type is not known");
  bool releases = statement.has("release"),
       strong = releases || statement.has("volatile") || statement.has("acquire") || statement.has("relaxed");
  instruction.variant = static_cast<uint8_t>((strong ? kStrong : 0) | (releases ? kRelease : 0));
  instruction.isStore = !isLoad;
  instruction.flow = instruction.variant && isLoad ? Flow::Yield : Flow::Checked; // a load may be a poll
  instruction.bytes = static_cast<uint8_t>(bytesOf(type) * count);
  builder.address(memory, instruction);
  if (statement.planted)
    instruction.imm += instruction.bytes;
  std::vector<uint32_t> slots;
  for (const Operand &part : parts)
    slots.push_back(isLoad ? builder.write(part, type) : builder.read(part, type));
  builder.list(instruction, slots);
  builder.emit(instruction);
}

void nothing(Warp &, const Instruction &, uint32_t) {}

/// Late stores land before whatever is no store; beyond that only what the copy engine sees has to be told.
void decodeFence(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sc acq_rel acquire release cta cluster gpu sys proxy alias async async.global async.shared::cta global "
                           "shared::cta mbarrier_init");
  Instruction instruction;
  instruction.run = statement.has("async") || statement.has("mbarrier_init") ? fenceForCopies : nothing;
  instruction.flow = Flow::Checked;
  builder.emit(instruction);
}

} // namespace

void addMemoryDecoders(Decoders &decoders) {
  decoders["ld"] = decoders["ldu"] = decoders["st"] = decodeAccess;
  for (const char *hint : {"prefetch", "prefetchu", "griddepcontrol", "discard", "applypriority", "pmevent"})
    decoders[hint] = [](Builder &builder, const Statement &statement) {
      builder.allow(statement, "global local L1 L2 L2::evict_last L2::evict_normal L2::128B tensormap wait launch_dependents mask");
    };
  decoders["fence"] = decodeFence;
  decoders["membar"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "cta gl sys");
    Instruction instruction;
    instruction.run = nothing;
    instruction.flow = Flow::Checked;
    builder.emit(instruction);
  };
  decoders["createpolicy"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "fractional range cvt L2 global L2::evict_last L2::evict_normal L2::evict_first L2::evict_unchanged");
    Instruction instruction;
    instruction.run = resize<uint64_t, uint64_t>;
    instruction.a = builder.constant(0, true);
    instruction.d = builder.write(statement.operands.at(0), Type::B64);
    builder.emit(instruction);
  };
}

} // namespace emulator
