// The shadow of shared memory: unwritten bytes, bytes of copies under way, mbarriers, races.
#include "SharedMemory.h"

#include <algorithm>

namespace emulator {

void SharedMemory::configure(unsigned size, unsigned warpCount, bool check, unsigned block, unsigned blocks, bool cluster) {
  agentStride = cluster ? blocks : 1;
  agentPlace = cluster ? block : 0;
  bytes = size;
  firstAgent = block * warpCount;
  gridAgents = blocks * warpCount;
  racecheck = check;
  memory.resize(size + 16);
  words.assign(size / 16 * 4 + 4, Cell());
  isWhole.assign(size / 16 + 1, 1);
  splitIndex.assign(size / 16 * 4 + 4, 0);
  inFlight.assign(size / 4 + 5, 0);
  isMbarrier.assign(size / 8 + 3, 0);
  warps.assign(warpCount, WarpTime());
}

void SharedMemory::start() {
  std::fill(memory.begin(), memory.end(), uint8_t(0xCD));
  std::fill(isWhole.begin(), isWhole.end(), uint8_t(1)); // all are older than the block
  std::fill(splitIndex.begin(), splitIndex.end(), 0u);
  splitWords.clear();
  freeSplits.clear();
  if (flights)
    std::fill(inFlight.begin(), inFlight.end(), 0u);
  if (mbarriers)
    std::fill(isMbarrier.begin(), isMbarrier.end(), uint8_t(0));
  flights = mbarriers = 0;
  for (const WarpTime &warp : warps)
    base = std::max(base, warp.tick + 1);
  for (uint32_t tick : agentTicks)
    base = std::max(base, tick + 1);
  agentTicks.clear();
  for (WarpTime &warp : warps) {
    warp.tick = base;
    warp.accessed = false;
    warp.fullMeeting = 0;
    warp.pair.clear();
    warp.seen.clear();
    warp.aloneMask = 0;
    for (Clock &clock : warp.alone)
      clock.clear();
  }
}

// ---- judging accesses ----

bool SharedMemory::ordered(const Touch &earlier, unsigned thread) const {
  unsigned agent = agentOf(earlier.thread()), lane = thread % 32, other = earlier.thread() % 32;
  const WarpTime &time = warps[thread / 32];
  if (earlier.thread() == thread)
    return true;
  if (agent == agentOfWarp(thread / 32) &&
      (earlier.tick <= time.fullMeeting || (!time.pair.empty() && earlier.tick <= time.pair[lane * 32 + other])))
    return true;
  return time.seen.covers(agent, other, earlier.tick) || knowsAlone(time, lane, agent, other, earlier.tick);
}

/// What most earlier accesses are is asked first: of other blocks, of the same thread, of the same warp before it met, of another
/// warp before a barrier.
inline bool SharedMemory::conflict(const Touch &earlier, bool wrote, const Access &now, Race &race) const {
  unsigned thread = earlier.thread();
  if (earlier.tick < base || thread == now.mine.thread() ||
      (thread / 32 == now.mine.thread() / 32 ? earlier.tick <= now.time.fullMeeting
                                             : now.time.seen.coversAll(agentOf(thread), earlier.tick)) ||
      ordered(earlier, now.mine.thread()))
    return false;
  race = {true, wrote, earlier};
  return true;
}

inline SharedMemory::Verdict SharedMemory::judge(Cell &cell, const Access &now, Race &race) {
  bool writes = now.kind == AccessKind::Write || now.kind == AccessKind::Atomic;
  if (now.kind != AccessKind::Write && cell.writer.tick < base)
    return Verdict::Unwritten;
  now.time.accessed = true;
  if (racecheck) {
    bool bothAtomic = now.kind == AccessKind::Atomic && cell.atomicWriter;
    if (!bothAtomic && conflict(cell.writer, true, now, race))
      return Verdict::Conflict;
    if (writes && !bothAtomic)
      for (const Touch *reader : {&cell.reader, &cell.otherLane, &cell.otherWarp})
        if (conflict(*reader, false, now, race))
          return Verdict::Conflict;
  }
  if (writes) {
    cell.writer = now.mine;
    cell.atomicWriter = now.kind == AccessKind::Atomic;
    return Verdict::Fine;
  }
  // Three readers stand for all: the last one, one of another lane of its warp, one of another warp.
  if (cell.reader.tick >= base && cell.reader.thread() != now.mine.thread())
    (cell.reader.thread() / 32 == now.mine.thread() / 32 ? cell.otherLane : cell.otherWarp) = cell.reader;
  cell.reader = now.mine;
  return Verdict::Fine;
}

void SharedMemory::split(unsigned word) {
  if (freeSplits.empty()) {
    splitWords.emplace_back();
    freeSplits.push_back(static_cast<uint32_t>(splitWords.size()));
  }
  splitIndex[word] = freeSplits.back();
  freeSplits.pop_back();
  splitWords[splitIndex[word] - 1].fill(words[word]);
}

void SharedMemory::unsplit(unsigned word, const Cell &cell) {
  words[word] = cell;
  freeSplits.push_back(splitIndex[word]);
  splitIndex[word] = 0;
}

SharedMemory::Verdict SharedMemory::judgeBytes(unsigned word, unsigned first, unsigned count, const Access &now, Race &race) {
  auto &cells = splitWords[splitIndex[word] - 1];
  for (unsigned i = first; i < first + count; ++i)
    if (Verdict verdict = judge(cells[i], now, race); verdict != Verdict::Fine)
      return verdict;
  if (count == 4 && now.kind == AccessKind::Write)
    unsplit(word, Cell(cells[0]));
  return Verdict::Fine;
}

/// Neighbours often have one history: then what the first came to is right for the others.
inline SharedMemory::Verdict SharedMemory::touchWords(unsigned word, unsigned end, const Access &now, Race &race) {
  const Cell *known = nullptr; // judged, and what it was before
  Cell before;
  for (; word < end; ++word) {
    Cell &cell = words[word];
    if (splitIndex[word]) {
      if (Verdict verdict = judgeBytes(word, 0, 4, now, race); verdict != Verdict::Fine)
        return verdict;
    } else if (known && cell == before)
      cell = *known;
    else {
      before = cell;
      if (Verdict verdict = judge(cell, now, race); verdict != Verdict::Fine)
        return verdict;
      known = &cell;
    }
  }
  return Verdict::Fine;
}

inline void SharedMemory::takeApart(unsigned four) {
  if (!isWhole[four])
    return;
  isWhole[four] = 0;
  std::fill_n(&words[four * 4 + 1], 3, words[four * 4]);
}

SharedMemory::Verdict SharedMemory::touchFours(unsigned four, unsigned end, const Access &now, Race &race) {
  Verdict verdict = Verdict::Fine;
  for (; four < end && verdict == Verdict::Fine; ++four) {
    const Cell *cells = &words[four * 4];
    if (isWhole[four]) {
      verdict = judge(words[four * 4], now, race);
      continue;
    }
    verdict = touchWords(four * 4, four * 4 + 4, now, race);
    const uint32_t *splits = &splitIndex[four * 4];
    isWhole[four] =
        cells[1] == cells[0] && cells[2] == cells[0] && cells[3] == cells[0] && !(splits[0] | splits[1] | splits[2] | splits[3]);
  }
  return verdict;
}

SharedMemory::Verdict SharedMemory::touch(unsigned offset, unsigned size, AccessKind kind, unsigned thread, uint32_t pc,
                                          Race &race) {
  if (flights && inFlightPc(offset, size) != ~0u)
    return Verdict::InFlight;
  if (mbarriers)
    for (unsigned i = offset / 8; i <= (offset + size - 1) / 8; ++i)
      if (isMbarrier[i])
        return Verdict::IsMbarrier;
  const Access now{kind, touchBy(thread, pc), warps[thread / 32]};
  if (offset % 16 == 0 && size % 16 == 0)
    return touchFours(offset / 16, (offset + size) / 16, now, race);
  for (unsigned four = offset / 16; four <= (offset + size - 1) / 16; ++four)
    takeApart(four);
  if (size == 4 && offset % 4 == 0 && !splitIndex[offset / 4])
    return judge(words[offset / 4], now, race);
  if (offset % 4 == 0 && size % 4 == 0)
    return touchWords(offset / 4, (offset + size) / 4, now, race);
  Verdict verdict = Verdict::Fine;
  for (unsigned at = offset, end = offset + size; at < end && verdict == Verdict::Fine;) {
    unsigned word = at / 4, step = std::min(end, word * 4 + 4) - at;
    if (step < 4 && !splitIndex[word])
      split(word);
    if (!splitIndex[word])
      verdict = judge(words[word], now, race);
    else
      verdict = judgeBytes(word, at % 4, step, now, race);
    at += step;
  }
  return verdict;
}

SharedMemory::Verdict SharedMemory::touchMbarrier(unsigned offset, AccessKind kind, unsigned thread, uint32_t pc, Race &race) {
  bool was = isMbarrier[offset / 8];
  setMbarrier(offset, false);
  Verdict verdict = touch(offset, 8, kind, thread, pc, race);
  setMbarrier(offset, was);
  return verdict;
}

void SharedMemory::setMbarrier(unsigned offset, bool on) {
  uint8_t &mark = isMbarrier[offset / 8];
  mbarriers += on && !mark;
  mbarriers -= !on && mark;
  mark = on;
}

// ---- copies ----

void SharedMemory::setInFlight(unsigned offset, unsigned size, uint32_t pc, bool on) {
  for (unsigned word = offset / 4; word < (offset + size) / 4; ++word) {
    flights += on && !inFlight[word];
    flights -= !on && inFlight[word];
    inFlight[word] = on ? pc + 1 : 0;
  }
}

uint32_t SharedMemory::inFlightPc(unsigned offset, unsigned size) const {
  for (unsigned word = offset / 4; word <= (offset + size - 1) / 4; ++word)
    if (inFlight[word])
      return inFlight[word] - 1;
  return ~0u;
}

unsigned SharedMemory::addAgent() {
  if (agentTicks.size() == kMaxAgents)
    return 0;
  agentTicks.push_back(base);
  return kFirstAgent + static_cast<unsigned>(agentTicks.size()) - 1;
}

void SharedMemory::land(unsigned offset, unsigned size, unsigned agent, uint32_t pc, Clock &known) {
  setInFlight(offset, size, pc, false);
  uint32_t tick = agentTicks[agent - kFirstAgent]++;
  for (unsigned word = offset / 4; word < (offset + size) / 4; ++word) {
    bool whole = isWhole[word / 4] && word % 4 == 0 && word + 4 <= (offset + size) / 4;
    if (!whole)
      takeApart(word / 4);
    words[word].writer = {tick, pc << 12 | agent};
    words[word].atomicWriter = false;
    word += whole ? 3 : 0;
  }
  known.add(agentOf(agent), tick);
}

// ---- what orders accesses ----

/// What lanes of `mask` learned alone, all of them know once they have met.
void SharedMemory::shareAlone(WarpTime &time, uint32_t mask, bool all) {
  Clock known;
  for (uint32_t rest = time.aloneMask & mask; rest; rest &= rest - 1)
    known.join(time.alone[static_cast<unsigned>(__builtin_ctz(rest))]);
  if (all) {
    time.seen.join(known);
    time.aloneMask = 0;
    for (Clock &clock : time.alone)
      clock.clear();
    return;
  }
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    time.alone[static_cast<unsigned>(__builtin_ctz(rest))] = known;
  time.aloneMask |= mask;
}

void SharedMemory::meet(unsigned warp, uint32_t mask, uint32_t live) {
  WarpTime &time = warps[warp];
  uint32_t ended = time.next();
  bool all = (mask & live) == live;
  if (time.aloneMask & mask)
    shareAlone(time, mask, all);
  if (all) {
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

void SharedMemory::barrier(const std::vector<uint32_t> &lanes, const Clock &known) {
  Clock joined = known;
  for (unsigned w = 0; w < warps.size(); ++w)
    if (lanes[w]) {
      if (warps[w].aloneMask & lanes[w])
        shareAlone(warps[w], lanes[w], true);
      joined.add(agentOfWarp(w), warps[w].tick);
      joined.join(warps[w].seen);
    }
  for (size_t w = 0; w < warps.size(); ++w)
    if (lanes[w]) {
      warps[w].seen = joined;
      warps[w].fullMeeting = warps[w].next();
    }
}

void SharedMemory::publish(unsigned warp, uint32_t mask, uint32_t live, Clock &known) {
  WarpTime &time = warps[warp];
  unsigned agent = agentOfWarp(warp);
  known.join(time.seen);
  for (uint32_t rest = mask & time.aloneMask; rest; rest &= rest - 1)
    known.join(time.alone[static_cast<unsigned>(__builtin_ctz(rest))]);
  bool nothingNew = !time.accessed && time.fullMeeting + 1 == time.tick;
  uint32_t ended = time.next();
  if (nothingNew) // then it is as if the lanes had met just now
    time.fullMeeting = ended;
  known.add(agent, (mask & live) == live ? ended : time.fullMeeting);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    known.add(agent, lane, ended);
    for (unsigned other = 0; other < 32 && !time.pair.empty(); ++other)
      known.add(agent, other, time.pair[lane * 32 + other]);
  }
}

void SharedMemory::learn(unsigned warp, uint32_t mask, uint32_t live, const Clock &known) {
  WarpTime &time = warps[warp];
  if ((mask & live) == live)
    return time.seen.join(known);
  if (time.alone.empty())
    time.alone.resize(32);
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    time.alone[static_cast<unsigned>(__builtin_ctz(rest))].join(known);
  time.aloneMask |= mask;
}

bool SharedMemory::knows(unsigned warp, uint32_t mask, unsigned agent, unsigned lane, uint32_t tick) const {
  const WarpTime &time = warps[warp];
  if (time.seen.covers(agent, lane, tick))
    return true;
  for (; mask; mask &= mask - 1)
    if (!knowsAlone(time, static_cast<unsigned>(__builtin_ctz(mask)), agent, lane, tick))
      return false;
  return true;
}

} // namespace emulator
