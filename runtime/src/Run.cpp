// A run: pieces checked, cut into passes, and each pass taken over the layers. Sequences change only at the very end.
#include "ModelImpl.h"

#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

namespace sm1rt {

//===-- Checks --------------------------------------------------------------------------------------------------------------===//

static constexpr int64_t runRowsLimit = (int64_t(1) << 31) - 1; // row tables are I32

static Error pieceError(size_t piece, const std::string &what) { return {fmt::format("piece {}: {}", piece, what)}; }

static Expected<void> checkTokens(const Piece &piece, size_t index, int64_t limit) {
  if (!piece.tokens)
    return pieceError(index, "no tokens, the model reads tokens");
  for (int64_t i = 0; i < piece.count; ++i)
    if (piece.tokens[i] < 0 || piece.tokens[i] >= limit)
      return pieceError(index, fmt::format("token {} at position {} is outside 0 to {}", piece.tokens[i], i, limit - 1));
  return {};
}

static Expected<void> checkSelected(const Piece &piece, size_t index) {
  int64_t last = -1;
  for (int64_t row : piece.selected) {
    if (row < 0 || row >= piece.count)
      return pieceError(index, fmt::format("selected row {} is outside 0 to {}", row, piece.count - 1));
    if (row <= last)
      return pieceError(index, fmt::format("selected row {} follows {}; rows must ascend", row, last));
    last = row;
  }
  return {};
}

Expected<void> ModelImpl::checkPiece(std::string_view entry, const std::vector<Piece> &pieces, size_t index) const {
  const Piece &piece = pieces[index];
  if (!piece.sequence || !piece.sequence->impl || piece.sequence->impl->model != this)
    return pieceError(index, "its sequence does not belong to this model");
  if (piece.count < 1 || piece.count > runRowsLimit)
    return pieceError(index, fmt::format("{} rows, at least 1 is needed", piece.count));
  if (entry == "step" && piece.count != 1)
    return pieceError(index, fmt::format("{} rows, a step takes 1; use prefill", piece.count));
  // The published form is one formula over the whole sequence.
  int64_t position = piece.sequence->impl->position;
  if (package.plan.wholeSequence && entry != "step" && position != 0)
    return pieceError(index, fmt::format("a {} model runs a sequence whole from its start, this one is at position {}; reset it",
                                         package.plan.form, position));
  size_t rowInputs = 0;
  bool readsTokens = false;
  for (const PlanPort &input : package.plan.inputs) {
    rowInputs += input.kind == PlanPort::Kind::Rows;
    readsTokens |= input.kind == PlanPort::Kind::Tokens;
    if (input.kind == PlanPort::Kind::Tokens)
      if (auto valid = checkTokens(piece, index, input.limit); !valid)
        return valid;
  }
  if (!readsTokens && piece.tokens)
    return pieceError(index, "has tokens, the model reads none");
  if (piece.rows.size() != rowInputs)
    return pieceError(index, fmt::format("{} row inputs given, the model has {}", piece.rows.size(), rowInputs));
  if (std::count(piece.rows.begin(), piece.rows.end(), nullptr) != 0)
    return pieceError(index, "a row input is null");
  return checkSelected(piece, index);
}

Expected<void> ModelImpl::checkPieces(std::string_view entry, const std::vector<Piece> &pieces) const {
  if (program.entries.find(entry) == program.entries.end()) {
    std::string names;
    for (auto &[name, steps] : program.entries)
      names += (names.empty() ? "" : ", ") + name;
    return Error{fmt::format("entry '{}' does not exist, the package has {}", entry, names)};
  }
  if (pieces.empty())
    return Error{"a run needs at least one piece"};
  std::set<const Sequence *> sequences;
  int64_t rows = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (auto valid = checkPiece(entry, pieces, i); !valid)
      return valid;
    if (!sequences.insert(pieces[i].sequence).second)
      return pieceError(i, "its sequence is already part of this run");
    if ((rows += pieces[i].count) > runRowsLimit)
      return pieceError(i, fmt::format("the run has more than {} rows", runRowsLimit));
  }
  return {};
}

std::vector<Pass> cutPasses(const std::vector<Piece> &pieces, int64_t rowsPerPass, bool whole) {
  std::vector<Pass> passes(1);
  for (size_t i = 0; i < pieces.size(); ++i)
    for (int64_t begin = 0; begin < pieces[i].count;) {
      int64_t wanted = whole ? pieces[i].count : 1;
      if (passes.back().rows > 0 && passes.back().rows + wanted > rowsPerPass)
        passes.emplace_back();
      Pass &pass = passes.back();
      int64_t rows = whole ? pieces[i].count : std::min(pieces[i].count - begin, rowsPerPass - pass.rows);
      pass.parts.push_back({i, begin, begin + rows});
      pass.rows += rows;
      begin += rows;
    }
  return passes;
}

//===-- Workspace -----------------------------------------------------------------------------------------------------------===//

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

Expected<void> Workspace::reserve(Device &device, const PlanProgram &program, const StateLayout &layout, const Pass &pass,
                                  int64_t selected, int64_t rowsPerPass) {
  int64_t segments = int64_t(pass.parts.size());
  bool moreRows = pass.rows > rowCapacity, moreSelected = std::max<int64_t>(selected, 1) > selectedCapacity;
  bool moreSegments = segments > segmentCapacity;
  // Capacities are set at the end, so that a failed growth is tried again.
  int64_t rows = moreRows ? grownCapacity(pass.rows, rowsPerPass) : rowCapacity;
  int64_t chosen = moreSelected ? grownCapacity(std::max<int64_t>(selected, 1), rowsPerPass) : selectedCapacity;
  int64_t sequences = moreSegments ? grownCapacity(segments, rowsPerPass) : segmentCapacity;
  auto grow = [&](bool more, std::unique_ptr<DeviceBuffer> &buffer, uint64_t bytes) {
    return more ? allocateInto(device, buffer, bytes) : Expected<void>();
  };
  rowCapacity = moreRows ? 0 : rowCapacity;
  selectedCapacity = moreSelected ? 0 : selectedCapacity;
  segmentCapacity = moreSegments ? 0 : segmentCapacity;
  buffers.resize(program.buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const PlanBuffer &buffer = program.buffers[i];
    bool all = buffer.rows == RowSpace::All;
    uint64_t bytes = uint64_t(all ? rows : chosen) * uint64_t(buffer.stride) * dtypeBytes(buffer.dtype);
    if (auto grown = grow(all ? moreRows : moreSelected, buffers[i], bytes); !grown)
      return grown;
  }
  if (auto grown = grow(moreRows, rowSegment, uint64_t(rows) * 4); !grown)
    return grown;
  if (auto grown = grow(moreSelected, selectedRows, uint64_t(chosen) * 4); !grown)
    return grown;
  if (auto grown = grow(moreSegments, segmentStart, uint64_t(sequences + 1) * 4); !grown)
    return grown;
  statesIn.resize(layout.places.size());
  statesOut.resize(layout.places.size());
  for (size_t i = 0; i < layout.places.size(); ++i)
    for (auto *block : {&statesIn[i], &statesOut[i]})
      if (auto grown = grow(moreSegments, *block, layout.places[i].bytes() * uint64_t(sequences)); !grown)
        return grown;
  rowCapacity = rows;
  selectedCapacity = chosen;
  segmentCapacity = sequences;
  return {};
}

//===-- A run ---------------------------------------------------------------------------------------------------------------===//

/// A run under way.
struct ModelImpl::RunContext {
  std::string_view entry;
  const std::vector<PlanStep> &steps;
  const std::vector<Piece> &pieces;
  std::vector<bool> written;                          // states that the entry writes
  bool direct = true;                                 // one pass: states go straight back into their sequences
  std::vector<SequenceImpl *> sequences;              // per piece
  std::vector<std::unique_ptr<DeviceBuffer>> pending; // per piece, when there are several passes: its state so far
  Outputs outputs;
  std::vector<uint64_t> outputRows;                        // per output, rows that are there
  std::vector<int32_t> rowSegment, segmentStart, selected; // of the current pass

  /// Memory that holds the state of a piece.
  uint8_t *stateOf(size_t piece) const { return pending.empty() ? sequences[piece]->memory->address : pending[piece]->address; }
};

static std::vector<bool> writtenStates(const Plan &plan, const std::vector<PlanStep> &steps) {
  std::vector<bool> written(plan.states.size());
  for (const PlanStep &step : steps)
    for (const PlanLaunch &launch : step.body)
      for (const PlanArg &arg : launch.args)
        if (arg.kind == PlanArg::Kind::StateOut)
          written[arg.index] = true;
  return written;
}

/// Outputs of the right size, to be filled pass by pass.
static Outputs makeOutputs(const Plan &plan, const std::vector<Piece> &pieces) {
  uint64_t all = 0, selected = 0;
  for (const Piece &piece : pieces) {
    all += uint64_t(piece.count);
    selected += piece.selected.size();
  }
  Outputs outputs;
  for (const PlanPort &port : plan.outputs)
    if (port.kind == PlanPort::Kind::Rows)
      outputs.emplace_back((port.rows == RowSpace::All ? all : selected) * uint64_t(port.width));
  return outputs;
}

/// A run of several passes carries states in copies, so that an error in a later pass leaves the sequences as they were.
Expected<void> ModelImpl::preparePending(RunContext &context) {
  for (SequenceImpl *sequence : context.sequences) {
    std::unique_ptr<DeviceBuffer> memory;
    if (!spareStates.empty()) {
      memory = std::move(spareStates.back());
      spareStates.pop_back();
    } else if (auto allocated = allocateInto(*device, memory, layout.bytes); !allocated) {
      return allocated;
    }
    if (auto copied = device->copy({memory->address, layout.bytes, sequence->memory->address, layout.bytes, layout.bytes, 1});
        !copied)
      return copied;
    context.pending.push_back(std::move(memory));
  }
  return {};
}

void ModelImpl::finish(RunContext &context) {
  for (size_t i = 0; i < context.sequences.size(); ++i) {
    context.sequences[i]->position += context.pieces[i].count;
    if (context.pending.empty())
      continue;
    std::swap(context.sequences[i]->memory, context.pending[i]);
    spareStates.push_back(std::move(context.pending[i]));
  }
}

Expected<Outputs> ModelImpl::run(std::string_view entry, const std::vector<Piece> &pieces) {
  std::lock_guard<std::mutex> lock(mutex);
  if (auto valid = checkPieces(entry, pieces); !valid)
    return valid.error();
  const std::vector<PlanStep> &steps = program.entries.find(entry)->second;
  std::vector<Pass> passes = cutPasses(pieces, options.rowsPerPass, package.plan.wholeSequence);
  RunContext context{entry, steps, pieces, writtenStates(package.plan, steps), passes.size() == 1, {}, {}, {}, {}, {}, {}, {}};
  for (const Piece &piece : pieces)
    context.sequences.push_back(piece.sequence->impl.get());
  context.outputs = makeOutputs(package.plan, pieces);
  context.outputRows.resize(context.outputs.size());
  if (!context.direct)
    if (auto prepared = preparePending(context); !prepared)
      return prepared.error();
  for (const Pass &pass : passes)
    if (auto done = runPass(context, pass); !done)
      return done.error();
  finish(context);
  return std::move(context.outputs);
}

//===-- A pass --------------------------------------------------------------------------------------------------------------===//

static void buildTables(const std::vector<Piece> &pieces, const Pass &pass, std::vector<int32_t> &rowSegment,
                        std::vector<int32_t> &segmentStart, std::vector<int32_t> &selected) {
  rowSegment.clear();
  segmentStart.assign(1, 0);
  selected.clear();
  for (size_t segment = 0; segment < pass.parts.size(); ++segment) {
    const PassPart &part = pass.parts[segment];
    const std::vector<int64_t> &wanted = pieces[part.piece].selected;
    int64_t first = segmentStart.back() - part.begin; // from the piece's rows to the pass's
    for (auto row = std::lower_bound(wanted.begin(), wanted.end(), part.begin); row != wanted.end() && *row < part.end; ++row)
      selected.push_back(int32_t(*row + first));
    rowSegment.insert(rowSegment.end(), size_t(part.end - part.begin), int32_t(segment));
    segmentStart.push_back(int32_t(rowSegment.size()));
  }
}

static Expected<void> uploadTable(Device &device, const DeviceBuffer &buffer, const std::vector<int32_t> &table) {
  uint64_t bytes = table.size() * 4;
  return device.upload({buffer.address, bytes, reinterpret_cast<const uint8_t *>(table.data()), bytes, bytes, 1});
}

Expected<void> ModelImpl::uploadTables(RunContext &context, const Pass &pass) {
  buildTables(context.pieces, pass, context.rowSegment, context.segmentStart, context.selected);
  if (auto reserved = workspace.reserve(*device, program, layout, pass, int64_t(context.selected.size()), options.rowsPerPass);
      !reserved)
    return reserved;
  if (auto sent = uploadTable(*device, *workspace.rowSegment, context.rowSegment); !sent)
    return sent;
  if (auto sent = uploadTable(*device, *workspace.segmentStart, context.segmentStart); !sent)
    return sent;
  return uploadTable(*device, *workspace.selectedRows, context.selected);
}

Expected<void> ModelImpl::uploadInputs(RunContext &context, const Pass &pass) {
  const std::vector<PlanPort> &inputs = package.plan.inputs;
  for (size_t i = 0, rowInput = 0; i < inputs.size(); ++i) {
    if (inputs[i].kind == PlanPort::Kind::State)
      continue;
    bool tokens = inputs[i].kind == PlanPort::Kind::Tokens;
    size_t buffer = size_t(program.inputs[i]);
    uint64_t width = 4 * uint64_t(tokens ? 1 : inputs[i].width), pitch = 4 * uint64_t(program.buffers[buffer].stride);
    uint64_t row = 0;
    for (const PassPart &part : pass.parts) {
      const Piece &piece = context.pieces[part.piece];
      const void *data = tokens ? static_cast<const void *>(piece.tokens) : piece.rows[rowInput];
      auto *from = static_cast<const uint8_t *>(data) + uint64_t(part.begin) * width;
      uint64_t rows = uint64_t(part.end - part.begin);
      if (auto sent = device->upload({workspace.buffers[buffer]->address + row * pitch, pitch, from, width, width, rows}); !sent)
        return sent;
      row += rows;
    }
    rowInput += !tokens;
  }
  return {};
}

/// Between the sequences' memory, [layer][extra][stride] each, and the blocks of the pass, [layer][segment][extra][stride].
Expected<void> ModelImpl::moveStates(RunContext &context, const Pass &pass, bool gather) {
  for (size_t i = 0; i < layout.places.size(); ++i) {
    const StatePlace &place = layout.places[i];
    if (!gather && !context.written[i])
      continue;
    uint64_t layerBytes = place.layerBytes(), blockPitch = layerBytes * pass.parts.size();
    for (size_t segment = 0; segment < pass.parts.size(); ++segment) {
      uint8_t *own = context.stateOf(pass.parts[segment].piece) + place.offset;
      uint8_t *block = (gather ? workspace.statesIn : workspace.statesOut)[i]->address + segment * layerBytes;
      StridedCopy copy = gather ? StridedCopy{block, blockPitch, own, layerBytes, layerBytes, uint64_t(place.layers)}
                                : StridedCopy{own, layerBytes, block, blockPitch, layerBytes, uint64_t(place.layers)};
      if (auto moved = device->copy(copy); !moved)
        return moved;
    }
  }
  return {};
}

Expected<void> ModelImpl::launchOne(RunContext &context, const Pass &pass, const PlanLaunch &launch, int64_t layer, bool inLoop) {
  int64_t rows = launch.rows == RowSpace::All ? pass.rows : int64_t(context.selected.size());
  if (rows == 0)
    return {};
  void *args[256]; // the plan's limit
  for (size_t i = 0; i < launch.args.size(); ++i) {
    auto [kind, index] = launch.args[i];
    if (kind == PlanArg::Kind::Buffer)
      args[i] = workspace.buffers[index]->address;
    else if (kind == PlanArg::Kind::Weight)
      args[i] = weights.address(index, layer);
    else
      args[i] = (kind == PlanArg::Kind::StateIn ? workspace.statesIn : workspace.statesOut)[index]->address +
                (layout.places[index].layers > 1 ? uint64_t(layer) * pass.parts.size() * layout.places[index].layerBytes() : 0);
  }
  auto table = [](const std::unique_ptr<DeviceBuffer> &buffer) { return reinterpret_cast<const int32_t *>(buffer->address); };
  DeviceLaunch call{
      &launch, args, rows, {table(workspace.rowSegment), table(workspace.segmentStart), table(workspace.selectedRows)}};
  auto begin = std::chrono::steady_clock::now();
  auto tasks = device->launch(call);
  if (!tasks)
    return tasks.error();
  if (!options.trace)
    return {};
  if (auto finished = device->synchronize(); !finished)
    return finished;
  double elapsedUs = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  options.trace(fmt::format("entry={} layer={} kernel={} device={} rows={} panels={} tasks={} us={:.1f}", context.entry,
                            inLoop ? std::to_string(layer) : "-", program.kernels[launch.kernel].name, device->shortName(), rows,
                            launch.panels, *tasks, elapsedUs));
  return {};
}

Expected<void> ModelImpl::launchAll(RunContext &context, const Pass &pass) {
  for (const PlanStep &step : context.steps)
    for (int64_t layer = 0; layer < std::max<int64_t>(step.layers, 1); ++layer)
      for (const PlanLaunch &launch : step.body)
        if (auto done = launchOne(context, pass, launch, layer, step.layers > 0); !done)
          return done;
  return device->synchronize();
}

/// The pass's rows follow those of earlier passes, as pieces are taken in order.
Expected<void> ModelImpl::downloadOutputs(RunContext &context, const Pass &pass) {
  const std::vector<PlanPort> &ports = package.plan.outputs;
  for (size_t i = 0, output = 0; i < ports.size(); ++i) {
    if (ports[i].kind == PlanPort::Kind::State)
      continue;
    size_t buffer = size_t(program.outputs[i]);
    uint64_t rows = ports[i].rows == RowSpace::All ? uint64_t(pass.rows) : context.selected.size();
    uint64_t width = 4 * uint64_t(ports[i].width), pitch = 4 * uint64_t(program.buffers[buffer].stride);
    auto *to = reinterpret_cast<uint8_t *>(context.outputs[output].data()) + context.outputRows[output] * width;
    if (rows > 0)
      if (auto got = device->download({to, width, workspace.buffers[buffer]->address, pitch, width, rows}); !got)
        return got;
    context.outputRows[output++] += rows;
  }
  return {};
}

Expected<void> ModelImpl::runPass(RunContext &context, const Pass &pass) {
  if (auto done = uploadTables(context, pass); !done)
    return done;
  if (auto done = uploadInputs(context, pass); !done)
    return done;
  if (auto done = moveStates(context, pass, /*gather=*/true); !done)
    return done;
  if (auto done = launchAll(context, pass); !done)
    return done;
  if (auto done = downloadOutputs(context, pass); !done)
    return done;
  return moveStates(context, pass, /*gather=*/false);
}

} // namespace sm1rt
