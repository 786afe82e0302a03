// What runs: a block with its shared memory, its warps, and per lane a program counter, registers and private memory.
#ifndef EMULATOR_MACHINE_H
#define EMULATOR_MACHINE_H

#include "Cluster.h"
#include "DeviceMemory.h"
#include "GlobalOrder.h"
#include "GlobalStores.h"
#include "Mbarrier.h"
#include "Program.h"
#include "Windows.h"

#include <deque>
#include <random>

namespace emulator {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

struct Launch {
  const Program *program = nullptr;
  Dim3 grid, block;
  unsigned dynamicShared = 0;
  bool cooperative = false;
  std::vector<uint8_t> params;
  uint32_t smCount = 1;
};

enum class Order : uint8_t { Warps, WarpsReversed, Shuffled, Threads };
struct Schedule {
  Order order = Order::Warps;
  unsigned seed = 0;
  unsigned hostThreads = 1;
  unsigned residents = 1; // blocks of an ordinary launch that run at the same time
  bool racecheck = true;
  uint64_t stepLimit = 0; // instructions of a warp before a kernel counts as hanging
  uint64_t pollLimit = 0; // polls of every warp, nothing changing meanwhile, before it counts as deadlocked
};

/// How long a warp runs before others get a turn, in instructions.
struct Turn {
  int length, pollCost; // an atomic or a volatile load counts as pollCost: it may be part of a spin loop
};

/// The bug that ends a launch.
struct Finding {
  int error = 0; // CUresult
  std::string message;
};

class Block;

enum class LaneState : uint8_t { Run, Meet, AtBarrier, Done };

/// One cp.async that has not landed.
struct AsyncCopy {
  uint32_t shared;
  uint64_t source; // device address
  uint8_t bytes, sourceBytes;
  uint32_t pc;
};
/// A store to global memory that others do not see yet.
struct LateStore {
  uint8_t *to;
  unsigned bytes;
  uint64_t value;
};
struct AsyncCopies {
  std::vector<AsyncCopy> open;
  std::deque<std::vector<AsyncCopy>> groups;
};

/// One wgmma.mma_async that has not been waited for.
struct Product {
  uint64_t rows, columns;     // descriptors
  unsigned width;             // columns
  uint32_t pc, serial;        // of its first register
  std::vector<uint8_t> lines; // 32 bytes of each row and column
};
/// Registers with sums on their way that a warp can have, a power of two.
constexpr uint32_t kMarkedRegisters = 1 << 16;
struct Products {
  std::vector<Product> open;
  std::deque<std::vector<Product>> groups;
  bool fenced = false;
  uint32_t serial = 0;
  std::vector<std::array<uint32_t, 32>> sums; // by serial number of the register
};

class Warp {
public:
  Warp(Block &block, unsigned index);
  void start();
  /// Runs until no lane can go on or each has had a turn.
  void run(Order order, Turn turn);
  bool canRun() const { return lanesIn(LaneState::Run) != 0; }
  /// What the lanes wait for has not come: others shall run.
  void endTurn() { budget = 0; }

  template <class T> SlotOf<T> *slot(uint32_t offset) { return reinterpret_cast<SlotOf<T> *>(registers.get() + offset); }
  uint32_t &predicate(uint32_t offset) { return *reinterpret_cast<uint32_t *>(registers.get() + offset); }
  uint64_t addressOf(const Instruction &instruction, unsigned lane) {
    uint8_t *base = registers.get() + instruction.a;
    uint64_t value =
        instruction.narrowAddress ? reinterpret_cast<uint32_t *>(base)[lane] : reinterpret_cast<uint64_t *>(base)[lane];
    return value + static_cast<uint64_t>(instruction.imm);
  }
  /// Host memory of an access, checked; nullptr after a finding.
  uint8_t *access(const Instruction &instruction, unsigned lane, uint64_t address, unsigned bytes, AccessKind kind);
  /// The same with the address space said.
  uint8_t *access(unsigned lane, Space space, uint64_t address, unsigned bytes, AccessKind kind);
  Mbarrier *mbarrierAt(const Instruction &instruction, unsigned lane, uint64_t address, AccessKind kind);
  uint32_t lanesAtOneMbarrier(const Instruction &instruction, uint32_t mask, Mbarrier *&barrier);
  void report(int error, const std::string &what, unsigned lane);
  /// Whether `mask` is all of the warp, as an aligned instruction wants it; a finding if not. Where lanes run one by one nobody can
  /// tell.
  bool standsTogether(uint32_t mask, const char *instruction);
  /// Stores to global memory, now or later: see LateStores.cpp.
  void storeLate(uint8_t *to, unsigned bytes, uint64_t value);
  void landStores();
  unsigned threadOf(unsigned lane) const { return index * 32 + lane; }

  Block &block;
  const unsigned index;
  uint32_t live = 0;
  uint64_t steps = 0;
  uint64_t polls = 0; // since something changed
  std::array<uint32_t, 32> pc{};
  std::array<LaneState, 32> state{};
  std::array<uint32_t, 32> meetMask{};
  std::array<AsyncCopies, 32> copies;
  Products products;

private:
  friend class Block;
  uint32_t lanesIn(LaneState wanted) const;
  void runGroup(uint32_t mask, uint32_t limit);
  bool control(const Instruction &instruction, uint32_t &mask, uint32_t active, uint32_t &at);
  bool meet(const Instruction &instruction, uint32_t &mask, uint32_t active, uint32_t &at);
  void tryRelease();
  void exitLanes(uint32_t mask);
  void setCounters(uint32_t mask, uint32_t value);
  uint8_t *privateMemory(unsigned lane, uint64_t offset, unsigned bytes);
  uint8_t *judgeShared(unsigned lane, unsigned offset, unsigned bytes, AccessKind kind);
  uint8_t *rareAccess(unsigned lane, Space space, uint64_t address, unsigned bytes, AccessKind kind);

  std::unique_ptr<uint8_t[], void (*)(void *)> registers;
  std::vector<uint8_t> local;
  std::vector<LateStore> lateStores;
  int budget = 0, pollCost = 0;
};

struct BarrierState {
  bool inUse = false;
  unsigned expected = 0;         // 0: all threads of the block
  std::vector<uint32_t> arrived; // lanes per warp, waiting or not
  std::vector<uint32_t> waiting; // lanes per warp
  std::vector<uint32_t> truth;   // lanes per warp whose bar.red predicate held
  Clock known;                   // what those that do not wait make known
};

/// What setmaxnreg moves: registers of each thread, empty until the first asks, and those that nobody has.
struct RegisterPool {
  std::vector<uint16_t> owned;
  int64_t free = 0;
};

class Block {
public:
  /// Number `number` of `count` blocks that run at the same time, and are the cluster where the kernel has one.
  Block(const Launch &launch, const Schedule &schedule, DeviceMemory &memory, GlobalOrder &order, GlobalStores &stores,
        unsigned number, unsigned count);
  void start(Dim3 index);
  bool done() const { return liveThreads == 0; }
  bool hasAgent(unsigned agent) const { return agent - shared.agentOfWarp(0) < warps.size(); }
  /// No lane can go on.
  void reportDeadlock();

  void arrive(Warp &warp, const Instruction &instruction, uint32_t lanes);
  void threadsExited(unsigned count);
  /// False after a finding.
  bool finishCopies(Warp &warp, unsigned lane, std::vector<AsyncCopy> &copies);

  void issueBulkCopy(Warp &warp, unsigned lane, Mbarrier &barrier, uint32_t target, std::vector<Piece> pieces);
  /// Sixteen bytes that another block of the cluster stores here.
  void issueStore(Mbarrier &barrier, uint32_t target, const std::array<uint32_t, 4> &data, uint32_t pc);
  /// Somebody waits in vain: one of the copies that complete on `barrier` lands.
  void landOneFor(Mbarrier &barrier);
  /// Lets each copy under way land with a small probability.
  void landSome();

  const Launch &launch;
  const Schedule &schedule;
  DeviceMemory &memory;
  GlobalOrder &order;
  GlobalStores &stores;
  GlobalAccess global;
  SharedMemory shared;
  Mbarriers mbarriers;
  RegisterPool registers;
  Dim3 index;
  unsigned threads, liveThreads = 0;
  std::vector<std::unique_ptr<Warp>> warps;
  Cluster *cluster = nullptr;
  unsigned rank = 0; // in it
  Finding finding;
  uint64_t changes = 0;   // of memory and barriers: what a poll may wait for
  uint32_t faultPc = ~0u; // the instruction that a finding belongs to; ~0: the one the lane stands at
  uint32_t draw() { return static_cast<uint32_t>(random()); }
  bool failed() const { return finding.error != 0; }

private:
  friend class Warp;
  void tryComplete(unsigned id);
  void release(unsigned id);
  void arriveTogether(Warp &warp, const Instruction &instruction, uint32_t lanes, unsigned id, unsigned expected);
  unsigned arrivals(const BarrierState &barrier) const;
  void landBulkCopy(size_t number);
  std::array<BarrierState, 16> barriers;
  std::mt19937 random;
};

/// What nearly all accesses are: to the allocation used last, or to an aligned place inside shared or local memory or parameters.
inline uint8_t *Warp::access(unsigned lane, Space space, uint64_t address, unsigned bytes, AccessKind kind) {
  if (space == Space::Generic)
    space = spaceOf(address, address);
  const auto isInside = [&](uint64_t size) { return address < size && bytes <= size - address && !(address & (bytes - 1)); };
  if (space == Space::Global) {
    if (uint8_t *host = block.global.quick(address, bytes, kind))
      return host;
  } else if (space == Space::Shared && isInside(block.shared.size()))
    return judgeShared(lane, static_cast<unsigned>(address), bytes, kind);
  else if (space == Space::Local && isInside(local.size() / 32))
    return local.data() + local.size() / 32 * lane + address;
  else if (space == Space::Param && kind <= AccessKind::ReadConstant && isInside(block.launch.params.size()))
    return const_cast<uint8_t *>(block.launch.params.data()) + address;
  return rareAccess(lane, space, address, bytes, kind);
}

inline uint8_t *Warp::access(const Instruction &instruction, unsigned lane, uint64_t address, unsigned bytes, AccessKind kind) {
  return access(lane, instruction.space, address, bytes, kind);
}

/// Runs a whole grid; the finding that ended it, or error 0.
Finding runGrid(const Launch &launch, const Schedule &schedule, DeviceMemory &memory);

} // namespace emulator

#endif // EMULATOR_MACHINE_H
