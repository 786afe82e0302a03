// cp.async.bulk from global to shared memory, of a run of bytes or of a box of a tensor map: the bytes land as late as a wait for
// their mbarrier allows, one copy at a failing wait; the shuffled schedule also lets some land earlier.
#include "Cuda.h"
#include "Lanes.h"
#include "TensorMap.h"
#include "Windows.h"

namespace emulator {

namespace {

bool isMultiple(Warp &warp, unsigned lane, uint64_t value, const char *what) {
  if (value % 16 == 0)
    return true;
  warp.report(CUDA_ERROR_MISALIGNED_ADDRESS,
              std::string("cp.async.bulk: ") + what + " " + std::to_string(value) + " is no multiple of 16", lane);
  return false;
}

/// The whole range can be accessed; a finding where not.
bool isThere(Warp &warp, unsigned lane, Space space, uint64_t address, uint32_t bytes, AccessKind kind) {
  for (uint32_t at = 0; at < bytes; at += 16)
    if (!warp.access(lane, space, address + at, 16, kind))
      return false;
  return true;
}

/// The pieces of a run of bytes.
std::vector<Piece> piecesOf(uint64_t source, uint32_t bytes) {
  std::vector<Piece> pieces;
  for (uint32_t at = 0; at < bytes; at += 16)
    pieces.push_back({source + at, 16});
  return pieces;
}

/// The mbarrier of a copy, whose initialisation copies have to see; nullptr after a finding.
Mbarrier *barrierOf(Warp &warp, const Instruction &self, unsigned lane, uint32_t slot, uint32_t offset) {
  Instruction operand = self;
  operand.a = slot;
  operand.narrowAddress = self.variant;
  operand.imm = static_cast<int32_t>(offset);
  operand.space = Space::Shared;
  Mbarrier *barrier = warp.mbarrierAt(operand, lane, warp.addressOf(operand, lane), AccessKind::Atomic);
  if (!barrier || barrier->fenced)
    return barrier;
  warp.report(CUDA_ERROR_LAUNCH_FAILED,
              "cp.async.bulk on an mbarrier whose mbarrier.init no fence.mbarrier_init or fence.proxy.async has followed", lane);
  return nullptr;
}

/// a: target; list: source, source offset, size, mbarrier, mbarrier offset (offsets are constants of the instruction).
void issue(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *list = warp.block.launch.program->lists.data() + self.list;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t target = warp.addressOf(self, lane),
             source = warp.slot<uint64_t>(list[0])[lane] + static_cast<uint64_t>(int32_t(list[1]));
    uint32_t bytes = warp.slot<uint32_t>(list[2])[lane];
    if (!isMultiple(warp, lane, bytes, "size") || !isMultiple(warp, lane, target, "target address") ||
        !isMultiple(warp, lane, source, "source address"))
      return;
    Mbarrier *barrier = barrierOf(warp, self, lane, list[3], list[4]);
    if (!barrier)
      return;
    if (!isThere(warp, lane, Space::Global, source, bytes, AccessKind::Read) ||
        !isThere(warp, lane, Space::Shared, target, bytes, AccessKind::Write))
      return;
    warp.block.issueBulkCopy(warp, lane, *barrier, static_cast<uint32_t>(target), piecesOf(source, bytes));
  }
}

/// Of a box, in which rows may be that nobody has written and whose products nobody needs.
bool mayRead(Warp &warp, unsigned lane, Piece &piece, uint32_t at, uint32_t bytes) {
  int error = 0;
  std::string what;
  if (warp.block.global.access(piece.source + at, bytes, AccessKind::Read, error, what))
    return true;
  piece.isNobodys = error == CUDA_ERROR_LAUNCH_FAILED;
  if (!piece.isNobodys)
    warp.report(error, what, lane);
  return piece.isNobodys;
}

/// Where the box of `map` at `column` and `row` comes from, in the order in which it lies in shared memory from `target` on. Empty
/// after a finding.
std::vector<Piece> piecesOf(Warp &warp, unsigned lane, const TensorMap &map, int32_t column, int32_t row, uint32_t target) {
  uint32_t lineBytes = map.boxColumns * map.bytes;
  std::vector<Piece> pieces(map.boxRows * lineBytes / 16);
  for (uint32_t i = 0; i < pieces.size(); ++i) {
    int64_t ownRow = row + int64_t(i * 16 / lineBytes), first = column + int64_t(i * 16 % lineBytes / map.bytes);
    int64_t there = std::min<int64_t>(int64_t(map.columns) - first, 16 / map.bytes);
    bool outside = ownRow < 0 || ownRow >= int64_t(map.rows) || first < 0 || there <= 0;
    Piece piece{outside ? 0 : map.address + uint64_t(ownRow) * map.rowBytes + uint64_t(first) * map.bytes,
                outside ? 0 : static_cast<uint32_t>(there) * map.bytes};
    uint32_t step = piece.bytes == 16 ? 16 : map.bytes; // an access has a power of two
    for (uint32_t at = 0; at < piece.bytes; at += step)
      if (!mayRead(warp, lane, piece, at, step))
        return {};
    uint32_t plain = target + i * 16, turned = plain ^ (plain >> 7 & ((1u << map.swizzle) - 1)) << 4;
    pieces[(turned - target) / 16] = piece;
  }
  return pieces;
}

/// a: target; list: map, column, row, mbarrier, mbarrier offset.
void issueBox(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *list = warp.block.launch.program->lists.data() + self.list;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    TensorMap map;
    uint64_t from = warp.slot<uint64_t>(list[0])[lane];
    for (unsigned at = 0; at < sizeof map; at += 16) {
      const uint8_t *part = warp.access(lane, Space::Generic, from + at, 16, AccessKind::ReadConstant);
      if (!part)
        return;
      std::memcpy(reinterpret_cast<uint8_t *>(&map) + at, part, 16);
    }
    if (map.magic != TensorMap::kMagic || from % 64)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, "no tensor map lies at generic address " + std::to_string(from), lane);
    uint64_t target = warp.addressOf(self, lane);
    if (target % (128u << map.swizzle))
      return warp.report(CUDA_ERROR_MISALIGNED_ADDRESS,
                         "cp.async.bulk.tensor: target address " + std::to_string(target) + " is no multiple of " +
                             std::to_string(128u << map.swizzle),
                         lane);
    Mbarrier *barrier = barrierOf(warp, self, lane, list[3], list[4]);
    if (!barrier || !isThere(warp, lane, Space::Shared, target, map.boxRows * map.boxColumns * map.bytes, AccessKind::Write))
      return;
    auto pieces = piecesOf(warp, lane, map, static_cast<int32_t>(warp.slot<uint32_t>(list[1])[lane]),
                           static_cast<int32_t>(warp.slot<uint32_t>(list[2])[lane]), static_cast<uint32_t>(target));
    if (pieces.empty())
      return;
    warp.block.issueBulkCopy(warp, lane, *barrier, static_cast<uint32_t>(target), std::move(pieces));
  }
}

void decodeBox(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async bulk tensor 2d shared::cluster shared::cta global tile mbarrier::complete_tx::bytes");
  if (!statement.has("mbarrier::complete_tx::bytes") || !statement.has("2d") || statement.modifiers.back() == "global")
    builder.fail("of cp.async.bulk.tensor only .2d copies to shared memory that complete on an mbarrier are known");
  builder.expectOperands(statement, 3, 3);
  const auto &operands = statement.operands;
  if (operands[1].kind != Operand::Address || operands[1].parts.size() != 2 || operands[1].parts[1].parts.size() != 2)
    builder.fail("expected [map, {column, row}]");
  Instruction barrier, instruction;
  builder.address(operands[2], barrier);
  builder.address(operands[0], instruction);
  if (statement.planted)
    instruction.imm += 512;
  instruction.space = Space::Shared;
  instruction.flow = Flow::Checked;
  instruction.run = issueBox;
  instruction.variant = barrier.narrowAddress;
  const auto &place = operands[1].parts[1].parts;
  builder.list(instruction, {builder.read(operands[1].parts[0], Type::U64), builder.read(place[0], Type::B32),
                             builder.read(place[1], Type::B32), barrier.a, static_cast<uint32_t>(barrier.imm)});
  builder.emit(instruction);
}

void decodeCopy(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async bulk shared::cluster shared::cta global mbarrier::complete_tx::bytes L2::cache_hint");
  if (!statement.has("mbarrier::complete_tx::bytes") || !statement.has("global") ||
      !(statement.has("shared::cluster") || statement.has("shared::cta")) || statement.modifiers.back() == "global")
    builder.fail("of cp.async.bulk only copies from global to shared memory that complete on an mbarrier are known");
  if (statement.modifiers[2] == "global")
    builder.fail("cp.async.bulk to global memory is not known");
  size_t count = 4u + statement.has("L2::cache_hint");
  builder.expectOperands(statement, count, count);
  const auto &operands = statement.operands;
  Instruction source, barrier, instruction;
  builder.address(operands[1], source);
  builder.address(operands[3], barrier);
  builder.address(operands[0], instruction);
  if (source.narrowAddress)
    builder.fail("the source of cp.async.bulk is no 64-bit address");
  if (statement.planted)
    instruction.imm += 16;
  instruction.space = Space::Shared;
  instruction.flow = Flow::Checked;
  instruction.run = issue;
  instruction.variant = barrier.narrowAddress;
  uint32_t bytes = builder.read(operands[2], Type::U32);
  builder.list(instruction, {source.a, static_cast<uint32_t>(source.imm), bytes, barrier.a, static_cast<uint32_t>(barrier.imm)});
  builder.emit(instruction);
}

/// Only where the bytes are: there is no cache. imm: address; b: size.
void prefetch(Warp &warp, const Instruction &self, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t source = warp.addressOf(self, lane);
    uint32_t bytes = warp.slot<uint32_t>(self.b)[lane];
    if (!isMultiple(warp, lane, bytes, "size") || !isMultiple(warp, lane, source, "source address") ||
        !isThere(warp, lane, Space::Global, source, bytes, AccessKind::Read))
      return;
  }
}

void decodePrefetch(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async bulk prefetch L2 global L2::cache_hint");
  size_t count = 2u + statement.has("L2::cache_hint");
  builder.expectOperands(statement, count, count);
  Instruction instruction;
  builder.address(statement.operands[0], instruction);
  if (instruction.narrowAddress)
    builder.fail("the source of cp.async.bulk is no 64-bit address");
  instruction.space = Space::Global;
  instruction.flow = Flow::Checked;
  instruction.run = prefetch;
  instruction.b = builder.read(statement.operands[1], Type::U32);
  builder.emit(instruction);
}

} // namespace

void Block::issueBulkCopy(Warp &warp, unsigned lane, Mbarrier &barrier, uint32_t target, std::vector<Piece> pieces) {
  auto bytes = static_cast<uint32_t>(pieces.size()) * 16;
  BulkCopy copy;
  copy.barrier = &barrier;
  copy.shared = target;
  copy.bytes = bytes;
  copy.pieces = std::move(pieces);
  copy.pc = faultPc;
  shared.publish(warp.index, 1u << lane, warp.live, copy.known);
  shared.setInFlight(target, bytes, faultPc, true);
  ++barrier.copies;
  ++changes;
  mbarriers.copies.push_back(std::move(copy));
}

void Block::issueStore(Mbarrier &barrier, uint32_t target, const std::array<uint32_t, 4> &data, uint32_t pc) {
  BulkCopy copy;
  copy.barrier = &barrier;
  copy.shared = target;
  copy.bytes = sizeof data;
  copy.stored = data;
  copy.pc = pc;
  shared.setInFlight(target, sizeof data, pc, true);
  ++barrier.copies;
  ++changes;
  mbarriers.copies.push_back(std::move(copy));
}

void Block::landBulkCopy(size_t number) {
  BulkCopy copy = std::move(mbarriers.copies[number]);
  mbarriers.copies.erase(mbarriers.copies.begin() + static_cast<ptrdiff_t>(number));
  Mbarrier &barrier = *copy.barrier;
  // Checked when the copy was issued, and memory is not freed while a kernel runs.
  uint8_t *to = shared.data() + copy.shared;
  std::memset(to, 0, copy.bytes);
  if (copy.pieces.empty())
    std::memcpy(to, copy.stored.data(), copy.bytes);
  for (size_t i = 0; i < copy.pieces.size(); ++i)
    if (const Piece &piece = copy.pieces[i]; piece.isNobodys)
      std::memset(to + i * 16, 0xff, piece.bytes);
    else if (piece.bytes)
      std::memcpy(to + i * 16, reinterpret_cast<const uint8_t *>(piece.source - kDeviceOffset), piece.bytes);
  shared.land(copy.shared, copy.bytes, barrier.agent, copy.pc, barrier.arriving);
  barrier.arriving.join(copy.known);
  barrier.bytes -= copy.bytes;
  --barrier.copies;
  ++changes;
  completePhase(barrier);
}

void Block::landOneFor(Mbarrier &barrier) {
  if (!barrier.copies)
    return;
  size_t wanted = schedule.order == Order::WarpsReversed ? barrier.copies - 1
                  : schedule.order == Order::Shuffled    ? random() % barrier.copies
                                                         : 0;
  for (size_t i = 0; i < mbarriers.copies.size(); ++i)
    if (mbarriers.copies[i].barrier == &barrier && !wanted--)
      return landBulkCopy(i);
}

void Block::landSome() {
  for (size_t i = 0; i < mbarriers.copies.size();)
    random() % 8 ? void(++i) : landBulkCopy(i);
}

void decodeBulkCopy(Builder &builder, const Statement &statement) {
  statement.has("prefetch") ? decodePrefetch(builder, statement)
  : statement.has("tensor") ? decodeBox(builder, statement)
                            : decodeCopy(builder, statement);
}

} // namespace emulator
