// Inputs from a seed, and the three kinds of runs.
#include "Runner.h"

#include "OpenModel.h"

#include <chrono>
#include <random>

using namespace sm1rt;

using Clock = std::chrono::steady_clock;

static std::vector<float> randomRows(const PlanPort &input, size_t count, uint32_t seed) {
  bool decay = input.name.find("decay") != std::string::npos;
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values) {
    float unit = float(random() >> 8) / float(1 << 24);
    value = decay ? 0.05f + 0.9f * unit : 2 * unit - 1;
  }
  return values;
}

Inputs::Inputs(const Plan &plan, int64_t count) {
  for (const PlanPort &input : plan.inputs) {
    if (input.kind == PlanPort::Kind::Tokens)
      // Steps far apart in the vocabulary, so that look-ups do not stay on one page.
      for (int64_t index = 0; index < count; ++index)
        tokens.push_back(int32_t(index * 7919 % input.limit));
    if (input.kind != PlanPort::Kind::Rows)
      continue;
    rows.push_back(randomRows(input, size_t(count * input.width), uint32_t(rows.size() + 1)));
    widths.push_back(input.width);
  }
}

Piece Inputs::piece(Sequence &sequence, int64_t begin, int64_t count) const {
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = tokens.empty() ? nullptr : &tokens[size_t(begin)];
  for (size_t input = 0; input < rows.size(); ++input)
    piece.rows.push_back(&rows[input][size_t(begin * widths[input])]);
  piece.count = count;
  piece.selected = {count - 1};
  return piece;
}

Runner::Runner(Model &model, const RunShape &shape, const Sequence *start)
    : model(model), shape(shape), wholeModel(tokenModelOf(model.plan(), "")), inputs(model.plan(), shape.batch * shape.time) {
  for (int64_t sequence = 0; sequence < shape.batch; ++sequence) {
    starts.push_back(start ? start->fork() : model.newSequence());
    sequences.push_back(starts.back().fork());
  }
}

std::vector<Piece> Runner::piecesAt(int64_t begin, int64_t count) {
  std::vector<Piece> pieces;
  for (size_t sequence = 0; sequence < sequences.size(); ++sequence)
    pieces.push_back(inputs.piece(sequences[sequence], int64_t(sequence) * shape.time + begin, count));
  return pieces;
}

/// The first choice follows the prompt, so `tokens` steps end with a token that nobody reads.
Expected<void> Runner::generate(int64_t prompt, int64_t tokens) {
  std::vector<int64_t> made(sequences.size());
  Generation generation;
  generation.choose = [&](size_t sequence) {
    TokenChoice choice;
    choice.greedy = true;
    choice.last = made[sequence] + 1 == tokens;
    return choice;
  };
  generation.take = [&](size_t sequence, int32_t) -> Expected<bool> { return ++made[sequence] < tokens; };
  return model.generate(piecesAt(0, prompt), generation);
}

Expected<void> Runner::feed(const char *entry, int64_t begin, int64_t count) {
  Expected<Outputs> outputs = model.run(entry, piecesAt(begin, count));
  return outputs ? Expected<void>() : outputs.error();
}

Expected<void> Runner::runOnce() {
  // One token is a prompt that a step reads, and a prompt makes the first token that a step reads.
  if (wholeModel && shape.decoded() > 0 && !shape.oneByOne)
    return shape.kind == RunKind::Decode ? generate(1, shape.time) : generate(shape.time, shape.steps + 1);
  if (shape.prompt() > 0)
    if (Expected<void> done = feed("prefill", 0, shape.prompt()); !done)
      return done;
  for (int64_t step = 0; step < shape.decoded(); ++step)
    if (Expected<void> done = feed("step", step % shape.time, 1); !done)
      return done;
  return {};
}

Expected<double> Runner::run() {
  for (size_t sequence = 0; sequence < sequences.size(); ++sequence)
    sequences[sequence] = starts[sequence].fork();
  Clock::time_point start = Clock::now();
  if (Expected<void> done = runOnce(); !done)
    return done.error();
  return std::chrono::duration<double>(Clock::now() - start).count();
}
