// Every memory access of a kernel passes here: which space, is it inside, aligned, written before, and free of races.
#include "Cuda.h"
#include "Machine.h"

namespace emulator {

namespace {

std::string verb(AccessKind kind) {
  return kind == AccessKind::Write ? "write" : kind == AccessKind::Atomic ? "atomic access" : "read";
}

std::string place(const Program &program, uint32_t pc) {
  const auto &statement = program.statements[program.code[pc].statement];
  return "PTX line " + std::to_string(statement.first) + " (" + squeezed(statement.second) + ")";
}

/// The offset of an access to a space of `size` bytes; -1 after a finding.
int64_t insideOf(Warp &warp, unsigned lane, uint64_t offset, unsigned bytes, uint64_t size, AccessKind kind, const char *space) {
  if (offset > size || bytes > size - offset) {
    warp.report(CUDA_ERROR_ILLEGAL_ADDRESS,
                verb(kind) + " of " + std::to_string(bytes) + " bytes at offset " + std::to_string(int64_t(offset)) + " of " +
                    std::to_string(size) + " bytes of " + space + " memory",
                lane);
    return -1;
  }
  if (offset & (bytes - 1)) {
    warp.report(CUDA_ERROR_MISALIGNED_ADDRESS,
                "misaligned " + verb(kind) + " of " + std::to_string(bytes) + " bytes at " + space + " offset " +
                    std::to_string(offset),
                lane);
    return -1;
  }
  return static_cast<int64_t>(offset);
}

void reportShared(Warp &warp, unsigned lane, SharedMemory::Verdict verdict, unsigned offset, unsigned bytes, AccessKind kind,
                  const Race &race) {
  const Program &program = *warp.block.launch.program;
  std::string range = verb(kind) + " of " + std::to_string(bytes) + " bytes at shared offset " + std::to_string(offset);
  if (verdict == SharedMemory::Verdict::Unwritten)
    return warp.report(CUDA_ERROR_LAUNCH_FAILED, range + ", which nobody has written", lane);
  if (verdict == SharedMemory::Verdict::InFlight)
    return warp.report(
        CUDA_ERROR_LAUNCH_FAILED,
        range + " before the copy of " + place(program, warp.block.shared.inFlightPc(offset, bytes)) + " was waited for", lane);
  if (verdict == SharedMemory::Verdict::IsMbarrier)
    return warp.report(CUDA_ERROR_LAUNCH_FAILED, range + ", where an mbarrier lies", lane);
  if (race.earlier.isCopy())
    return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                       "race: " + range + " and the bulk copy of " + place(program, race.earlier.pc()) +
                           ", whose mbarrier the thread has not waited for",
                       lane);
  warp.report(CUDA_ERROR_LAUNCH_FAILED,
              "race: " + range + " and the " + (race.earlierWrote ? "write" : "read") + " by thread " +
                  std::to_string(race.earlier.thread()) + " at " + place(program, race.earlier.pc()) + " without a barrier between",
              lane);
}

} // namespace

uint8_t *Warp::privateMemory(unsigned lane, uint64_t offset, unsigned bytes) {
  (void)bytes;
  return local.data() + size_t(block.launch.program->localBytes) * lane + offset;
}

uint8_t *Warp::judgeShared(unsigned lane, unsigned offset, unsigned bytes, AccessKind kind) {
  Race race;
  auto verdict = block.shared.touch(offset, bytes, kind, threadOf(lane), block.faultPc, race);
  if (verdict == SharedMemory::Verdict::Fine)
    return block.shared.data() + offset;
  reportShared(*this, lane, verdict, offset, bytes, kind, race);
  return nullptr;
}

uint8_t *Warp::rareAccess(unsigned lane, Space space, uint64_t address, unsigned bytes, AccessKind kind) {
  switch (space) {
  case Space::Shared: {
    // Generic shared addresses work in .shared accesses of 64-bit registers only after cvta; anything else is out of bounds.
    int64_t offset = insideOf(*this, lane, address, bytes, block.shared.size(), kind, "shared");
    return offset < 0 ? nullptr : judgeShared(lane, static_cast<unsigned>(offset), bytes, kind);
  }
  case Space::Local: {
    int64_t offset = insideOf(*this, lane, address, bytes, block.launch.program->localBytes, kind, "local");
    return offset < 0 ? nullptr : privateMemory(lane, static_cast<uint64_t>(offset), bytes);
  }
  case Space::Param: {
    int64_t offset = insideOf(*this, lane, address, bytes, block.launch.params.size(), kind, "parameter");
    if (offset >= 0 && kind != AccessKind::Read && kind != AccessKind::ReadConstant)
      report(CUDA_ERROR_ILLEGAL_ADDRESS, "write to the parameters of the kernel", lane);
    return offset < 0 || block.failed() ? nullptr : const_cast<uint8_t *>(block.launch.params.data()) + offset;
  }
  default:
    break;
  }
  int error = 0;
  std::string what;
  uint8_t *host = block.global.access(address, bytes, kind, error, what);
  if (!host)
    report(error, what, lane);
  return host;
}

void Warp::report(int error, const std::string &what, unsigned lane) {
  if (block.failed())
    return;
  const Launch &launch = block.launch;
  const auto triple = [](uint32_t x, uint32_t y, uint32_t z) {
    return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")";
  };
  unsigned thread = threadOf(lane);
  const Dim3 &size = launch.block;
  uint32_t at = block.faultPc != ~0u ? block.faultPc : pc[lane];
  const auto &statement = launch.program->statements[launch.program->code[at].statement];
  block.finding.error = error;
  block.finding.message = what + " in kernel " + launch.program->name + ", block " +
                          triple(block.index.x, block.index.y, block.index.z) + ", thread " +
                          triple(thread % size.x, thread / size.x % size.y, thread / size.x / size.y) + ", PTX line " +
                          std::to_string(statement.first) + ": " + squeezed(statement.second);
}

} // namespace emulator
