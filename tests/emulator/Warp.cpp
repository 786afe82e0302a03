// A warp: 32 lanes, each with its own program counter. Lanes at the same instruction run together; which group runs next is the
// schedule's choice.
#include "Machine.h"

#include "Cuda.h"

#include <algorithm>
#include <cstdlib>

namespace emulator {

namespace {

std::unique_ptr<uint8_t[], void (*)(void *)> allocateRegisters(size_t bytes) {
  bytes = (bytes + 4095) / 4096 * 4096;
  auto *memory = static_cast<uint8_t *>(std::aligned_alloc(4096, bytes));
  std::memset(memory, 0xCD, bytes);
  return {memory, std::free};
}

template <class Visit> void forLanesOf(uint32_t mask, Visit visit) {
  for (; mask; mask &= mask - 1)
    visit(static_cast<unsigned>(__builtin_ctz(mask)));
}

} // namespace

Warp::Warp(Block &block, unsigned index) : block(block), index(index), registers(nullptr, std::free) {
  const Program &program = *block.launch.program;
  registers = allocateRegisters(std::max<size_t>(program.registerBytes, 64));
  for (const auto &constant : program.constants)
    for (unsigned lane = 0; lane < 32; ++lane)
      if (constant.wide)
        slot<uint64_t>(constant.slot)[lane] = constant.bits;
      else
        slot<uint32_t>(constant.slot)[lane] = static_cast<uint32_t>(constant.bits);
  local.resize(size_t(program.localBytes) * 32);
}

static uint32_t specialValue(const Launch &launch, const Block &block, const Warp &warp, unsigned lane, Special kind) {
  unsigned thread = warp.threadOf(lane);
  const Dim3 &size = launch.block;
  switch (kind) {
  case Special::TidX:
    return thread % size.x;
  case Special::TidY:
    return thread / size.x % size.y;
  case Special::TidZ:
    return thread / size.x / size.y;
  case Special::NtidX:
    return size.x;
  case Special::NtidY:
    return size.y;
  case Special::NtidZ:
    return size.z;
  case Special::CtaidX:
    return block.index.x;
  case Special::CtaidY:
    return block.index.y;
  case Special::CtaidZ:
    return block.index.z;
  case Special::NctaidX:
    return launch.grid.x;
  case Special::NctaidY:
    return launch.grid.y;
  case Special::NctaidZ:
    return launch.grid.z;
  case Special::LaneId:
    return lane;
  case Special::WarpId:
    return warp.index;
  case Special::NwarpId:
    return (block.threads + 31) / 32;
  case Special::SmId:
    return block.index.x % launch.smCount;
  case Special::NsmId:
    return launch.smCount;
  case Special::LanemaskEq:
    return 1u << lane;
  case Special::LanemaskLt:
    return (1u << lane) - 1;
  case Special::LanemaskLe:
    return 2 * (1u << lane) - 1;
  case Special::LanemaskGt:
    return ~(2 * (1u << lane) - 1);
  case Special::LanemaskGe:
    return ~((1u << lane) - 1);
  case Special::DynamicSharedSize:
    return launch.dynamicShared;
  case Special::TotalSharedSize:
    return launch.program->staticShared + launch.dynamicShared;
  default:
    return 1;
  }
}

void Warp::start() {
  const Program &program = *block.launch.program;
  for (const auto &special : program.specials)
    for (unsigned lane = 0; lane < 32; ++lane) {
      uint32_t value = specialValue(block.launch, block, *this, lane, special.kind);
      if (special.wide)
        slot<uint64_t>(special.slot)[lane] = value;
      else
        slot<uint32_t>(special.slot)[lane] = value;
    }
  unsigned lanes = std::min(32u, block.threads - index * 32);
  live = lanes == 32 ? ~0u : (1u << lanes) - 1;
  pc.fill(0);
  for (unsigned lane = 0; lane < 32; ++lane) {
    state[lane] = lane < lanes ? LaneState::Run : LaneState::Done;
    copies[lane].open.clear();
    copies[lane].groups.clear();
  }
  products.open.clear();
  products.groups.clear();
  products.fenced = false;
  steps = polls = 0;
  lateStores.clear();
  std::fill(local.begin(), local.end(), uint8_t(0xCD));
}

uint32_t Warp::lanesIn(LaneState wanted) const {
  uint32_t mask = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    mask |= uint32_t(state[lane] == wanted) << lane;
  return mask;
}

void Warp::run(Order order, Turn turn) {
  uint32_t last = 0, tired = 0; // lanes that used up their turn may be waiting for others
  budget = turn.length;
  pollCost = turn.pollCost;
  while (!block.failed()) {
    uint32_t candidates = lanesIn(LaneState::Run);
    if (!candidates)
      break;
    if (budget <= 0) {
      tired |= last;
      budget = turn.length;
    }
    candidates &= ~tired;
    if (!candidates)
      break;
    unsigned first = static_cast<unsigned>(__builtin_ctz(candidates));
    if (order == Order::Threads) {
      last = 1u << first;
      runGroup(last, ~0u);
      continue;
    }
    uint32_t lowest = ~0u, next = ~0u, group = 0;
    forLanesOf(candidates, [&](unsigned lane) { lowest = std::min(lowest, pc[lane]); });
    forLanesOf(candidates, [&](unsigned lane) {
      if (pc[lane] == lowest)
        group |= 1u << lane;
      else
        next = std::min(next, pc[lane]);
    });
    last = group;
    runGroup(group, next);
  }
}

void Warp::setCounters(uint32_t mask, uint32_t value) {
  forLanesOf(mask, [&](unsigned lane) { pc[lane] = value; });
}

/// Runs the lanes of `mask`, all at one instruction, until they part, wait, or reach `limit`, where other lanes stand.
void Warp::runGroup(uint32_t mask, uint32_t limit) {
  const Instruction *code = block.launch.program->code.data();
  uint32_t at = pc[static_cast<unsigned>(__builtin_ctz(mask))];
  do {
    const Instruction &instruction = code[at];
    uint32_t active = mask;
    if (instruction.guard != kNoSlot) {
      uint32_t held = predicate(instruction.guard);
      active &= instruction.guardNegated ? ~held : held;
    }
    ++steps;
    --budget;
    if (instruction.flow == Flow::Plain) {
      if (active)
        instruction.run(*this, instruction, active);
      ++at;
    } else if (instruction.flow <= Flow::Yield) {
      if (active) {
        block.faultPc = at;
        if (!lateStores.empty() && !instruction.isStore)
          landStores();
        instruction.run(*this, instruction, active);
        if (block.failed())
          return setCounters(active, at);
        if (instruction.flow == Flow::Yield)
          budget -= pollCost, ++polls;
      }
      ++at;
    } else if (!control(instruction, mask, active, at))
      return;
  } while (at < limit && budget > 0);
  setCounters(mask, at);
  if (steps > block.schedule.stepLimit)
    report(CUDA_ERROR_LAUNCH_TIMEOUT, "no end after " + std::to_string(steps) + " instructions of a warp (SM1_EMULATOR_STEPS)",
           static_cast<unsigned>(__builtin_ctz(mask)));
}

/// Control flow and meetings. False when the group is dissolved: every lane's counter is set.
bool Warp::control(const Instruction &instruction, uint32_t &mask, uint32_t active, uint32_t &at) {
  block.faultPc = at;
  bool jumps = instruction.flow >= Flow::Branch && instruction.flow <= Flow::Return;
  if (!lateStores.empty() && !jumps)
    landStores();
  switch (instruction.flow) {
  case Flow::Branch:
    if (active == mask) {
      at = static_cast<uint32_t>(instruction.imm);
      return true;
    }
    if (!active) {
      ++at;
      return true;
    }
    setCounters(active, static_cast<uint32_t>(instruction.imm));
    setCounters(mask & ~active, at + 1);
    return false;
  case Flow::IndexedBranch:
    setCounters(mask & ~active, at + 1);
    forLanesOf(active, [&](unsigned lane) {
      uint32_t choice = slot<uint32_t>(instruction.a)[lane];
      if (choice < instruction.listCount)
        pc[lane] = block.launch.program->lists[instruction.list + choice];
      else
        pc[lane] = at,
        report(CUDA_ERROR_LAUNCH_FAILED,
               "brx.idx with index " + std::to_string(choice) + " of " + std::to_string(instruction.listCount), lane);
    });
    return false;
  case Flow::Call:
    forLanesOf(active, [&](unsigned lane) { slot<uint32_t>(instruction.d)[lane] = at + 1; });
    setCounters(active, static_cast<uint32_t>(instruction.imm));
    setCounters(mask & ~active, at + 1);
    return false;
  case Flow::Return:
    forLanesOf(active, [&](unsigned lane) { pc[lane] = slot<uint32_t>(instruction.a)[lane]; });
    setCounters(mask & ~active, at + 1);
    return false;
  case Flow::Exit:
    setCounters(mask, at + 1);
    setCounters(active, at);
    exitLanes(active);
    return false;
  case Flow::Barrier:
    setCounters(mask, at + 1);
    setCounters(active, at);
    if (active)
      block.arrive(*this, instruction, active);
    return false;
  default:
    return meet(instruction, mask, active, at);
  }
}

/// Lanes arrive at an instruction of the whole warp: it runs at once if all are here, otherwise they wait.
bool Warp::meet(const Instruction &instruction, uint32_t &mask, uint32_t active, uint32_t &at) {
  if (!active) {
    ++at;
    return true;
  }
  unsigned first = static_cast<unsigned>(__builtin_ctz(active));
  bool all = instruction.flow == Flow::WarpAll;
  const uint32_t *masks = all ? nullptr : slot<uint32_t>(instruction.b);
  uint32_t wanted = all ? ~0u : masks[first];
  bool uniform = true;
  if (!all)
    forLanesOf(active, [&](unsigned lane) { uniform &= masks[lane] == wanted; });
  setCounters(active, at);
  if (uniform && (wanted & live) == active && !(all && live != ~0u)) {
    instruction.run(*this, instruction, active);
    block.shared.meet(index, active, live);
    if (block.failed())
      return false;
    ++at;
    return true;
  }
  forLanesOf(active, [&](unsigned lane) {
    uint32_t members = all ? ~0u : masks[lane];
    if (!(members >> lane & 1))
      report(CUDA_ERROR_LAUNCH_FAILED, "the member mask does not name the executing lane", lane);
    else if (all && live != ~0u)
      report(CUDA_ERROR_LAUNCH_FAILED, "an instruction of the whole warp, but some of its lanes have exited or never existed",
             lane);
    state[lane] = LaneState::Meet;
    meetMask[lane] = members;
  });
  setCounters(mask & ~active, at + 1);
  tryRelease();
  return false;
}

/// Lets waiting lanes go on whose meeting is complete.
void Warp::tryRelease() {
  const Program &program = *block.launch.program;
  for (uint32_t meeting = lanesIn(LaneState::Meet), rest = meeting; rest && !block.failed(); rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    uint32_t wanted = meetMask[lane] & live;
    if (wanted & ~meeting)
      continue;
    const Instruction &instruction = program.code[pc[lane]];
    bool complete = true, samePlace = true;
    forLanesOf(wanted, [&](unsigned other) {
      complete &= meetMask[other] == meetMask[lane] && program.code[pc[other]].run == instruction.run;
      samePlace &= pc[other] == pc[lane];
    });
    if (!complete)
      continue;
    // Only bar.warp.sync has no data that would make the place matter.
    if (!samePlace && instruction.d != kNoSlot) {
      report(CUDA_ERROR_LAUNCH_FAILED, "lanes of one warp meet at different instructions", lane);
      return;
    }
    block.faultPc = pc[lane];
    instruction.run(*this, instruction, wanted);
    block.shared.meet(index, wanted, live);
    forLanesOf(wanted, [&](unsigned other) {
      state[other] = LaneState::Run;
      ++pc[other];
    });
    meeting &= ~wanted;
    rest &= ~wanted | 1u << lane;
  }
}

bool Warp::standsTogether(uint32_t mask, const char *instruction) {
  if (mask == live || block.schedule.order == Order::Threads)
    return true;
  report(CUDA_ERROR_LAUNCH_FAILED, "lanes of one warp stand at different places of an aligned " + std::string(instruction),
         static_cast<unsigned>(__builtin_ctz(mask)));
  return false;
}

void Warp::exitLanes(uint32_t mask) {
  if (!mask)
    return;
  forLanesOf(mask, [&](unsigned lane) { state[lane] = LaneState::Done; });
  live &= ~mask;
  tryRelease();
  block.threadsExited(static_cast<unsigned>(__builtin_popcount(mask)));
}

} // namespace emulator
