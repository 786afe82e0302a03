// Counts weights launch by launch. A weight in a layout of matrices is one that every row of the launch is multiplied with.
#include "Work.h"

#include <algorithm>

using namespace sm1rt;

static bool isMatrixLayout(PackingStep::Kind kind) {
  using Kind = PackingStep::Kind;
  return kind == Kind::Panels || kind == Kind::Fragments || kind == Kind::Pairs || kind == Kind::Quads || kind == Kind::Nibbles;
}

/// Elements of a matrix before it was padded; 0 for a weight that is no matrix, such as the scales of one.
static double matrixElements(const Plan &plan, const PlanWeight &weight) {
  std::vector<int64_t> shape = plan.params[weight.param].shape;
  for (const PackingStep &step : weight.steps) {
    if (step.kind == PackingStep::Kind::Rows)
      shape[0] = step.end - step.begin;
    if (step.kind == PackingStep::Kind::Scales)
      return 0;
    if (isMatrixLayout(step.kind))
      return double(elementCount(shape).value_or(0));
  }
  return 0;
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

static Work workOfLaunch(const Plan &plan, const PlanProgram &program, const PlanLaunch &launch, int64_t rows) {
  Work work;
  bool lookUp = readsTokens(plan, program, launch);
  for (const PlanArg &arg : launch.args) {
    if (arg.kind != PlanArg::Kind::Weight)
      continue;
    const PlanWeight &weight = plan.weights[arg.index];
    double bytes = double(byteCount(weight.type).value_or(0));
    if (lookUp && !weight.type.shape.empty() && weight.type.shape[0] > 0)
      bytes = std::min(bytes, bytes / double(weight.type.shape[0]) * double(rows));
    work.weightBytes += bytes;
    work.flops += 2 * matrixElements(plan, weight) * double(rows);
  }
  return work;
}

Work workOf(const Plan &plan, const PlanProgram &program, const std::string &entry, int64_t rows, int64_t selected) {
  Work total;
  auto steps = program.entries.find(entry);
  if (steps == program.entries.end())
    return total;
  for (const PlanStep &step : steps->second)
    for (const PlanLaunch &launch : step.body) {
      Work work = workOfLaunch(plan, program, launch, launch.rows == RowSpace::All ? rows : selected);
      double times = double(std::max<int64_t>(step.layers, 1));
      total.weightBytes += times * work.weightBytes;
      total.flops += times * work.flops;
    }
  return total;
}
