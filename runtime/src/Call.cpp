// The generic call, on top of Model and Sequence.
#include "sm1rt/Call.h"

#include "Guard.h"
#include "sm1rt/Plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace sm1rt {

namespace {

/// The inputs of one call, in plan order, checked against each other.
struct BoundCall {
  std::vector<const InputTensor *> inputs; // per input of the plan; null: a state that starts at zero
  int64_t batch = -1, time = -1;
  std::vector<int64_t> lengths;
};

} // namespace

/// Shape of a port of a call over [batch, time].
static std::vector<int64_t> portShape(const Plan &plan, const PlanPort &port, int64_t batch, int64_t time) {
  if (port.kind == PlanPort::Kind::Tokens)
    return {batch, time};
  if (port.kind == PlanPort::Kind::Rows)
    return {batch, time, port.width};
  std::vector<int64_t> shape = plan.states[port.state].denseShape();
  shape.insert(shape.begin(), batch);
  return shape;
}

static Expected<void> checkInput(const Plan &plan, const PlanPort &port, const InputTensor &tensor, const BoundCall &bound) {
  TensorType wanted{port.kind == PlanPort::Kind::Tokens ? DType::I32 : DType::F32, portShape(plan, port, bound.batch, bound.time)};
  if (tensor.type == wanted && (tensor.data || elementCount(wanted.shape) == uint64_t(0)))
    return {};
  return Error{fmt::format("input '{}' is {}, the call needs {}", port.name, toString(tensor.type), toString(wanted))};
}

/// Batch and time from the first input that has both.
static Expected<void> findExtent(const Plan &plan, BoundCall &bound) {
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    if (plan.inputs[i].kind == PlanPort::Kind::State)
      continue;
    const std::vector<int64_t> &shape = bound.inputs[i]->type.shape;
    if (shape.size() < 2 || shape[0] < 1 || shape[1] < 1)
      return Error{fmt::format("input '{}' has shape {}, expected [batch, time, ...] of at least 1 each", plan.inputs[i].name,
                               toString(shape))};
    bound.batch = shape[0];
    bound.time = shape[1];
    return {};
  }
  return {};
}

static Expected<void> bindLengths(BoundCall &bound, const std::vector<int64_t> &lengths) {
  bound.lengths = lengths.empty() ? std::vector<int64_t>(size_t(bound.batch), bound.time) : lengths;
  if (int64_t(bound.lengths.size()) != bound.batch)
    return Error{fmt::format("{} lengths for a batch of {}", bound.lengths.size(), bound.batch)};
  for (size_t i = 0; i < bound.lengths.size(); ++i)
    if (bound.lengths[i] < 1 || bound.lengths[i] > bound.time)
      return Error{fmt::format("length {} of sequence {} is outside 1 to {}", bound.lengths[i], i, bound.time)};
  return {};
}

static Expected<BoundCall> bindCall(const Plan &plan, const std::vector<InputTensor> &inputs, const std::vector<int64_t> &lengths) {
  BoundCall bound;
  size_t used = 0;
  for (const PlanPort &port : plan.inputs) {
    auto found = std::find_if(inputs.begin(), inputs.end(), [&](const InputTensor &tensor) { return tensor.name == port.name; });
    bool given = found != inputs.end();
    if (!given && port.kind != PlanPort::Kind::State)
      return Error{fmt::format("input '{}' is missing{}", port.name,
                               inputs.empty() ? "" : fmt::format("; the first that is given is '{}'", inputs.front().name))};
    bound.inputs.push_back(given ? &*found : nullptr);
    used += given;
  }
  for (const InputTensor &tensor : inputs)
    if (used != inputs.size() && std::find(bound.inputs.begin(), bound.inputs.end(), &tensor) == bound.inputs.end())
      return Error{fmt::format("input '{}' is given twice or is none of the model's", tensor.name)};
  if (auto found = findExtent(plan, bound); !found)
    return found.error();
  for (size_t i = 0; i < plan.inputs.size(); ++i)
    if (bound.inputs[i])
      if (auto fits = checkInput(plan, plan.inputs[i], *bound.inputs[i], bound); !fits)
        return fits.error();
  if (auto valid = bindLengths(bound, lengths); !valid)
    return valid.error();
  return bound;
}

/// Sequences at the states that the call gives.
static Expected<std::vector<Sequence>> makeSequences(const Model &model, const BoundCall &bound) {
  const Plan &plan = model.plan();
  std::vector<Sequence> sequences;
  for (int64_t b = 0; b < bound.batch; ++b)
    sequences.push_back(model.newSequence());
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    if (plan.inputs[i].kind != PlanPort::Kind::State || !bound.inputs[i])
      continue;
    std::vector<float> values(*elementCount(plan.states[plan.inputs[i].state].denseShape()));
    for (size_t b = 0; b < sequences.size(); ++b) {
      std::memcpy(values.data(), static_cast<const uint8_t *>(bound.inputs[i]->data) + b * values.size() * 4, values.size() * 4);
      if (auto written = sequences[b].write(plan.inputs[i].state, values); !written)
        return written.error().in(fmt::format("sequence {}", b));
    }
  }
  return sequences;
}

/// The pieces point into aligned copies of the inputs, which `copies` keeps.
static std::vector<Piece> makePieces(const Plan &plan, const BoundCall &bound, std::vector<Sequence> &sequences,
                                     std::vector<std::vector<uint32_t>> &copies) {
  std::vector<Piece> pieces(sequences.size());
  for (size_t b = 0; b < pieces.size(); ++b) {
    pieces[b].sequence = &sequences[b];
    pieces[b].count = bound.lengths[b];
    pieces[b].selected.resize(size_t(bound.lengths[b]));
    std::iota(pieces[b].selected.begin(), pieces[b].selected.end(), int64_t(0));
  }
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const PlanPort &port = plan.inputs[i];
    if (port.kind == PlanPort::Kind::State)
      continue;
    size_t perSequence = size_t(bound.time * (port.kind == PlanPort::Kind::Tokens ? 1 : port.width));
    copies.emplace_back(perSequence * pieces.size());
    std::memcpy(copies.back().data(), bound.inputs[i]->data, copies.back().size() * 4);
    for (size_t b = 0; b < pieces.size(); ++b) {
      const uint32_t *data = copies.back().data() + b * perSequence;
      if (port.kind == PlanPort::Kind::Tokens)
        pieces[b].tokens = reinterpret_cast<const int32_t *>(data);
      else
        pieces[b].rows.push_back(reinterpret_cast<const float *>(data));
    }
  }
  return pieces;
}

/// Ragged rows spread over [batch, time, width].
static void spreadRows(const BoundCall &bound, const std::vector<float> &rows, int64_t width, std::vector<float> &values) {
  const float *from = rows.data();
  for (size_t b = 0; b < bound.lengths.size(); ++b) {
    std::copy(from, from + bound.lengths[b] * width, values.data() + int64_t(b) * bound.time * width);
    from += bound.lengths[b] * width;
  }
}

static std::vector<OutputTensor> makeOutputTensors(const Plan &plan, const BoundCall &bound, const Outputs &outputs,
                                                   const std::vector<Sequence> &sequences) {
  std::vector<OutputTensor> tensors;
  size_t next = 0;
  for (const PlanPort &port : plan.outputs) {
    OutputTensor tensor{port.name, portShape(plan, port, bound.batch, bound.time), {}};
    if (port.kind == PlanPort::Kind::Rows) {
      tensor.values.resize(size_t(bound.batch * bound.time * port.width));
      spreadRows(bound, outputs[next++], port.width, tensor.values);
    } else {
      for (const Sequence &sequence : sequences) {
        std::vector<float> state = sequence.read(port.state);
        tensor.values.insert(tensor.values.end(), state.begin(), state.end());
      }
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

static Expected<std::vector<OutputTensor>> callBound(Model &model, std::string_view entry, const BoundCall &bound) {
  auto sequences = makeSequences(model, bound);
  if (!sequences)
    return sequences.error();
  std::vector<std::vector<uint32_t>> copies;
  auto outputs = model.run(entry, makePieces(model.plan(), bound, *sequences, copies));
  if (!outputs)
    return outputs.error();
  return makeOutputTensors(model.plan(), bound, *outputs, *sequences);
}

Expected<std::vector<OutputTensor>> call(Model &model, std::string_view entry, const std::vector<InputTensor> &inputs,
                                         const std::vector<int64_t> &lengths) {
  return guarded([&]() -> Expected<std::vector<OutputTensor>> {
    auto bound = bindCall(model.plan(), inputs, lengths);
    if (!bound)
      return bound.error();
    return callBound(model, entry, *bound);
  });
}

} // namespace sm1rt
