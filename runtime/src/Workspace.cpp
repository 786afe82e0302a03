// Growing the workspace, and sending the tables of a pass in one piece.
#include "Workspace.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace sm1rt {

/// `needed`, or more where growing in steps of two pays; never above `most` unless needed.
static int64_t grownCapacity(int64_t needed, int64_t most) {
  int64_t capacity = 1;
  while (capacity < needed)
    capacity *= 2;
  return std::max(needed, std::min(capacity, most));
}

static Expected<void> allocateInto(Device &device, std::unique_ptr<DeviceBuffer> &buffer, uint64_t bytes) {
  buffer.reset(); // before the new one: a pass never needs both
  auto allocated = device.allocate(bytes);
  if (!allocated)
    return allocated.error().in("workspace");
  buffer = std::move(*allocated);
  return {};
}

static uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

void listChunks(const std::vector<int32_t> &segmentStart, int64_t chunkRows, std::vector<int32_t> &chunks) {
  chunks.clear();
  std::vector<size_t> left(segmentStart.size() - 1); // segments, none of them empty, that have another chunk
  std::iota(left.begin(), left.end(), size_t(0));
  for (int64_t number = 0; !left.empty(); ++number) {
    auto first = [&](size_t segment) { return segmentStart[segment] + number * chunkRows; };
    for (size_t segment : left)
      chunks.insert(chunks.end(), {int32_t(first(segment)), segmentStart[segment + 1], int32_t(segment), int32_t(number)});
    left.erase(std::remove_if(left.begin(), left.end(),
                              [&](size_t segment) { return first(segment) + chunkRows >= segmentStart[segment + 1]; }),
               left.end());
  }
}

/// Rows of the largest box of a tensor map; 1 where kernels take none.
static int64_t mostBoxRows(const PlanProgram &program) {
  int64_t most = 1;
  for (auto &[name, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body)
        most = launch.map ? std::max(most, launch.map->rows) : most;
  return most;
}

/// Bytes of the tables of the largest pass. Each state has a part a layer, twice.
static uint64_t tableBytes(const StateLayout &layout, int64_t rows, int64_t selected, int64_t segments) {
  uint64_t parts = 0;
  for (const StatePlace &place : layout.places)
    parts += uint64_t(place.layers);
  return aligned(uint64_t(rows) * 4) + aligned(uint64_t(segments + 1) * 4) + aligned(uint64_t(selected) * 4) +
         aligned(uint64_t(rows / leastChunkRows + segments) * chunkWords * 4) + aligned(uint64_t(segments) * 8) +
         2 * aligned(parts * sizeof(StatePart));
}

Expected<void> Workspace::reserve(Device &device, const PlanProgram &program, const StateLayout &layout, const PassSize &size,
                                  int64_t rowsPerPass) {
  int64_t wanted = std::max<int64_t>(size.selected, 1);
  bool moreRows = size.rows > rowCapacity, moreSelected = wanted > selectedCapacity, moreSegments = size.segments > segmentCapacity;
  if (!moreRows && !moreSelected && !moreSegments)
    return {};
  device.forgetRecordings();
  sent.clear();
  // Capacities are set at the end, so that a failed growth is tried again.
  int64_t rows = moreRows ? grownCapacity(size.rows, rowsPerPass) : rowCapacity;
  int64_t chosen = moreSelected ? grownCapacity(wanted, rowsPerPass) : selectedCapacity;
  int64_t segments = moreSegments ? grownCapacity(size.segments, rowsPerPass) : segmentCapacity;
  rowCapacity = moreRows ? 0 : rowCapacity;
  selectedCapacity = moreSelected ? 0 : selectedCapacity;
  segmentCapacity = moreSegments ? 0 : segmentCapacity;
  int64_t boxRows = mostBoxRows(program);
  auto wholeBoxes = [&](int64_t rows) { return (rows + boxRows - 1) / boxRows * boxRows; };
  rowRoom = wholeBoxes(rows), selectedRoom = wholeBoxes(chosen);
  buffers.resize(program.buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const PlanBuffer &buffer = program.buffers[i];
    bool all = buffer.rows == RowSpace::All;
    uint64_t bytes = uint64_t(all ? rowRoom : selectedRoom) * uint64_t(buffer.stride) * dtypeBytes(buffer.dtype);
    if (all ? moreRows : moreSelected)
      if (auto grown = allocateInto(device, buffers[i], bytes); !grown)
        return grown;
  }
  if (auto grown = allocateInto(device, tables, tableBytes(layout, rows, chosen, segments)); !grown)
    return grown;
  statesIn.resize(layout.places.size());
  statesOut.resize(layout.places.size());
  for (size_t i = 0; i < layout.places.size() && moreSegments; ++i)
    for (auto *block : {&statesIn[i], &statesOut[i]})
      if (auto grown = allocateInto(device, *block, layout.places[i].bytes() * uint64_t(segments)); !grown)
        return grown;
  rowCapacity = rows;
  selectedCapacity = chosen;
  segmentCapacity = segments;
  return {};
}

uint8_t *Workspace::stateAddress(const StateLayout &layout, size_t state, bool gathered, int64_t layer, int64_t segments) const {
  const StatePlace &place = layout.places[state];
  uint64_t offset = place.layers > 1 ? uint64_t(layer * segments) * place.layerBytes() : 0;
  return (gathered ? statesIn : statesOut)[state]->address + offset;
}

StateMove Workspace::putBack(bool gathered, const uint64_t *sequences) const {
  StateMove move = gathered ? gather : scatter;
  move.sequences = sequences;
  move.gather = false;
  return move;
}

/// Appends a table at the next multiple of 64 bytes; where it begins.
template <typename Item> static uint64_t append(std::vector<uint8_t> &bytes, const std::vector<Item> &table) {
  uint64_t offset = aligned(bytes.size());
  bytes.resize(offset + table.size() * sizeof(Item));
  if (!table.empty())
    std::memcpy(bytes.data() + offset, table.data(), table.size() * sizeof(Item));
  return offset;
}

Expected<void> Workspace::sendTables(Device &device, const StateLayout &layout, const PassTables &pass,
                                     const std::vector<bool> &written) {
  int64_t segments = int64_t(pass.sequences.size());
  partsIn.clear();
  partsOut.clear();
  for (size_t state = 0; state < layout.places.size(); ++state)
    for (int64_t layer = 0; layer < layout.places[state].layers; ++layer) {
      const StatePlace &place = layout.places[state];
      StatePart part{0, place.offset + uint64_t(layer) * place.layerBytes(), place.layerBytes()};
      part.block = reinterpret_cast<uint64_t>(stateAddress(layout, state, true, layer, segments));
      partsIn.push_back(part);
      part.block = reinterpret_cast<uint64_t>(stateAddress(layout, state, false, layer, segments));
      if (written[state])
        partsOut.push_back(part);
    }
  next.clear();
  auto place = [&](const auto &table) { return tables->address + append(next, table); };
  rowTables.rowSegment = reinterpret_cast<const int32_t *>(place(pass.rowSegment));
  rowTables.segmentStart = reinterpret_cast<const int32_t *>(place(pass.segmentStart));
  rowTables.selected = reinterpret_cast<const int32_t *>(place(pass.selected));
  rowTables.chunks = reinterpret_cast<const int32_t *>(place(pass.chunks));
  rowTables.chunkCount = int64_t(pass.chunks.size() / chunkWords);
  auto *sequences = reinterpret_cast<const uint64_t *>(place(pass.sequences));
  gather = {reinterpret_cast<const StatePart *>(place(partsIn)), int64_t(partsIn.size()), sequences, segments, true};
  scatter = {reinterpret_cast<const StatePart *>(place(partsOut)), int64_t(partsOut.size()), sequences, segments, false};
  if (next == sent)
    return {};
  sent.clear(); // until the new ones are there
  if (auto done = device.upload({tables->address, next.size(), next.data(), next.size(), next.size(), 1}); !done)
    return done;
  sent.swap(next);
  return {};
}

} // namespace sm1rt
