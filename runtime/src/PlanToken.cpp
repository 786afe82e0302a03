// What one launch for a whole token relies on, checked once.
#include "PlanToken.h"

#include "token.h"

#include <fmt/format.h>

namespace sm1rt {

static constexpr int64_t widthLimit = 1 << 20, layersLimit = 4096, warpsLimit = 31;

static int64_t upTo(int64_t size, int64_t multiple) { return (size + multiple - 1) / multiple * multiple; }

static std::vector<size_t> readIndexes(const JsonCursor &list, size_t limit, size_t count) {
  std::vector<size_t> indexes;
  size_t size = list.arraySize(limit);
  for (size_t i = 0; i < size && !list.failed(); ++i)
    indexes.push_back(size_t(list[i].integer(0, int64_t(count) - 1)));
  return indexes;
}

static void checkWeight(const JsonCursor &at, const PlanWeight &weight, const TensorType &type, int64_t layers) {
  if (weight.type != type)
    at.fail(fmt::format("weight '{}' is {}, a phase takes {}", weight.name, toString(weight.type), toString(type)));
  else if (weight.count != layers)
    at.fail(fmt::format("weight '{}' has {} layers, a phase takes {}", weight.name, weight.count, layers));
}

static PlanToken::Phase readPhase(const JsonCursor &at, const Plan &plan, const PlanToken &token, int64_t layers) {
  PlanToken::Phase phase;
  phase.width = at["width"].integer(1, widthLimit);
  phase.partition = size_t(at["partition"].integer(0, int64_t(token.partitions.size()) - 1));
  JsonCursor list = at["matrices"];
  phase.matrices = readIndexes(list, 16, plan.weights.size());
  if (!at.failed() && phase.matrices.empty())
    list.fail("a phase without matrices");
  if (!at.failed() && (phase.width + 31) / 32 < token.warps)
    at["width"].fail(fmt::format("{} columns are too few for {} warps", phase.width, token.warps));
  int64_t rows = token.partitions[phase.partition], groups = (phase.width + 31) / 32;
  for (size_t i = 0; i < phase.matrices.size() && !at.failed(); ++i)
    checkWeight(list[i], plan.weights[phase.matrices[i]], {DType::BF16, {(rows + 15) / 16, 2 * groups, 32, 8}}, layers);
  if (at.failed() || token.bits == 16)
    return phase;
  phase.scales = readIndexes(at["scales"], phase.matrices.size(), plan.weights.size());
  if (!at.failed() && phase.scales.size() != phase.matrices.size())
    at["scales"].fail(fmt::format("{} for {} matrices", phase.scales.size(), phase.matrices.size()));
  TensorType scales =
      token.bits == 8 ? TensorType{DType::F32, {1, upTo(rows, 16)}} : TensorType{DType::F16, {rows, upTo(groups, 16)}};
  for (size_t i = 0; i < phase.scales.size() && !at.failed(); ++i)
    checkWeight(at["scales"][i], plan.weights[phase.scales[i]], scales, layers);
  return phase;
}

static void checkTable(const JsonCursor &at, const Plan &plan, const PlanToken &token) {
  const PlanWeight &table = plan.weights[token.table];
  int64_t stride = upTo(token.phases.front().width, 16);
  if (table.count != 0 || table.type.shape.size() != 2 || table.type.shape[1] != stride)
    at.fail(fmt::format("weight '{}' is {}, an embedding has rows of {}", table.name, toString(table.type), stride));
  for (const PlanPort &input : plan.inputs)
    if (input.kind == PlanPort::Kind::Tokens && !at.failed() && input.limit > table.type.shape[0])
      at.fail(fmt::format("weight '{}' has {} rows, there are {} tokens", table.name, table.type.shape[0], input.limit));
}

static bool isChannels(const PlanWeight &weight) {
  const std::vector<int64_t> &shape = weight.type.shape;
  return weight.type.dtype == DType::F32 && (shape.size() == 1 || shape.size() == 2) && shape.back() % 16 == 0;
}

/// One input of tokens and one result, logits as wide as the last phase.
static void checkPorts(const JsonCursor &at, const Plan &plan, const PlanToken &token) {
  size_t tokens = 0, rows = 0;
  int64_t width = 0;
  for (const PlanPort &input : plan.inputs) {
    tokens += input.kind == PlanPort::Kind::Tokens;
    rows += input.kind == PlanPort::Kind::Rows;
  }
  if (tokens != 1 || rows != 0)
    at.fail("a kernel for tokens, but the model reads something else");
  for (const PlanPort &output : plan.outputs)
    if (output.kind == PlanPort::Kind::Rows) {
      ++rows;
      width = output.width;
    }
  if (!at.failed() && (rows != 1 || width != token.partitions[token.phases.back().partition]))
    at.fail("the kernel's logits are not the model's result");
}

PlanToken readPlanToken(const JsonCursor &at, const Plan &plan, const PlanProgram &program) {
  PlanToken token;
  if (program.capability == 0)
    at.fail("only a GPU computes a step in one launch");
  token.layers = at["layers"].integer(1, layersLimit);
  token.warps = at["warps"].integer(1, warpsLimit);
  token.words = at["words"].integer(4, widthLimit);
  if (!at.failed() && token.words % 8 != 0)
    at["words"].fail(fmt::format("{}, vectors have room for multiples of 8 words", token.words));
  token.bits = at["bits"].integer(4, 16);
  if (!at.failed() && token.bits != 4 && token.bits != 8 && token.bits != 16)
    at["bits"].fail(fmt::format("{}, weights have 16, 8 or 4", token.bits));
  token.table = size_t(at["table"].integer(0, int64_t(plan.weights.size()) - 1));
  JsonCursor partitions = at["partitions"], phases = at["phases"], vectors = at["vectors"];
  for (size_t i = 0, count = partitions.arraySize(sm1token::partitionsLimit); i < count && !at.failed(); ++i)
    token.partitions.push_back(partitions[i].integer(1, widthLimit));
  size_t phaseCount = phases.arraySize(sm1token::phasesLimit);
  if (!at.failed() && phaseCount < 2)
    phases.fail("at least one phase of a layer and one for the logits are needed");
  for (size_t i = 0; i < phaseCount && !at.failed(); ++i)
    token.phases.push_back(readPhase(phases[i], plan, token, i + 1 < phaseCount ? token.layers : 0));
  token.vectors = readIndexes(vectors, 256, plan.weights.size());
  token.states = readIndexes(at["states"], sm1token::statesLimit, plan.states.size());
  for (size_t i = 0; i < token.vectors.size() && !at.failed(); ++i)
    if (!isChannels(plan.weights[token.vectors[i]]))
      vectors[i].fail(fmt::format("weight '{}' is {}, no parameter of channels", plan.weights[token.vectors[i]].name,
                                  toString(plan.weights[token.vectors[i]].type)));
  if (!at.failed())
    checkTable(at["table"], plan, token);
  if (!at.failed())
    checkPorts(at, plan, token);
  return token;
}

} // namespace sm1rt
