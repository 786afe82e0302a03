// The shadow of shared memory: unwritten bytes, bytes of copies under way, races.
#include "SharedMemory.h"

#include <algorithm>
#include <cstring>

namespace emulator {

void SharedMemory::configure(unsigned size, unsigned warpCount, bool check) {
  bytes = size;
  racecheck = check;
  memory.resize(size + 16);
  words.assign(size / 4 + 1, Cell());
  splitBytes.assign(size + 4, Cell());
  isSplit.assign(size / 4 + 1, 0);
  inFlight.assign(size + 16, 0);
  warps.assign(warpCount, WarpTime());
  for (WarpTime &warp : warps)
    warp.seen.assign(warpCount, 0);
}

void SharedMemory::start() {
  std::fill(memory.begin(), memory.end(), uint8_t(0xCD));
  std::fill(isSplit.begin(), isSplit.end(), uint8_t(0));
  if (flights)
    std::fill(inFlight.begin(), inFlight.end(), 0u);
  flights = 0;
  for (const WarpTime &warp : warps)
    base = std::max(base, warp.tick + 1);
  for (WarpTime &warp : warps) {
    warp.tick = base;
    warp.fullMeeting = 0;
    warp.pair.clear();
    std::fill(warp.seen.begin(), warp.seen.end(), 0u);
  }
}

bool SharedMemory::ordered(const Touch &earlier, unsigned thread) const {
  unsigned mine = thread / 32, other = earlier.thread() / 32;
  const WarpTime &time = warps[mine];
  if (mine != other)
    return earlier.tick <= time.seen[other];
  if (earlier.tick <= time.fullMeeting || earlier.thread() == thread)
    return true;
  return !time.pair.empty() && earlier.tick <= time.pair[(thread % 32) * 32 + earlier.thread() % 32];
}

bool SharedMemory::conflict(const Touch &earlier, bool wrote, unsigned thread, Race &race) const {
  if (earlier.tick < base || ordered(earlier, thread))
    return false;
  race = {true, wrote, earlier.pc(), earlier.thread()};
  return true;
}

SharedMemory::Verdict SharedMemory::judge(Cell &cell, AccessKind kind, unsigned thread, uint32_t pc, Race &race) {
  bool writes = kind == AccessKind::Write || kind == AccessKind::Atomic;
  if (kind != AccessKind::Write && cell.writer.tick < base)
    return Verdict::Unwritten;
  Touch mine{warps[thread / 32].tick, pc << 10 | thread};
  if (racecheck) {
    bool bothAtomic = kind == AccessKind::Atomic && cell.atomicWriter;
    if (!bothAtomic && conflict(cell.writer, true, thread, race))
      return Verdict::Conflict;
    if (writes && !bothAtomic)
      for (const Touch *reader : {&cell.reader, &cell.otherLane, &cell.otherWarp})
        if (conflict(*reader, false, thread, race))
          return Verdict::Conflict;
  }
  if (writes) {
    cell.writer = mine;
    cell.atomicWriter = kind == AccessKind::Atomic;
    return Verdict::Fine;
  }
  // Three readers stand for all: the last one, one of another lane of its warp, one of another warp.
  if (cell.reader.tick >= base && cell.reader.thread() != thread)
    (cell.reader.thread() / 32 == thread / 32 ? cell.otherLane : cell.otherWarp) = cell.reader;
  cell.reader = mine;
  return Verdict::Fine;
}

void SharedMemory::split(unsigned word) {
  isSplit[word] = 1;
  for (unsigned i = 0; i < 4; ++i)
    splitBytes[word * 4 + i] = words[word];
}

SharedMemory::Verdict SharedMemory::touch(unsigned offset, unsigned size, AccessKind kind, unsigned thread, uint32_t pc,
                                          Race &race) {
  if (flights)
    for (unsigned i = 0; i < size; ++i)
      if (inFlight[offset + i])
        return Verdict::InFlight;
  Verdict verdict = Verdict::Fine;
  for (unsigned at = offset, end = offset + size; at < end && verdict == Verdict::Fine;) {
    unsigned word = at / 4, step = std::min(end, word * 4 + 4) - at;
    if (step < 4 && !isSplit[word])
      split(word);
    if (!isSplit[word])
      verdict = judge(words[word], kind, thread, pc, race);
    else {
      for (unsigned i = 0; i < step && verdict == Verdict::Fine; ++i)
        verdict = judge(splitBytes[at + i], kind, thread, pc, race);
      if (step == 4 && kind == AccessKind::Write && verdict == Verdict::Fine) {
        words[word] = splitBytes[at];
        isSplit[word] = 0;
      }
    }
    at += step;
  }
  return verdict;
}

void SharedMemory::setInFlight(unsigned offset, unsigned size, uint32_t pc, bool on) {
  for (unsigned i = 0; i < size; ++i) {
    flights += on && !inFlight[offset + i];
    flights -= !on && inFlight[offset + i];
    inFlight[offset + i] = on ? pc + 1 : 0;
  }
}

void SharedMemory::meet(unsigned warp, uint32_t mask, uint32_t live) {
  WarpTime &time = warps[warp];
  uint32_t ended = time.tick++;
  if ((mask & live) == live) {
    time.fullMeeting = ended;
    return;
  }
  if (time.pair.empty())
    time.pair.assign(32 * 32, 0);
  for (unsigned i = 0; i < 32; ++i)
    for (unsigned j = 0; j < 32; ++j)
      if (mask >> i & mask >> j & 1)
        time.pair[i * 32 + j] = ended;
}

void SharedMemory::barrier(const std::vector<uint32_t> &lanes) {
  std::vector<uint32_t> joined(warps.size(), 0);
  for (size_t w = 0; w < warps.size(); ++w)
    if (lanes[w]) {
      joined[w] = std::max(joined[w], warps[w].tick);
      for (size_t v = 0; v < warps.size(); ++v)
        joined[v] = std::max(joined[v], warps[w].seen[v]);
    }
  for (size_t w = 0; w < warps.size(); ++w)
    if (lanes[w]) {
      warps[w].seen = joined;
      warps[w].fullMeeting = warps[w].tick++;
    }
}

} // namespace emulator
