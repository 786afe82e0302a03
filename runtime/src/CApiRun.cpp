// The C API: runs, calls and their results.
#include "CApi.h"

#include <numeric>

using namespace sm1rt::capi;
using Kind = sm1rt::PlanPort::Kind;

/// The outputs of a run, named and shaped.
static sm1rt_result *makeResult(const sm1rt_model &model, sm1rt::Outputs outputs) {
  auto *result = new sm1rt_result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const sm1rt::PlanPort &port = *model.outputs[i];
    int64_t rows = int64_t(outputs[i].size()) / port.width;
    result->tensors.push_back({port.name, {rows, port.width}, std::move(outputs[i])});
  }
  return result;
}

/// A count that was negative before it became a size_t is far beyond this.
constexpr size_t maxSequences = size_t(1) << 24;

/// Pieces without their inputs; `total` becomes their rows.
static sm1rt::Expected<std::vector<sm1rt::Piece>> makePieces(sm1rt_sequence *const *sequences, size_t sequenceCount,
                                                             const int64_t *counts, bool everyRow, int64_t &total) {
  if (sequenceCount > maxSequences)
    return sm1rt::Error{std::to_string(sequenceCount) + " sequences, a run has at most " + std::to_string(maxSequences)};
  std::vector<sm1rt::Piece> pieces(sequenceCount);
  total = 0;
  for (size_t i = 0; i < sequenceCount; ++i) {
    sm1rt::Piece &piece = pieces[i];
    piece.sequence = sequences[i] ? &sequences[i]->sequence : nullptr;
    piece.count = counts ? counts[i] : 1;
    if (piece.count < 1 || piece.count > INT64_MAX - total)
      return sm1rt::Error{"sequence " + std::to_string(i) + ": " + std::to_string(piece.count) +
                          " tokens or rows, at least 1 is needed"};
    total += piece.count;
    piece.selected.assign(everyRow ? size_t(piece.count) : 1, piece.count - 1);
    if (everyRow)
      std::iota(piece.selected.begin(), piece.selected.end(), int64_t(0));
  }
  return pieces;
}

static sm1rt_result *runPieces(sm1rt_model *model, const char *entry, const std::vector<sm1rt::Piece> &pieces) {
  auto outputs = model->model.run(entry, pieces);
  return outputs ? makeResult(*model, std::move(*outputs)) : fail(outputs.error().message);
}

static sm1rt_result *runTokens(sm1rt_model *model, const char *entry, sm1rt_sequence *const *sequences, size_t sequenceCount,
                               const int32_t *tokens, const int64_t *counts, bool everyRow) {
  return guardedCall<sm1rt_result *>(nullptr, {{model, "model"}, {sequences, "sequences"}}, [&]() -> sm1rt_result * {
    int64_t total = 0;
    auto pieces = makePieces(sequences, sequenceCount, counts, everyRow, total);
    if (!pieces)
      return fail(pieces.error().message);
    for (sm1rt::Piece &piece : *pieces) {
      piece.tokens = tokens;
      tokens += tokens ? piece.count : 0;
    }
    return runPieces(model, entry, *pieces);
  });
}

static sm1rt::Expected<void> checkTensors(const sm1rt_tensor *inputs, size_t inputCount) {
  if (!inputs && inputCount > 0)
    return sm1rt::Error{"inputs: null, " + std::to_string(inputCount) + " were promised"};
  for (size_t i = 0; i < inputCount; ++i)
    if (!inputs[i].name || (!inputs[i].shape && inputs[i].rank > 0))
      return sm1rt::Error{"input " + std::to_string(i) + ": its " + (inputs[i].name ? "shape" : "name") + " is null"};
  return {};
}

static sm1rt::TensorType typeOf(const sm1rt_tensor &tensor) {
  return {tensor.dtype == SM1RT_I32 ? sm1rt::DType::I32 : sm1rt::DType::F32, {tensor.shape, tensor.shape + tensor.rank}};
}

/// Gives every piece its part of one input.
static sm1rt::Expected<void> spreadInput(const sm1rt::PlanPort &port, const sm1rt_tensor &tensor, int64_t total,
                                         std::vector<sm1rt::Piece> &pieces) {
  bool tokens = port.kind == Kind::Tokens;
  sm1rt::TensorType wanted =
      tokens ? sm1rt::TensorType{sm1rt::DType::I32, {total}} : sm1rt::TensorType{sm1rt::DType::F32, {total, port.width}};
  if (typeOf(tensor) != wanted || !tensor.data)
    return sm1rt::Error{"input '" + port.name + "' is " + (tensor.data ? toString(typeOf(tensor)) : "null") + ", the run needs " +
                        toString(wanted)};
  int64_t row = 0;
  for (sm1rt::Piece &piece : pieces) {
    if (tokens)
      piece.tokens = static_cast<const int32_t *>(tensor.data) + row;
    else
      piece.rows.push_back(static_cast<const float *>(tensor.data) + row * port.width);
    row += piece.count;
  }
  return {};
}

static sm1rt::Expected<void> spreadInputs(const sm1rt::Plan &plan, const sm1rt_tensor *inputs, size_t inputCount, int64_t total,
                                          std::vector<sm1rt::Piece> &pieces) {
  size_t used = 0;
  for (const sm1rt::PlanPort &port : plan.inputs) {
    if (port.kind == Kind::State)
      continue;
    const sm1rt_tensor *found = nullptr;
    for (size_t i = 0; i < inputCount && !found; ++i)
      found = port.name == inputs[i].name ? &inputs[i] : nullptr;
    if (!found)
      return sm1rt::Error{"input '" + port.name + "' is missing" +
                          (inputCount > 0 ? std::string("; the first that is given is '") + inputs[0].name + "'" : "")};
    if (auto spread = spreadInput(port, *found, total, pieces); !spread)
      return spread;
    ++used;
  }
  if (used != inputCount)
    return sm1rt::Error{std::to_string(inputCount) + " inputs given, the run needs " + std::to_string(used) +
                        "; states are those of the sequences"};
  return {};
}

extern "C" {

//===-- Runs ----------------------------------------------------------------------------------------------------------------===//

sm1rt_result *sm1rt_prefill(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens,
                            const int64_t *counts, int every_row) {
  return guardedCall<sm1rt_result *>(nullptr, {{counts, "counts"}}, [&] {
    return runTokens(model, "prefill", sequences, sequence_count, tokens, counts, every_row != 0);
  });
}

sm1rt_result *sm1rt_step(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens) {
  return runTokens(model, "step", sequences, sequence_count, tokens, nullptr, false);
}

sm1rt_result *sm1rt_run(sm1rt_model *model, const char *entry, sm1rt_sequence *const *sequences, size_t sequence_count,
                        const sm1rt_tensor *inputs, size_t input_count, const int64_t *counts, int every_row) {
  auto body = [&]() -> sm1rt_result * {
    if (auto checked = checkTensors(inputs, input_count); !checked)
      return fail(checked.error().message);
    int64_t total = 0;
    auto pieces = makePieces(sequences, sequence_count, counts, every_row != 0, total);
    if (!pieces)
      return fail(pieces.error().message);
    if (auto spread = spreadInputs(model->model.plan(), inputs, input_count, total, *pieces); !spread)
      return fail(spread.error().message);
    return runPieces(model, entry, *pieces);
  };
  return guardedCall<sm1rt_result *>(nullptr, {{model, "model"}, {entry, "entry"}, {sequences, "sequences"}}, body);
}

sm1rt_result *sm1rt_call(sm1rt_model *model, const char *entry, const sm1rt_tensor *inputs, size_t input_count,
                         const int64_t *lengths, size_t length_count) {
  return guardedCall<sm1rt_result *>(nullptr, {{model, "model"}, {entry, "entry"}}, [&]() -> sm1rt_result * {
    if (auto checked = checkTensors(inputs, input_count); !checked)
      return fail(checked.error().message);
    std::vector<sm1rt::InputTensor> tensors;
    for (size_t i = 0; i < input_count; ++i)
      tensors.push_back({inputs[i].name, typeOf(inputs[i]), inputs[i].data});
    std::vector<int64_t> given;
    if (lengths)
      given.assign(lengths, lengths + length_count);
    auto outputs = sm1rt::call(model->model, entry, tensors, given);
    return outputs ? new sm1rt_result{std::move(*outputs)} : fail(outputs.error().message);
  });
}

//===-- Results -------------------------------------------------------------------------------------------------------------===//

size_t sm1rt_result_count(const sm1rt_result *result) {
  return guardedCall<size_t>(0, {{result, "result"}}, [&] { return result->tensors.size(); });
}

int sm1rt_result_tensor(const sm1rt_result *result, size_t index, sm1rt_tensor *tensor) {
  return guardedCall(-1, {{result, "result"}, {tensor, "tensor"}}, [&] {
    if (index >= result->tensors.size())
      return refuse("result: tensor " + std::to_string(index) + " does not exist, there are " +
                    std::to_string(result->tensors.size()));
    const sm1rt::OutputTensor &output = result->tensors[index];
    *tensor = {output.name.c_str(), SM1RT_F32, output.shape.size(), output.shape.data(), output.values.data()};
    return 0;
  });
}

const float *sm1rt_result_values(const sm1rt_result *result) {
  return guardedCall<const float *>(nullptr, {{result, "result"}},
                                    [&] { return result->tensors.empty() ? nullptr : result->tensors[0].values.data(); });
}

void sm1rt_result_free(sm1rt_result *result) { delete result; }

} // extern "C"
