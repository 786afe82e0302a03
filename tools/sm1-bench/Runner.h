// Runs of a model on inputs of no meaning, each from the same state.
#ifndef SM1_BENCH_RUNNER_H
#define SM1_BENCH_RUNNER_H

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <vector>

enum class RunKind {
  Decode,   ///< `time` tokens of every sequence, one after the other
  Prefill,  ///< `time` tokens of every sequence at once
  EndToEnd, ///< `time` tokens at once, then `steps` one after the other
};

/// What a run does.
struct RunShape {
  RunKind kind;
  int64_t batch, time;
  int64_t steps = 0;     ///< EndToEnd
  int64_t context = 0;   ///< rows that every sequence has read before
  bool oneByOne = false; ///< steps are runs of their own, from tokens to logits, and choose nothing

  const char *name() const { return kind == RunKind::Decode ? "decode" : kind == RunKind::Prefill ? "prefill" : "end-to-end"; }
  int64_t prompt() const { return kind == RunKind::Decode ? 0 : time; }
  int64_t decoded() const { return kind == RunKind::Decode ? time : steps; }
  double tokens() const { return double(batch * (prompt() + decoded())); }
};

/// Tokens, and rows from a seed, for a model to read: decays between 0.05 and 0.95, all else between -1 and 1.
class Inputs {
public:
  Inputs(const sm1rt::Plan &plan, int64_t count);

  /// Rows `begin` to `begin + count - 1` for a sequence; outputs of the last are asked for. Points into this object.
  sm1rt::Piece piece(sm1rt::Sequence &sequence, int64_t begin, int64_t count) const;

private:
  std::vector<int32_t> tokens;          // empty for a model that reads none
  std::vector<std::vector<float>> rows; // per input of rows: [count][width]
  std::vector<int64_t> widths;
};

/// Whole models read tokens and go on with the likeliest of the logits before; others read on.
class Runner {
public:
  /// Sequences start as copies of `start`, which has read `shape.context` rows; from zero without it.
  Runner(sm1rt::Model &model, const RunShape &shape, const sm1rt::Sequence *start = nullptr);

  /// Seconds of one run. States are set before the clock starts.
  sm1rt::Expected<double> run();

private:
  sm1rt::Expected<void> runOnce();
  sm1rt::Expected<void> generate(int64_t prompt, int64_t tokens);
  sm1rt::Expected<void> feed(const char *entry, int64_t begin, int64_t count);
  std::vector<sm1rt::Piece> piecesAt(int64_t begin, int64_t count);

  sm1rt::Model &model;
  RunShape shape;
  bool wholeModel; // tokens in, logits out
  std::vector<sm1rt::Sequence> starts, sequences;
  Inputs inputs; // [batch][time]
};

#endif // SM1_BENCH_RUNNER_H
