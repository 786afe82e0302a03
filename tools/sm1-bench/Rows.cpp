// Times runs of a model and the ceilings in turns.
#include "Rows.h"

#include "Progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

using namespace sm1rt;

using Clock = std::chrono::steady_clock;

double Samples::median() const {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  size_t middle = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Samples::least() const { return *std::min_element(values.begin(), values.end()); }
double Samples::most() const { return *std::max_element(values.begin(), values.end()); }

namespace {

/// Runs a model on tokens of no meaning.
class Runner {
public:
  Runner(Model &model, int64_t vocabulary, int64_t batch, int64_t time) : model(model), batch(batch), time(time) {
    for (int64_t sequence = 0; sequence < batch; ++sequence)
      sequences.push_back(model.newSequence());
    // Steps far apart in the vocabulary, so that look-ups do not stay on one page.
    for (int64_t index = 0; index < batch * time; ++index)
      tokens.push_back(int32_t(index * 7919 % vocabulary));
  }

  /// Seconds for `time` single tokens of every sequence, one after the other, each the likeliest of the logits before it.
  Expected<double> decode() {
    std::vector<int64_t> made(sequences.size());
    Generation generation;
    generation.choose = [&](size_t sequence) {
      TokenChoice choice;
      choice.greedy = true;
      choice.last = made[sequence] + 1 == time;
      return choice;
    };
    generation.take = [&](size_t sequence, int32_t) -> Expected<bool> { return ++made[sequence] < time; };
    return timed([&] { return model.generate(piecesAt(0, 1), generation); });
  }

  /// Seconds for `time` tokens of every sequence at once, logits of the last.
  Expected<double> prefill() {
    return timed([&]() -> Expected<void> {
      Expected<Outputs> outputs = model.run("prefill", piecesAt(0, time));
      return outputs ? Expected<void>() : outputs.error();
    });
  }

private:
  Expected<double> timed(const std::function<Expected<void>()> &body) {
    for (Sequence &sequence : sequences)
      sequence.reset();
    Clock::time_point start = Clock::now();
    if (Expected<void> run = body(); !run)
      return run.error();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  std::vector<Piece> piecesAt(int64_t begin, int64_t count) {
    std::vector<Piece> pieces;
    for (size_t sequence = 0; sequence < sequences.size(); ++sequence) {
      Piece piece;
      piece.sequence = &sequences[sequence];
      piece.tokens = &tokens[sequence * size_t(time) + size_t(begin)];
      piece.count = count;
      piece.selected = {count - 1};
      pieces.push_back(std::move(piece));
    }
    return pieces;
  }

  Model &model;
  int64_t batch, time;
  std::vector<Sequence> sequences;
  std::vector<int32_t> tokens;
};

/// A row with the run that fills it.
struct TimedRow {
  Row row;
  std::unique_ptr<Runner> runner;

  Expected<double> run() { return row.name == "decode" ? runner->decode() : runner->prefill(); }
};

} // namespace

static Work scaled(Work work, double times) { return {work.weightBytes * times, work.flops * times}; }

static TimedRow decodeRow(Model &model, const TokenModel &ports, const PlanProgram &program, const RowOptions &options) {
  Work step = workOf(model.plan(), program, "step", options.batch, options.batch);
  Row row{"decode",
          options.batch,
          options.decodeTime,
          double(options.batch * options.decodeTime),
          scaled(step, double(options.decodeTime)),
          {}};
  return {row, std::make_unique<Runner>(model, ports.vocabulary, options.batch, options.decodeTime)};
}

/// A long prefill is cut into passes, and every pass reads the weights again.
static TimedRow prefillRow(Model &model, const TokenModel &ports, const PlanProgram &program, const RowOptions &options) {
  int64_t rows = options.batch * options.prefillTime, perPass = model.rowsPerPass();
  int64_t passes = model.plan().wholeSequence ? 1 : (rows + perPass - 1) / perPass;
  Work work = workOf(model.plan(), program, "prefill", rows, options.batch);
  work.weightBytes = workOf(model.plan(), program, "prefill", rows / passes, options.batch).weightBytes * double(passes);
  Row row{"prefill", options.batch, options.prefillTime, double(rows), work, {}};
  return {row, std::make_unique<Runner>(model, ports.vocabulary, options.batch, options.prefillTime)};
}

/// One turn of everything; its figures are kept only when `keep`.
static Expected<void> repeatOnce(std::vector<TimedRow> &rows, Ceilings *ceilings, Measurement &measurement, bool keep) {
  for (TimedRow &timed : rows) {
    Expected<double> seconds = timed.run();
    if (!seconds)
      return seconds.error();
    if (keep)
      timed.row.seconds.values.push_back(*seconds);
  }
  if (!ceilings)
    return {};
  double bandwidth = ceilings->readBandwidth(), peak = ceilings->multiplyPeak();
  if (keep) {
    measurement.readBandwidth.values.push_back(bandwidth);
    measurement.multiplyPeak.values.push_back(peak);
  }
  return {};
}

static double packedBytes(const Plan &plan) {
  double bytes = 0;
  for (const PlanWeight &weight : plan.weights)
    bytes += double(weight.copies()) * double(byteCount(weight.type).value_or(0));
  return bytes;
}

Expected<Measurement> measure(const CommonOptions &common, const RowOptions &options) {
  Expected<Model> model = openModel(common);
  if (!model)
    return model.error();
  Expected<TokenModel> ports = tokenModelOf(model->plan(), common.model);
  if (!ports)
    return ports.error();
  Measurement measurement;
  measurement.model = common.model;
  measurement.device = model->deviceName();
  measurement.threads = common.threads ? common.threads : availableCores();
  measurement.repetitions = options.repetitions;
  measurement.packedWeightBytes = packedBytes(model->plan());
  const PlanProgram &program = model->plan().programs.find(model->target())->second;
  std::optional<Ceilings> ceilings; // of the CPU, when it is what runs
  if (program.capability == 0) {
    Expected<Ceilings> created = Ceilings::create(measurement.threads, model->target() != "x86-64-v3");
    if (!created)
      return created.error();
    ceilings.emplace(std::move(*created));
  }
  std::vector<TimedRow> rows;
  if (options.decode)
    rows.push_back(decodeRow(*model, *ports, program, options));
  if (options.prefill)
    rows.push_back(prefillRow(*model, *ports, program, options));
  Progress progress("measuring", options.repetitions + 1, "repetitions");
  for (int repetition = 0; repetition <= options.repetitions; ++repetition) {
    // The first turn warms caches, pages and clocks.
    if (Expected<void> done = repeatOnce(rows, ceilings ? &*ceilings : nullptr, measurement, repetition > 0); !done)
      return done.error().in(common.model);
    progress.update(repetition + 1);
  }
  for (TimedRow &timed : rows)
    measurement.rows.push_back(std::move(timed.row));
  return measurement;
}
