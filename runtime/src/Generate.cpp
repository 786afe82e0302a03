// Generation: prompts run as any pieces; then steps whose tokens never leave the device, as long as the batch stays the same.
#include "RunContext.h"

#include "ChoiceRows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sm1rt {

/// A row of a batch whose piece has got all its tokens.
static constexpr size_t nobody = SIZE_MAX;

struct ModelImpl::GenerationContext {
  const Generation &generation;
  const std::vector<Piece> &prompts;
  size_t tokenBuffer, logitsBuffer;     ///< of the program
  int64_t count;                        ///< logits of a row
  std::vector<int32_t> lastTokens;      ///< per prompt
  std::vector<bool> alive;              ///< per prompt: it wants another token
  std::vector<bool> stopped;            ///< per prompt: the device has stopped it, no step changes its state any more
  std::unique_ptr<DeviceBuffer> tables; ///< of sequences: two of endSteps()
  std::vector<uint8_t> choiceRows;
  bool mayGoOn = true; ///< a piece behind these choices, as far as is known before them

  std::vector<size_t> running() const {
    std::vector<size_t> indexes;
    for (size_t i = 0; i < alive.size(); ++i)
      if (alive[i])
        indexes.push_back(i);
    return indexes;
  }
};

/// The only port of `kind` in `ports`; nothing when there are none or several.
static std::optional<size_t> onlyPort(const std::vector<PlanPort> &ports, PlanPort::Kind kind) {
  std::optional<size_t> found;
  for (size_t i = 0; i < ports.size(); ++i)
    if (ports[i].kind == kind && found)
      return std::nullopt;
    else if (ports[i].kind == kind)
      found = i;
  return found;
}

Expected<ModelImpl::GenerationContext> ModelImpl::startGeneration(const std::vector<Piece> &prompts, const Generation &generation) {
  const Plan &plan = package.plan;
  auto tokens = onlyPort(plan.inputs, PlanPort::Kind::Tokens), logits = onlyPort(plan.outputs, PlanPort::Kind::Rows);
  if (!tokens || !logits || plan.outputs[*logits].rows != RowSpace::Selected ||
      plan.outputs[*logits].width != plan.inputs[*tokens].limit)
    return Error{fmt::format(
        "model '{}' does not take tokens and give their logits for selected rows; run it instead of generating", plan.model)};
  GenerationContext context{generation,
                            prompts,
                            size_t(program.inputs[*tokens]),
                            size_t(program.outputs[*logits]),
                            plan.outputs[*logits].width,
                            {},
                            {},
                            {},
                            nullptr,
                            {},
                            true};
  context.lastTokens.resize(prompts.size());
  context.alive.resize(prompts.size(), true);
  context.stopped.resize(prompts.size());
  auto tables = device->allocate(std::min<uint64_t>(prompts.size(), uint64_t(rowsPerPass())) * 2 * sizeof(uint64_t));
  if (!tables)
    return tables.error().in("sampling");
  context.tables = std::move(*tables);
  return context;
}

//===-- Choosing ------------------------------------------------------------------------------------------------------------===//

/// How the next token of piece rows[i] is chosen, for all i.
void ModelImpl::writeChoices(GenerationContext &context, const std::vector<size_t> &rows) const {
  context.choiceRows.clear();
  context.mayGoOn = false;
  for (size_t piece : rows) {
    TokenChoice choice = piece == nobody ? TokenChoice() : context.generation.choose(piece);
    context.mayGoOn |= piece != nobody && !choice.last;
    appendChoiceRow(context.choiceRows, piece == nobody ? nullptr : &choice, context.count);
  }
}

/// The choice of a token for each row of logits, which belongs to piece rows[i]. `feed`: tokens are the input of the next step.
SampleLaunch ModelImpl::choicesOf(GenerationContext &context, const std::vector<size_t> &rows, bool feed) {
  writeChoices(context, rows);
  const DeviceBuffer &logits = *workspace.buffers[context.logitsBuffer];
  SampleLaunch launch;
  launch.logits = reinterpret_cast<const float *>(logits.address);
  launch.stride = program.buffers[context.logitsBuffer].stride;
  launch.count = context.count;
  launch.rows = int64_t(rows.size());
  launch.choices = context.choiceRows.data();
  launch.tokens = feed ? reinterpret_cast<int32_t *>(workspace.buffers[context.tokenBuffer]->address) : nullptr;
  bool takesOut = feed && lastContext->states == StatesOfPass::Moved;
  launch.sequences = takesOut ? const_cast<uint64_t *>(workspace.scatter.sequences) : nullptr;
  if (takesOut)
    workspace.tablesChanged();
  return launch;
}

/// Waits for the tokens that choicesOf has asked for and hands them over.
Expected<void> ModelImpl::takeTokens(GenerationContext &context, const std::vector<size_t> &rows) {
  auto chosen = device->awaitSample();
  if (!chosen)
    return chosen.error();
  return takeChosen(context, rows, *chosen);
}

Expected<void> ModelImpl::takeChosen(GenerationContext &context, const std::vector<size_t> &rows, const uint8_t *chosen) {
  uint64_t rowBytes = choiceRowBytes(context.count);
  for (size_t row = 0; row < rows.size(); ++row)
    if (rows[row] != nobody)
      if (auto taken =
              takeToken(context, rows[row], &context.choiceRows[row * rowBytes], chosen + row * sizeof(sm1sampling::Chosen));
          !taken)
        return taken;
  return {};
}

/// What was chosen for a piece, from the bytes of its choice and its result.
Expected<void> ModelImpl::takeToken(GenerationContext &context, size_t piece, const uint8_t *choiceRow, const uint8_t *chosen) {
  sm1sampling::Chosen result;
  sm1sampling::Choice choice;
  std::memcpy(&result, chosen, sizeof(result));
  std::memcpy(&choice, choiceRow, sizeof(choice));
  auto token = chosenToken(result);
  if (!token)
    return token.error().in(fmt::format("piece {}", piece));
  context.lastTokens[piece] = *token;
  context.stopped[piece] = (choice.flags & sm1sampling::stops) || *token == choice.end;
  auto goesOn = context.generation.take(piece, *token);
  if (!goesOn)
    return goesOn.error();
  context.alive[piece] = *goesOn && !context.stopped[piece];
  return {};
}

//===-- Steps ---------------------------------------------------------------------------------------------------------------===//

/// One run whose selected rows are each piece's last, with a token for each. `pieces` are those of all prompts that are alive.
Expected<void> ModelImpl::generateByRuns(GenerationContext &context, std::string_view entry, const std::vector<Piece> &pieces) {
  std::vector<size_t> indexes = context.running();
  RunContext &run = beginRun(entry, pieces);
  run.takeResults = [&](const Pass &pass) -> Expected<void> {
    std::vector<size_t> rows;
    for (const PassPart &part : pass.parts)
      if (part.end == pieces[part.piece].count)
        rows.push_back(indexes[part.piece]);
    if (rows.empty())
      return {};
    if (auto started = device->sample(choicesOf(context, rows, /*feed=*/false)); !started)
      return started;
    return takeTokens(context, rows);
  };
  return runPieces(run);
}

/// The last tokens of pieces, to be run through `step`.
static std::vector<Piece> lastTokenPieces(const std::vector<Piece> &prompts, const std::vector<int32_t> &lastTokens,
                                          const std::vector<size_t> &indexes) {
  std::vector<Piece> pieces;
  for (size_t index : indexes) {
    Piece piece;
    piece.sequence = prompts[index].sequence;
    piece.tokens = &lastTokens[index];
    piece.count = 1;
    piece.selected = {0};
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// Takes pieces that want no more tokens out of the rows; whether there were any.
static bool dropEnded(const std::vector<bool> &alive, std::vector<size_t> &rows) {
  bool ended = false;
  for (size_t &row : rows)
    if (row != nobody && !alive[row]) {
      row = nobody;
      ended = true;
    }
  return ended;
}

/// Readies a run of steps of one batch. Its states are moved once, unless each step is one launch, which finds them by itself.
Expected<void> ModelImpl::beginSteps(RunContext &run) {
  if (auto ready = preparePass(run, run.passes.front()); !ready)
    return ready;
  if (isTokenRun(run))
    return {};
  run.states = StatesOfPass::Gathered;
  return device->move(workspace.gather);
}

/// One step, behind the choice of its tokens, if there is one; where states stay, the next one reads what it writes.
Expected<void> ModelImpl::step(RunContext &run, const SampleLaunch *choice) {
  if (auto done = compute(run, choice); !done)
    return done;
  if (run.states != StatesOfPass::Moved)
    run.states = run.states == StatesOfPass::Gathered ? StatesOfPass::Others : StatesOfPass::Gathered;
  ++run.stepsDone;
  return {};
}

/// Moves states back after steps of one batch. A sequence that counted all of them takes what the last one has left, one that was
/// stopped while the last one was under way what that one has read.
Expected<void> ModelImpl::endSteps(GenerationContext &context, const RunContext &run, const std::vector<int64_t> &positions) {
  if (run.states == StatesOfPass::Moved)
    return {};
  size_t segments = run.sequences.size();
  std::vector<uint64_t> tables(2 * segments); // of the last step and the one before
  bool anyBefore = false;
  for (size_t row = 0; row < segments; ++row) {
    bool before = run.sequences[row]->position - positions[row] < run.stepsDone;
    tables[before * segments + row] = reinterpret_cast<uint64_t>(run.sequences[row]->memory->address);
    anyBefore |= before;
  }
  uint64_t bytes = tables.size() * sizeof(uint64_t);
  uint8_t *there = context.tables->address;
  auto *from = reinterpret_cast<const uint8_t *>(tables.data());
  if (auto sent = device->upload({there, bytes, from, bytes, bytes, 1}); !sent)
    return sent;
  auto *sequences = reinterpret_cast<const uint64_t *>(there);
  bool last = run.states == StatesOfPass::Gathered;
  if (auto moved = device->move(workspace.putBack(last, sequences)); !moved || !anyBefore)
    return moved;
  return device->move(workspace.putBack(!last, sequences + segments));
}

/// Steps of all pieces that are alive, in one pass, until one of them ends. Where the device runs ahead of the host, the next
/// step's layers are started before the token before it is known here, unless all choices are known to be the last ones; a sequence
/// that the choice has stopped does not count that step.
Expected<void> ModelImpl::stepInPlace(GenerationContext &context, RunContext &run, std::vector<size_t> &rows) {
  auto countStep = [&] {
    for (size_t row = 0; row < rows.size(); ++row)
      run.sequences[row]->position += rows[row] != nobody && !context.stopped[rows[row]];
  };
  if (auto started = step(run); !started)
    return started;
  countStep();
  for (bool leaving = false;;) {
    SampleLaunch choice = choicesOf(context, rows, /*feed=*/true);
    bool ahead = device->runsAhead() && !leaving && context.mayGoOn;
    if (auto started = ahead ? step(run, &choice) : device->sample(choice); !started)
      return started;
    if (auto taken = takeTokens(context, rows); !taken)
      return taken;
    if (ahead)
      countStep();
    if (context.generation.stepped)
      context.generation.stepped();
    bool ended = dropEnded(context.alive, rows);
    bool none = std::all_of(rows.begin(), rows.end(), [](size_t row) { return row == nobody; });
    if (none || leaving || (ended && !ahead))
      return {};
    leaving = ended; // logits of the others are on their way: one more choice before the batch is made anew
    if (ahead)
      continue;
    if (auto started = step(run); !started)
      return started;
    countStep();
  }
}

Expected<void> ModelImpl::generateInPlace(GenerationContext &context) {
  std::vector<size_t> rows = context.running();
  std::vector<Piece> pieces = lastTokenPieces(context.prompts, context.lastTokens, rows);
  RunContext &run = beginRun("step", pieces);
  std::vector<int64_t> positions;
  for (const SequenceImpl *sequence : run.sequences)
    positions.push_back(sequence->position);
  if (auto begun = beginSteps(run); !begun)
    return begun;
  auto done = stepInPlace(context, run, rows);
  auto ended = endSteps(context, run, positions); // after an error, too
  return done ? ended : done;
}

//===-- Many tokens in a launch ---------------------------------------------------------------------------------------------===//

/// Tokens that one launch computes at most: others wait for the GPU meanwhile, 25 ms of an H200.
static constexpr int64_t mostOrdered = 256;

/// A step after each other in one launch, as long as the batch stays the same. While a token is computed the host, which knows the
/// one before, says how it is to be continued: the device never waits.
Expected<void> ModelImpl::followOrders(GenerationContext &context, std::vector<size_t> &rows) {
  auto countStep = [&] {
    for (size_t row = 0; row < rows.size(); ++row)
      lastContext->sequences[row]->position += rows[row] != nobody && !context.stopped[rows[row]];
  };
  auto endLaunch = [&] { // nobody hears of the token that is under way
    rows.assign(rows.size(), nobody);
    writeChoices(context, rows);
    device->orderTokens(context.choiceRows.data(), false);
  };
  countStep();
  bool ended = false;
  for (int64_t token = 1;; ++token) {
    writeChoices(context, rows);
    bool goesOn = !ended && token < mostOrdered && context.mayGoOn;
    device->orderTokens(context.choiceRows.data(), goesOn);
    auto chosen = device->awaitTokens();
    if (!chosen)
      return chosen.error();
    if (!*chosen) { // the host was held up
      if (auto started = device->sample(choicesOf(context, rows, /*feed=*/false)); !started)
        return started;
      goesOn = false;
    }
    if (auto taken = *chosen ? takeChosen(context, rows, *chosen) : takeTokens(context, rows); !taken) {
      if (goesOn)
        endLaunch();
      return taken;
    }
    if (goesOn)
      countStep();
    if (context.generation.stepped)
      context.generation.stepped();
    ended = dropEnded(context.alive, rows);
    bool none = std::all_of(rows.begin(), rows.end(), [](size_t row) { return row == nobody; });
    if (goesOn && none)
      endLaunch();
    if (!goesOn || none)
      return {};
  }
}

/// Runs the last token of each piece, chooses the next, runs that, and so on; false where the device takes no orders.
Expected<bool> ModelImpl::generateOrdered(GenerationContext &context) {
  if (takeLaunchTime || !lastContext->wholeTokens || !device->takesOrders())
    return false;
  std::vector<size_t> rows = context.running();
  std::vector<Piece> pieces = lastTokenPieces(context.prompts, context.lastTokens, rows);
  RunContext &run = beginRun("step", pieces);
  if (auto sent = uploadTables(run, run.passes.front()); !sent)
    return sent.error();
  if (auto sent = uploadInputs(run, run.passes.front()); !sent)
    return sent.error();
  TokenRun work = tokenRun(run);
  work.ordered = true;
  if (options.trace)
    options.trace(fmt::format("entry=step layer=- kernel=sm1_token device={} rows={} ordered", device->shortName(), rows.size()));
  if (auto started = device->runTokens(work); !started)
    return started.error();
  if (auto done = followOrders(context, rows); !done)
    return done.error();
  return true;
}

Expected<void> ModelImpl::generate(const std::vector<Piece> &prompts, const Generation &generation) {
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<Piece> pieces = prompts;
  for (Piece &piece : pieces)
    piece.selected = {piece.count - 1};
  bool single = std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) { return piece.count == 1; });
  if (auto valid = checkPieces(single ? "step" : "prefill", pieces); !valid)
    return valid;
  if (program.entries.find("step") == program.entries.end())
    return Error{fmt::format("model '{}' has no entry 'step', generation needs it", package.plan.model)};
  auto context = startGeneration(prompts, generation);
  if (!context)
    return context.error();
  // Whole tokens or kernel by kernel from beginning to end: a sequence does not notice when others leave.
  lastContext->wholeTokens = int64_t(prompts.size()) <= device->tokenSequences();
  if (single) { // they go on as if they had never paused
    for (size_t i = 0; i < pieces.size(); ++i)
      context->lastTokens[i] = pieces[i].tokens[0];
  } else {
    if (auto done = generateByRuns(*context, "prefill", pieces); !done)
      return done;
    if (generation.stepped)
      generation.stepped();
  }
  for (std::vector<size_t> running = context->running(); !running.empty(); running = context->running()) {
    auto done = generateOrdered(*context);
    if (!done)
      return done.error();
    if (*done)
      continue;
    if (int64_t(running.size()) <= rowsPerPass()) {
      if (auto done = generateInPlace(*context); !done)
        return done;
      continue;
    }
    pieces = lastTokenPieces(prompts, context->lastTokens, running);
    if (auto done = generateByRuns(*context, "step", pieces); !done)
      return done;
    if (generation.stepped)
      generation.stepped();
  }
  return device->synchronize();
}

} // namespace sm1rt
