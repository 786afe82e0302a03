// Memory of a pass: the program's buffers, the tables that kernels read, and the states of all sequences in blocks.
#ifndef SM1RT_SRC_WORKSPACE_H
#define SM1RT_SRC_WORKSPACE_H

#include "Device.h"
#include "StateLayout.h"

#include <memory>
#include <vector>

namespace sm1rt {

/// How large a pass is.
struct PassSize {
  int64_t rows, segments, selected;
  int64_t longest; ///< rows of the longest segment
};

/// Numbers of a chunk in its table: first row, end of the segment, segment, number in the segment.
constexpr size_t chunkWords = 4;
/// The fewest rows of a chunk that is not the last of its segment.
constexpr int64_t leastChunkRows = 64;

/// What kernels have to know of a pass, on the host.
struct PassTables {
  std::vector<int32_t> rowSegment, segmentStart, selected, chunks;
  std::vector<uint64_t> sequences; ///< per segment, address of its sequence's memory
};

/// The first chunk of every segment, then the second of every segment that has one, and so on.
void listChunks(const std::vector<int32_t> &segmentStart, int64_t chunkRows, std::vector<int32_t> &chunks);

/// Kept from run to run and grown when a pass needs more.
class Workspace {
public:
  /// Makes room; `rowsPerPass` is what growing aims at.
  Expected<void> reserve(Device &device, const PlanProgram &program, const StateLayout &layout, const PassSize &size,
                         int64_t rowsPerPass);
  /// Sends the tables of a pass that fits, unless they are those of the last one. States in `written` are moved back.
  Expected<void> sendTables(Device &device, const StateLayout &layout, const PassTables &tables, const std::vector<bool> &written);
  /// Rows that buffers have memory for: whole boxes of the program's tensor maps.
  int64_t roomOf(RowSpace space) const { return space == RowSpace::All ? rowRoom : space == RowSpace::Selected ? selectedRoom : 0; }
  /// Kernels have changed the tables.
  void tablesChanged() { sent.clear(); }

  /// Address of a layer of a state in the blocks of a pass of `segments` segments: in the blocks that states are `gathered` into,
  /// or in the others, to which a step writes.
  uint8_t *stateAddress(const StateLayout &layout, size_t state, bool gathered, int64_t layer, int64_t segments) const;
  /// The move of states from those blocks to the memory of `sequences`, a table as in StateMove.
  StateMove putBack(bool gathered, const uint64_t *sequences) const;

  std::vector<std::unique_ptr<DeviceBuffer>> buffers; // per buffer of the program
  RowTables rowTables;                                // of the tables sent last
  StateMove gather{}, scatter{};                      // likewise; scatter is that of states written

private:
  std::unique_ptr<DeviceBuffer> tables;
  std::vector<std::unique_ptr<DeviceBuffer>> statesIn, statesOut; // per state: [layer][segment][extra][stride]
  std::vector<uint8_t> sent, next;                                // bytes of the tables: on the device, and to be
  std::vector<StatePart> partsIn, partsOut;                       // of the tables to be
  int64_t rowCapacity = 0, selectedCapacity = 0, segmentCapacity = 0;
  int64_t rowRoom = 0, selectedRoom = 0;
};

} // namespace sm1rt

#endif // SM1RT_SRC_WORKSPACE_H
