// Work per launch: weights, arrays and states by their sizes, multiplications by the shape of a weight before it was packed.
#include "Work.h"

#include <algorithm>

using namespace sm1rt;

void Work::add(const Work &other, double times) {
  weightBytes += times * other.weightBytes;
  readBytes += times * other.readBytes;
  writtenBytes += times * other.writtenBytes;
  flops += times * other.flops;
  fp8Flops += times * other.fp8Flops;
  launches += times * other.launches;
}

static bool readsTokens(const Plan &plan, const PlanProgram &program, const PlanLaunch &launch) {
  return std::any_of(launch.args.begin(), launch.args.end(), [&](const PlanArg &arg) {
    for (size_t port = 0; port < plan.inputs.size(); ++port)
      if (plan.inputs[port].kind == PlanPort::Kind::Tokens && arg.kind == PlanArg::Kind::Buffer &&
          program.inputs[port] == int(arg.index))
        return true;
    return false;
  });
}

namespace {
/// Rows begin to end-1 of a parameter; what a weight holds.
struct Rows {
  size_t param;
  int64_t begin, end;

  bool operator<(const Rows &other) const { return std::tie(param, begin, end) < std::tie(other.param, other.begin, other.end); }
};
} // namespace

static Rows rowsOf(const Plan &plan, const PlanWeight &weight) {
  const std::vector<int64_t> &shape = plan.params[weight.param].shape;
  Rows rows{weight.param, 0, shape.empty() ? 1 : shape[0]};
  for (const PackingStep &step : weight.steps)
    if (step.kind == PackingStep::Kind::Rows)
      rows = {weight.param, step.begin, step.end};
  return rows;
}

WorkCounter::WorkCounter(const Plan &plan, const PlanProgram &program, std::set<std::string> variants)
    : plan(plan), program(program), variants(std::move(variants)) {
  for (auto &[name, steps] : program.entries)
    findWrites(name, steps);
}

/// Once over the launches in order, a loop as if it ran once.
void WorkCounter::findWrites(const std::string &entry, const std::vector<PlanStep> &steps) {
  std::set<size_t> written;
  for (int buffer : program.inputs)
    if (buffer >= 0)
      written.insert(size_t(buffer));
  for (const PlanStep &step : steps)
    for (const PlanLaunch &launch : step.body) {
      std::vector<bool> marks(launch.args.size());
      bool last = true;
      for (size_t index = launch.args.size(); index-- > 0;) {
        if (launch.args[index].kind != PlanArg::Kind::Buffer)
          continue;
        if (!last && written.count(launch.args[index].index))
          break;
        marks[index] = true;
        last = false;
      }
      for (size_t index = 0; index < marks.size(); ++index)
        if (marks[index])
          written.insert(launch.args[index].index);
      facts[&launch] = {entry, std::move(marks)};
    }
}

std::string WorkCounter::variantOf(const std::string &entry, int64_t rows, int64_t segments) const {
  auto chunksOf = [&](int64_t chunkRows) { return segments * ((rows - 1) / (segments * chunkRows) + 1); };
  return std::string(program.variantFor(entry, variants, rows, chunksOf));
}

Work WorkCounter::ofLaunch(const PlanLaunch &launch, const LaunchRows &size) const {
  Work work;
  work.launches = 1;
  // A launch over segments reads and writes all of their rows.
  int64_t rows = launch.rows == RowSpace::Segments ? size.passRows : size.rows;
  bool lookUp = readsTokens(plan, program, launch);
  const std::vector<bool> &marks = facts.at(&launch).writes;
  std::set<Rows> multiplied; // a matrix may come in several parts, its numbers and their scales
  for (size_t index = 0; index < launch.args.size(); ++index) {
    const PlanArg &arg = launch.args[index];
    if (arg.kind == PlanArg::Kind::Buffer) {
      const PlanBuffer &buffer = program.buffers[arg.index];
      (marks[index] ? work.writtenBytes : work.readBytes) += double(rows * buffer.stride) * double(dtypeBytes(buffer.dtype));
    } else if (arg.kind == PlanArg::Kind::Weight) {
      const PlanWeight &weight = plan.weights[arg.index];
      double bytes = double(byteCount(weight.type).value_or(0));
      if (lookUp && !weight.type.shape.empty() && weight.type.shape[0] > 0)
        bytes = std::min(bytes, bytes / double(weight.type.shape[0]) * double(rows));
      work.weightBytes += bytes;
      const std::vector<int64_t> &shape = plan.params[weight.param].shape;
      Rows part = rowsOf(plan, weight);
      double flops = lookUp || shape.size() != 2 ? 0 : 2 * double(part.end - part.begin) * double(shape[1]) * double(rows);
      work.fp8Flops += weight.type.dtype == DType::F8E4M3 ? flops : 0;
      if (flops > 0 && multiplied.insert(part).second)
        work.flops += flops;
    } else {
      double bytes = 4 * double(elementCount(plan.states[arg.index].shape).value_or(0)) * double(size.segments);
      (arg.kind == PlanArg::Kind::StateIn ? work.readBytes : work.writtenBytes) += bytes;
    }
  }
  return work;
}

Work WorkCounter::ofPass(const std::string &entry, int64_t rows, int64_t selected, int64_t segments) const {
  Work total;
  auto steps = program.entries.find(variantOf(entry, rows, segments));
  if (steps == program.entries.end())
    return total;
  for (const PlanStep &step : steps->second)
    for (const PlanLaunch &launch : step.body) {
      int64_t own = launch.rows == RowSpace::All ? rows : launch.rows == RowSpace::Selected ? selected : segments;
      if (own > 0)
        total.add(ofLaunch(launch, {own, segments, rows, 0}), double(std::max<int64_t>(step.layers, 1)));
    }
  return total;
}

Work WorkCounter::ofRun(const std::string &entry, int64_t batch, int64_t time, int64_t rowsPerPass) const {
  if (plan.wholeSequence || batch * time <= rowsPerPass)
    return ofPass(entry, batch * time, batch, batch);
  // Long runs have many passes, few of which differ: rows, selected rows, segments.
  std::map<std::tuple<int64_t, int64_t, int64_t>, int64_t> passes;
  int64_t rows = 0, selected = 0, segments = 0;
  auto endPass = [&] {
    ++passes[{rows, selected, segments}];
    rows = selected = segments = 0;
  };
  for (int64_t sequence = 0; sequence < batch; ++sequence)
    for (int64_t left = time; left > 0;) {
      int64_t taken = std::min(left, rowsPerPass - rows);
      left -= taken;
      rows += taken;
      selected += left == 0;
      ++segments;
      if (rows == rowsPerPass)
        endPass();
    }
  if (rows > 0)
    endPass();
  Work total;
  for (auto &[pass, times] : passes)
    total.add(ofPass(entry, std::get<0>(pass), std::get<1>(pass), std::get<2>(pass)), double(times));
  return total;
}
