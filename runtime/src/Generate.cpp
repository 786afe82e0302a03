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
  size_t tokenBuffer, logitsBuffer; ///< of the program
  int64_t count;                    ///< logits of a row
  std::vector<int32_t> lastTokens;  ///< per prompt
  std::vector<bool> alive;          ///< per prompt: it wants another token
  std::vector<bool> stopped;        ///< per prompt: the device has stopped it, no step changes its state any more
  std::unique_ptr<DeviceBuffer> choices, results;
  std::unique_ptr<DeviceBuffer> aheadRoom; ///< choices and results of many tokens
  std::vector<uint8_t> choiceRows;

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
                            nullptr,
                            nullptr,
                            {}};
  context.lastTokens.resize(prompts.size());
  context.alive.resize(prompts.size(), true);
  context.stopped.resize(prompts.size());
  uint64_t rows = std::min<uint64_t>(prompts.size(), uint64_t(rowsPerPass()));
  auto choices = device->allocate(rows * choiceRowBytes(context.count));
  // Behind the results a table of sequences that nothing reads, for choices that come after the states are back.
  auto results = choices ? device->allocate(rows * (sizeof(sm1sampling::Chosen) + 8)) : Error(choices.error());
  if (!results)
    return results.error().in("sampling");
  context.choices = std::move(*choices);
  context.results = std::move(*results);
  return context;
}

//===-- Choosing ------------------------------------------------------------------------------------------------------------===//

/// Starts the choice of a token for each row of logits, which belongs to piece rows[i]. `feed`: tokens become the input of the next
/// step.
Expected<void> ModelImpl::startChoices(GenerationContext &context, const std::vector<size_t> &rows, bool feed) {
  context.choiceRows.clear();
  for (size_t piece : rows) {
    TokenChoice choice = piece == nobody ? TokenChoice() : context.generation.choose(piece);
    appendChoiceRow(context.choiceRows, piece == nobody ? nullptr : &choice, context.count);
  }
  uint64_t bytes = context.choiceRows.size(), resultBytes = rows.size() * sizeof(sm1sampling::Chosen);
  if (auto sent = device->upload({context.choices->address, bytes, context.choiceRows.data(), bytes, bytes, 1}); !sent)
    return sent;
  const DeviceBuffer &logits = *workspace.buffers[context.logitsBuffer];
  SampleLaunch launch;
  launch.logits = reinterpret_cast<const float *>(logits.address);
  launch.stride = program.buffers[context.logitsBuffer].stride;
  launch.count = context.count;
  launch.rows = int64_t(rows.size());
  launch.choices = context.choices->address;
  launch.results = context.results->address;
  launch.tokens = feed ? reinterpret_cast<int32_t *>(workspace.buffers[context.tokenBuffer]->address) : nullptr;
  launch.sequences = feed ? const_cast<uint64_t *>(workspace.scatter.sequences)
                          : reinterpret_cast<uint64_t *>(context.results->address + resultBytes);
  if (feed)
    workspace.tablesChanged();
  if (auto started = device->sample(launch); !started)
    return started;
  return device->beginDownload(context.results->address, resultBytes);
}

/// Waits for the tokens of startChoices and hands them over.
Expected<void> ModelImpl::takeTokens(GenerationContext &context, const std::vector<size_t> &rows) {
  auto downloaded = device->endDownload();
  if (!downloaded)
    return downloaded.error();
  uint64_t rowBytes = choiceRowBytes(context.count);
  for (size_t row = 0; row < rows.size(); ++row)
    if (rows[row] != nobody)
      if (auto taken =
              takeToken(context, rows[row], &context.choiceRows[row * rowBytes], *downloaded + row * sizeof(sm1sampling::Chosen));
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
    if (auto started = startChoices(context, rows, /*feed=*/false); !started)
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

/// Steps of all pieces that are alive, in one pass, until one of them ends. Where the device runs ahead of the host, the next
/// step's layers are started before the token before it is known here; a sequence that the choice has stopped sits that step out.
Expected<void> ModelImpl::generateInPlace(GenerationContext &context) {
  std::vector<size_t> rows = context.running();
  std::vector<Piece> pieces = lastTokenPieces(context.prompts, context.lastTokens, rows);
  RunContext &run = beginRun("step", pieces);
  auto countStep = [&] {
    for (size_t row = 0; row < rows.size(); ++row)
      run.sequences[row]->position += rows[row] != nobody && !context.stopped[rows[row]];
  };
  if (auto started = startPass(run, run.passes.front()); !started)
    return started;
  countStep();
  for (bool leaving = false;;) {
    bool ahead = device->runsAhead() && !leaving;
    if (auto started = startChoices(context, rows, /*feed=*/true); !started)
      return started;
    if (ahead)
      if (auto started = compute(run); !started)
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
    if (auto started = compute(run); !started)
      return started;
    countStep();
  }
}

//===-- Many tokens at a time -----------------------------------------------------------------------------------------------===//

/// As many tokens as a caller waits for at once: 10 ms of an H200.
static constexpr int64_t mostAhead = 128;

/// Choices of the next tokens of all rows, token by token, as far as every piece foresees them or has ended; how many tokens that
/// is.
int64_t ModelImpl::foreseeTokens(const GenerationContext &context, const std::vector<size_t> &rows,
                                 std::vector<uint8_t> &choiceRows) const {
  choiceRows.clear();
  std::vector<bool> ended(rows.size());
  for (int64_t ahead = 0; ahead < mostAhead; ++ahead) {
    size_t before = choiceRows.size();
    bool anybody = false;
    for (size_t row = 0; row < rows.size(); ++row) {
      auto choice = ended[row] ? std::nullopt : context.generation.foresee(rows[row], ahead);
      if (!choice && !ended[row]) { // it depends on what comes before
        choiceRows.resize(before);
        return ahead;
      }
      anybody |= choice.has_value();
      appendChoiceRow(choiceRows, choice ? &*choice : nullptr, context.count);
      ended[row] = ended[row] || choice->last;
    }
    if (!anybody) {
      choiceRows.resize(before);
      return ahead;
    }
  }
  return mostAhead;
}

/// Tokens of one launch, in order. A sequence that a choice has ended has not moved since.
Expected<void> ModelImpl::takeAhead(GenerationContext &context, const std::vector<size_t> &rows, int64_t tokens,
                                    const uint8_t *results) {
  uint64_t rowBytes = choiceRowBytes(context.count);
  for (int64_t token = 0; token < tokens; ++token) {
    for (size_t row = 0; row < rows.size(); ++row) {
      if (!context.alive[rows[row]])
        continue;
      ++lastContext->sequences[row]->position;
      size_t place = size_t(token) * rows.size() + row;
      if (auto taken =
              takeToken(context, rows[row], &context.choiceRows[place * rowBytes], results + place * sizeof(sm1sampling::Chosen));
          !taken)
        return taken;
    }
    if (context.generation.stepped)
      context.generation.stepped();
  }
  return {};
}

/// One launch that runs the last token of each piece, chooses the next, runs that, and so on, where all of them are foreseen; false
/// where they are not, or where the device cannot.
Expected<bool> ModelImpl::generateAhead(GenerationContext &context) {
  if (!context.generation.foresee || takeLaunchTime || !lastContext->wholeTokens || device->tokensAhead() < 2)
    return false;
  std::vector<size_t> rows = context.running();
  int64_t tokens = foreseeTokens(context, rows, context.choiceRows);
  if (tokens < 2)
    return false;
  std::vector<Piece> pieces = lastTokenPieces(context.prompts, context.lastTokens, rows);
  RunContext &run = beginRun("step", pieces);
  if (auto sent = uploadTables(run, run.passes.front()); !sent)
    return sent.error();
  if (auto sent = uploadInputs(run, run.passes.front()); !sent)
    return sent.error();
  uint64_t bytes = context.choiceRows.size(), resultBytes = uint64_t(tokens) * rows.size() * sizeof(sm1sampling::Chosen);
  if (!context.aheadRoom || context.aheadRoom->bytes < bytes + resultBytes) {
    auto room = device->allocate(bytes + resultBytes);
    if (!room)
      return room.error().in("sampling");
    context.aheadRoom = std::move(*room);
  }
  if (auto sent = device->upload({context.aheadRoom->address, bytes, context.choiceRows.data(), bytes, bytes, 1}); !sent)
    return sent.error();
  TokenRun work = tokenRun(run);
  work.tokenCount = tokens;
  work.choices = context.aheadRoom->address;
  work.choiceBytes = int64_t(choiceRowBytes(context.count));
  work.results = context.aheadRoom->address + bytes;
  work.nextTokens = const_cast<int32_t *>(work.tokens);
  work.ended = const_cast<uint64_t *>(work.sequences);
  workspace.tablesChanged();
  if (options.trace)
    options.trace(
        fmt::format("entry=step layer=- kernel=sm1_token device={} rows={} tokens={}", device->shortName(), rows.size(), tokens));
  if (auto started = device->runTokens(work); !started)
    return started.error();
  if (auto asked = device->beginDownload(work.results, resultBytes); !asked)
    return asked.error();
  auto results = device->endDownload();
  if (!results)
    return results.error();
  if (auto taken = takeAhead(context, rows, tokens, *results); !taken)
    return taken.error();
  return true;
}

Expected<void> ModelImpl::generate(const std::vector<Piece> &prompts, const Generation &generation) {
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<Piece> pieces = prompts;
  for (Piece &piece : pieces)
    piece.selected = {piece.count - 1};
  bool single = std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) { return piece.count == 1; });
  // A sequence that goes on with one token goes on as if it had never paused.
  const char *entry = single ? "step" : "prefill";
  if (auto valid = checkPieces(entry, pieces); !valid)
    return valid;
  if (program.entries.find("step") == program.entries.end())
    return Error{fmt::format("model '{}' has no entry 'step', generation needs it", package.plan.model)};
  auto context = startGeneration(prompts, generation);
  if (!context)
    return context.error();
  // Whole tokens or kernel by kernel from beginning to end: a sequence does not notice when others leave.
  lastContext->wholeTokens = int64_t(prompts.size()) <= device->tokenSequences();
  if (auto done = generateByRuns(*context, entry, pieces); !done)
    return done;
  if (generation.stepped)
    generation.stepped();
  for (std::vector<size_t> running = context->running(); !running.empty(); running = context->running()) {
    auto done = generateAhead(*context);
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
