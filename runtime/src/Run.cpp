// A run: pieces checked, cut into passes, and each pass taken over the layers. Sequences change only at the very end.
#include "RunContext.h"

#include "LaunchTimer.h"
#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

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

Expected<void> ModelImpl::checkPieces(std::string_view entry, const std::vector<Piece> &pieces) {
  if (program.entries.find(entry) == program.entries.end() || program.isVariant(entry)) {
    std::string names;
    for (auto &[name, steps] : program.entries)
      if (!program.isVariant(name))
        names += (names.empty() ? "" : ", ") + name;
    return Error{fmt::format("entry '{}' does not exist, the package has {}", entry, names)};
  }
  if (pieces.empty())
    return Error{"a run needs at least one piece"};
  ++runs;
  int64_t rows = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (auto valid = checkPiece(entry, pieces, i); !valid)
      return valid;
    if (std::exchange(pieces[i].sequence->impl->lastRun, runs) == runs)
      return pieceError(i, "its sequence is already part of this run");
    if ((rows += pieces[i].count) > runRowsLimit)
      return pieceError(i, fmt::format("the run has more than {} rows", runRowsLimit));
  }
  return {};
}

void cutPasses(const std::vector<Piece> &pieces, int64_t rowsPerPass, bool whole, std::vector<Pass> &passes) {
  passes.resize(1);
  passes.front().parts.clear();
  passes.front().rows = 0;
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
}

//===-- A run ---------------------------------------------------------------------------------------------------------------===//

static void findWrittenStates(const Plan &plan, const std::vector<PlanStep> &steps, std::vector<bool> &written) {
  written.assign(plan.states.size(), false);
  for (const PlanStep &step : steps)
    for (const PlanLaunch &launch : step.body)
      for (const PlanArg &arg : launch.args)
        if (arg.kind == PlanArg::Kind::StateOut)
          written[arg.index] = true;
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
    } else {
      auto allocated = device->allocate(layout.bytes);
      if (!allocated)
        return allocated.error().in("states of a long run");
      memory = std::move(*allocated);
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
    context.sequences[i]->position += (*context.pieces)[i].count;
    if (context.pending.empty())
      continue;
    std::swap(context.sequences[i]->memory, context.pending[i]);
    spareStates.push_back(std::move(context.pending[i]));
  }
}

/// What the last run left is gone; `pieces` must live as long as the run.
ModelImpl::RunContext &ModelImpl::beginRun(std::string_view entry, const std::vector<Piece> &pieces) {
  RunContext &context = *lastContext;
  context.entry = context.variant = entry;
  context.steps = &program.entries.find(entry)->second;
  context.pieces = &pieces;
  findWrittenStates(package.plan, *context.steps, context.written);
  context.sequences.clear();
  for (const Piece &piece : pieces)
    context.sequences.push_back(piece.sequence->impl.get());
  context.pending.clear();
  context.states = StatesOfPass::Moved;
  context.stepsDone = 0;
  context.rowsThere.assign(package.plan.outputs.size(), 0);
  cutPasses(pieces, rowsPerPass(), package.plan.wholeSequence, context.passes);
  return context;
}

Expected<void> ModelImpl::runPieces(RunContext &context) {
  // One pass: states go straight back into their sequences.
  if (context.passes.size() > 1)
    if (auto prepared = preparePending(context); !prepared)
      return prepared;
  for (const Pass &pass : context.passes) {
    if (auto started = startPass(context, pass); !started)
      return started;
    if (auto taken = context.takeResults(pass); !taken)
      return taken;
  }
  // A run without results has waited for nothing yet.
  if (auto finished = device->synchronize(); !finished)
    return finished;
  finish(context);
  return {};
}

Expected<Outputs> ModelImpl::run(std::string_view entry, const std::vector<Piece> &pieces) {
  std::lock_guard<std::mutex> lock(mutex);
  if (auto valid = checkPieces(entry, pieces); !valid)
    return valid.error();
  RunContext &context = beginRun(entry, pieces);
  context.wholeTokens = true;
  Outputs outputs = makeOutputs(package.plan, pieces);
  auto take = [&](const Pass &pass) { return downloadOutputs(context, pass, outputs); };
  context.takeResults = std::ref(take); // a reference needs no memory
  if (auto done = runPieces(context); !done)
    return done.error();
  return outputs;
}

//===-- A pass --------------------------------------------------------------------------------------------------------------===//

/// Tables and size of a pass, of which `everyRow` is selected or those that pieces name; its sequences' memory is the caller's to
/// add.
static void buildTables(const std::vector<Piece> &pieces, const Pass &pass, bool everyRow, PassTables &tables, PassSize &size) {
  tables.rowSegment.clear();
  tables.segmentStart.assign(1, 0);
  tables.selected.clear();
  tables.sequences.clear();
  size = {pass.rows, int64_t(pass.parts.size()), 0, 0};
  for (size_t segment = 0; segment < pass.parts.size(); ++segment) {
    const PassPart &part = pass.parts[segment];
    const std::vector<int64_t> &wanted = pieces[part.piece].selected;
    int64_t first = tables.segmentStart.back() - part.begin; // from the piece's rows to the pass's
    auto row = std::lower_bound(wanted.begin(), wanted.end(), part.begin);
    for (int64_t next = part.begin; everyRow && next < part.end; ++next)
      tables.selected.push_back(int32_t(next + first));
    for (; !everyRow && row != wanted.end() && *row < part.end; ++row)
      tables.selected.push_back(int32_t(*row + first));
    tables.rowSegment.insert(tables.rowSegment.end(), size_t(part.end - part.begin), int32_t(segment));
    tables.segmentStart.push_back(int32_t(tables.rowSegment.size()));
    size.longest = std::max(size.longest, part.end - part.begin);
  }
  size.selected = int64_t(tables.selected.size());
}

/// Programs for steps of many sequences have no kernel that selects rows.
bool ModelImpl::selectsEveryRow(const RunContext &context) const {
  return context.entry == "step" && program.isVariant(context.variant);
}

Expected<void> ModelImpl::uploadTables(RunContext &context, const Pass &pass) {
  buildTables(*context.pieces, pass, selectsEveryRow(context), context.tables, context.size);
  context.tables.chunks.clear();
  if (int64_t chunkRows = chunkRowsOf(*context.steps))
    listChunks(context.tables.segmentStart, chunkRows, context.tables.chunks);
  for (const PassPart &part : pass.parts)
    context.tables.sequences.push_back(reinterpret_cast<uint64_t>(context.stateOf(part.piece)));
  if (auto reserved = workspace.reserve(*device, program, layout, context.size, rowsPerPass()); !reserved)
    return reserved;
  return workspace.sendTables(*device, layout, context.tables, context.written);
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
      const Piece &piece = (*context.pieces)[part.piece];
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

static int64_t rowsOf(RowSpace space, const PassSize &size) {
  return space == RowSpace::All ? size.rows : space == RowSpace::Selected ? size.selected : size.segments;
}

Expected<void> ModelImpl::launchOne(RunContext &context, const PlanLaunch &launch, int64_t layer, bool inLoop, LaunchTimer *timer) {
  const PassSize &size = context.size;
  int64_t rows = rowsOf(launch.rows, size);
  if (rows == 0)
    return {};
  void *args[PlanLaunch::argsLimit];
  for (size_t i = 0; i < launch.args.size(); ++i) {
    const PlanArg &arg = launch.args[i];
    if (arg.kind == PlanArg::Kind::Buffer)
      args[i] = workspace.buffers[arg.index]->address;
    else if (arg.kind == PlanArg::Kind::Weight)
      args[i] = weights.address(arg, inLoop ? layer : -1);
    else
      args[i] = workspace.stateAddress(layout, arg.index, context.readsGathered(arg.index) == (arg.kind == PlanArg::Kind::StateIn),
                                       layer, size.segments);
  }
  DeviceLaunch call{&launch,       args,         rows,      workspace.rowTables,
                    size.segments, size.longest, size.rows, workspace.roomOf(launch.rows)};
  LaunchTime time{context.variant, &launch, rows, size.segments, size.rows, size.longest, 0};
  auto tasks = timer ? timer->launch(call, time) : device->launch(call);
  if (!tasks)
    return tasks.error();
  if (!options.trace)
    return {};
  options.trace(fmt::format("entry={} layer={} kernel={} device={} rows={} panels={} tasks={} us={:.1f}", context.variant,
                            inLoop ? std::to_string(layer) : "-", program.kernels[launch.kernel].name, device->shortName(), rows,
                            launch.panels, *tasks, time.seconds * 1e6));
  return {};
}

Expected<void> ModelImpl::launchAll(RunContext &context) {
  std::optional<LaunchTimer> timer;
  if (watchesLaunches())
    timer.emplace(*device, takeLaunchTime, bool(options.trace));
  for (const PlanStep &step : *context.steps)
    for (int64_t layer = 0; layer < std::max<int64_t>(step.layers, 1); ++layer)
      for (const PlanLaunch &launch : step.body)
        if (auto done = launchOne(context, launch, layer, step.layers > 0, timer ? &*timer : nullptr); !done)
          return done;
  return timer ? timer->finish() : Expected<void>();
}

/// True for a step that one launch computes; who times launches wants those of the kernels.
bool ModelImpl::isTokenRun(const RunContext &context) const {
  const PassSize &size = context.size;
  return context.entry == "step" && context.wholeTokens && !takeLaunchTime && size.segments <= device->tokenSequences() &&
         size.selected == size.segments;
}

/// A buffer of the only port of a kind.
static size_t bufferOf(const std::vector<PlanPort> &ports, const std::vector<int> &buffers, PlanPort::Kind kind) {
  auto port = std::find_if(ports.begin(), ports.end(), [&](const PlanPort &port) { return port.kind == kind; });
  return size_t(buffers[size_t(port - ports.begin())]);
}

TokenRun ModelImpl::tokenRun(const RunContext &context) const {
  size_t tokens = bufferOf(package.plan.inputs, program.inputs, PlanPort::Kind::Tokens);
  size_t logits = bufferOf(package.plan.outputs, program.outputs, PlanPort::Kind::Rows);
  TokenRun run;
  run.sequences = workspace.scatter.sequences;
  run.tokens = reinterpret_cast<const int32_t *>(workspace.buffers[tokens]->address);
  run.logits = reinterpret_cast<float *>(workspace.buffers[logits]->address);
  run.logitsStride = program.buffers[logits].stride;
  run.sequenceCount = context.size.segments;
  return run;
}

Expected<void> ModelImpl::computeToken(RunContext &context) {
  if (options.trace)
    options.trace(fmt::format("entry={} layer=- kernel=sm1_token device={} rows={}", context.entry, device->shortName(),
                              context.size.segments));
  return device->runTokens(tokenRun(context));
}

/// Recording takes longer than launching, and pays where prompts of one size come again and again: from the third in a row on. Long
/// prompts do not wait for launches.
bool ModelImpl::repeatsPrompt(const ReplayKey &key) {
  constexpr int64_t alikeBefore = 2, mostRows = 1536;
  promptsAlike = key == lastPrompt ? promptsAlike + 1 : 0;
  lastPrompt = key;
  return promptsAlike >= alikeBefore && key.front() <= mostRows;
}

/// Everything between the uploads and the downloads of a pass, behind the choice of its tokens, if there is one. Steps come again
/// and again, with the same launches while the batch is as large as before. Who watches launches wants to see each; and chunks are
/// as many as their sequences' lengths make them, which no key says.
Expected<void> ModelImpl::compute(RunContext &context, const SampleLaunch *choice) {
  bool isToken = isTokenRun(context), isStep = context.entry == "step";
  bool isLaunched = watchesLaunches() || workspace.rowTables.chunkCount > 0, isRecorded = !isToken && isStep && !isLaunched;
  if (choice && !isRecorded)
    if (auto started = device->sample(*choice); !started)
      return started;
  if (isToken)
    return computeToken(context);
  auto work = [&]() -> Expected<void> {
    if (context.states != StatesOfPass::Moved)
      return launchAll(context);
    if (auto moved = device->move(workspace.gather); !moved)
      return moved;
    if (auto launched = launchAll(context); !launched)
      return launched;
    return device->move(workspace.scatter);
  };
  if (isLaunched)
    return work();
  const PassSize &size = context.size;
  ReplayKey key{size.rows, size.segments, size.selected, isStep ? 0 : size.longest, int64_t(context.states)};
  if (choice && isRecorded)
    return device->sampleAndReplay(*choice, key, work);
  return device->replay(key, work, isRecorded || repeatsPrompt(key));
}

/// Calls take(first, rows) for rows of what a pass has computed for selected ones, as far as its pieces want them.
template <class Take> static Expected<void> takeWanted(const std::vector<Piece> &pieces, const Pass &pass, Take &&take) {
  auto isWanted = [&](size_t row) { return row < pass.parts.size() && !pieces[pass.parts[row].piece].selected.empty(); };
  for (size_t first = 0, end = 0; first < pass.parts.size(); first = end + 1) {
    for (end = first; isWanted(end);)
      ++end;
    if (auto taken = end > first ? take(first, end - first) : Expected<void>(); !taken)
      return taken;
  }
  return {};
}

/// The pass's rows follow those of earlier passes, as pieces are taken in order.
Expected<void> ModelImpl::downloadOutputs(RunContext &context, const Pass &pass, Outputs &outputs) {
  const std::vector<PlanPort> &ports = package.plan.outputs;
  for (size_t i = 0, output = 0; i < ports.size(); ++i) {
    if (ports[i].kind == PlanPort::Kind::State)
      continue;
    size_t buffer = size_t(program.outputs[i]);
    bool isSelected = ports[i].rows == RowSpace::Selected;
    uint64_t width = 4 * uint64_t(ports[i].width), pitch = 4 * uint64_t(program.buffers[buffer].stride);
    auto take = [&](uint64_t first, uint64_t rows) -> Expected<void> {
      auto *to = reinterpret_cast<uint8_t *>(outputs[output].data()) + context.rowsThere[output] * width;
      context.rowsThere[output] += rows;
      if (rows == 0)
        return {};
      return device->download({to, width, workspace.buffers[buffer]->address + first * pitch, pitch, width, rows});
    };
    auto taken = isSelected && selectsEveryRow(context) ? takeWanted(*context.pieces, pass, take)
                                                        : take(0, uint64_t(isSelected ? context.size.selected : context.size.rows));
    if (!taken)
      return taken;
    ++output;
  }
  return {};
}

/// The entry whose launches suit the pass.
void ModelImpl::chooseVariant(RunContext &context, const Pass &pass) const {
  context.variant = program.variantFor(context.entry, options.variants, pass.rows, [&](int64_t chunkRows) {
    int64_t chunks = 0;
    for (const PassPart &part : pass.parts)
      chunks += (part.end - part.begin - 1) / chunkRows + 1;
    return chunks;
  });
  context.steps = &program.entries.find(context.variant)->second;
}

Expected<void> ModelImpl::preparePass(RunContext &context, const Pass &pass) {
  chooseVariant(context, pass);
  if (auto done = uploadTables(context, pass); !done)
    return done;
  return uploadInputs(context, pass);
}

Expected<void> ModelImpl::startPass(RunContext &context, const Pass &pass) {
  if (auto done = preparePass(context, pass); !done)
    return done;
  return compute(context);
}

} // namespace sm1rt
