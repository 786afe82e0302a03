// The C API: handles around the C++ classes, errors as text, nothing thrown across.
#include "sm1rt/sm1rt.h"

#include "sm1rt/Call.h"
#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <cstddef>
#include <exception>
#include <numeric>
#include <string>
#include <vector>

struct sm1rt_model {
  sm1rt::Model model;
  std::string deviceName;
  std::vector<const sm1rt::PlanPort *> outputs; // those with rows
};

struct sm1rt_sequence {
  sm1rt::Sequence sequence;
};

struct sm1rt_result {
  std::vector<sm1rt::OutputTensor> tensors;
};

static std::string &lastError() {
  static thread_local std::string text;
  return text;
}

/// Runs `body`, which returns a T; its exceptions become `failure` with a text.
template <typename T, typename Body> static T guardedCall(T failure, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    lastError() = "memory: the machine has no more to give";
  } catch (const std::exception &error) {
    lastError() = error.what();
  }
  return failure;
}

static int report(const sm1rt::Expected<void> &done) {
  if (!done)
    lastError() = done.error().message;
  return done ? 0 : -1;
}

static std::nullptr_t fail(const std::string &message) {
  lastError() = message;
  return nullptr;
}

extern "C" {

uint32_t sm1rt_abi_version(void) { return SM1RT_ABI_VERSION; }

const char *sm1rt_last_error(void) { return lastError().c_str(); }

//===-- Models --------------------------------------------------------------------------------------------------------------===//

void sm1rt_options_init(sm1rt_options *options) {
  *options = sm1rt_options{};
  options->size = sizeof(sm1rt_options);
}

static sm1rt::OpenOptions openOptions(const sm1rt_options &options) {
  sm1rt::OpenOptions result;
  result.params = options.params ? options.params : "";
  result.device = options.device ? options.device : "auto";
  result.isa = options.isa ? options.isa : "";
  result.threads = options.threads;
  if (options.rows_per_pass != 0)
    result.rowsPerPass = options.rows_per_pass;
  if (options.trace)
    result.trace = [trace = options.trace, user = options.trace_user](std::string_view line) {
      trace(user, std::string(line).c_str());
    };
  return result;
}

sm1rt_model *sm1rt_open(const char *package, const sm1rt_options *options) {
  return guardedCall<sm1rt_model *>(nullptr, [&]() -> sm1rt_model * {
    sm1rt_options defaults;
    sm1rt_options_init(&defaults);
    if (!package)
      return fail("package: the path is null");
    if (options && options->size != sizeof(sm1rt_options))
      return fail("options: size is not that of this release; start with sm1rt_options_init");
    auto model = sm1rt::Model::open(package, openOptions(options ? *options : defaults));
    if (!model)
      return fail(model.error().message);
    auto *handle = new sm1rt_model{std::move(*model), {}, {}};
    handle->deviceName = handle->model.deviceName();
    for (const sm1rt::PlanPort &port : handle->model.plan().outputs)
      if (port.kind == sm1rt::PlanPort::Kind::Rows)
        handle->outputs.push_back(&port);
    return handle;
  });
}

sm1rt_model *sm1rt_open_with_params(const char *package, const char *params) {
  sm1rt_options options;
  sm1rt_options_init(&options);
  options.params = params;
  return sm1rt_open(package, &options);
}

void sm1rt_model_free(sm1rt_model *model) { delete model; }

const char *sm1rt_device_name(const sm1rt_model *model) { return model->deviceName.c_str(); }

int64_t sm1rt_token_limit(const sm1rt_model *model) {
  for (const sm1rt::PlanPort &port : model->model.plan().inputs)
    if (port.kind == sm1rt::PlanPort::Kind::Tokens)
      return port.limit;
  return 0;
}

size_t sm1rt_output_count(const sm1rt_model *model) { return model->outputs.size(); }

const char *sm1rt_output_name(const sm1rt_model *model, size_t output) {
  return output < model->outputs.size() ? model->outputs[output]->name.c_str() : nullptr;
}

int64_t sm1rt_output_width(const sm1rt_model *model, size_t output) {
  return output < model->outputs.size() ? model->outputs[output]->width : 0;
}

//===-- Sequences -----------------------------------------------------------------------------------------------------------===//

sm1rt_sequence *sm1rt_sequence_new(sm1rt_model *model) {
  return guardedCall<sm1rt_sequence *>(nullptr, [&] { return new sm1rt_sequence{model->model.newSequence()}; });
}

sm1rt_sequence *sm1rt_sequence_fork(const sm1rt_sequence *sequence) {
  return guardedCall<sm1rt_sequence *>(nullptr, [&] { return new sm1rt_sequence{sequence->sequence.fork()}; });
}

void sm1rt_sequence_free(sm1rt_sequence *sequence) { delete sequence; }

int sm1rt_sequence_reset(sm1rt_sequence *sequence) {
  return guardedCall(-1, [&] {
    sequence->sequence.reset();
    return 0;
  });
}

int64_t sm1rt_sequence_position(const sm1rt_sequence *sequence) { return sequence->sequence.position(); }

int sm1rt_sequence_save(const sm1rt_sequence *sequence, const char *path) {
  return guardedCall(-1, [&] { return report(sequence->sequence.save(path)); });
}

int sm1rt_sequence_load(sm1rt_sequence *sequence, const char *path) {
  return guardedCall(-1, [&] { return report(sequence->sequence.load(path)); });
}

//===-- Runs ----------------------------------------------------------------------------------------------------------------===//

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

static sm1rt_result *runTokens(sm1rt_model *model, const char *entry, sm1rt_sequence *const *sequences, size_t sequenceCount,
                               const int32_t *tokens, const int64_t *counts, bool everyRow) {
  return guardedCall<sm1rt_result *>(nullptr, [&]() -> sm1rt_result * {
    std::vector<sm1rt::Piece> pieces(sequenceCount);
    for (size_t i = 0; i < sequenceCount; ++i) {
      pieces[i].sequence = sequences[i] ? &sequences[i]->sequence : nullptr;
      pieces[i].tokens = tokens;
      pieces[i].count = counts ? counts[i] : 1;
      if (pieces[i].count < 1)
        return fail("sequence " + std::to_string(i) + ": " + std::to_string(pieces[i].count) + " tokens, at least 1 is needed");
      pieces[i].selected.assign(everyRow ? size_t(pieces[i].count) : 1, pieces[i].count - 1);
      if (everyRow)
        std::iota(pieces[i].selected.begin(), pieces[i].selected.end(), int64_t(0));
      tokens += pieces[i].count;
    }
    auto outputs = model->model.run(entry, pieces);
    return outputs ? makeResult(*model, std::move(*outputs)) : fail(outputs.error().message);
  });
}

sm1rt_result *sm1rt_prefill(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens,
                            const int64_t *counts, int every_row) {
  if (!counts)
    return fail("prefill: counts is null");
  return runTokens(model, "prefill", sequences, sequence_count, tokens, counts, every_row != 0);
}

sm1rt_result *sm1rt_step(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens) {
  return runTokens(model, "step", sequences, sequence_count, tokens, nullptr, false);
}

sm1rt_result *sm1rt_call(sm1rt_model *model, const char *entry, const sm1rt_tensor *inputs, size_t input_count,
                         const int64_t *lengths, size_t length_count) {
  return guardedCall<sm1rt_result *>(nullptr, [&]() -> sm1rt_result * {
    std::vector<sm1rt::InputTensor> tensors;
    for (size_t i = 0; i < input_count; ++i) {
      const sm1rt_tensor &input = inputs[i];
      sm1rt::DType dtype = input.dtype == SM1RT_I32 ? sm1rt::DType::I32 : sm1rt::DType::F32;
      tensors.push_back({input.name, {dtype, {input.shape, input.shape + input.rank}}, input.data});
    }
    std::vector<int64_t> given;
    if (lengths)
      given.assign(lengths, lengths + length_count);
    auto outputs = sm1rt::call(model->model, entry, tensors, given);
    return outputs ? new sm1rt_result{std::move(*outputs)} : fail(outputs.error().message);
  });
}

//===-- Results -------------------------------------------------------------------------------------------------------------===//

size_t sm1rt_result_count(const sm1rt_result *result) { return result->tensors.size(); }

int sm1rt_result_tensor(const sm1rt_result *result, size_t index, sm1rt_tensor *tensor) {
  if (index >= result->tensors.size())
    return fail("result: tensor " + std::to_string(index) + " does not exist, there are " + std::to_string(result->tensors.size())),
           -1;
  const sm1rt::OutputTensor &output = result->tensors[index];
  *tensor = {output.name.c_str(), SM1RT_F32, output.shape.size(), output.shape.data(), output.values.data()};
  return 0;
}

const float *sm1rt_result_values(const sm1rt_result *result) {
  return result->tensors.empty() ? nullptr : result->tensors[0].values.data();
}

void sm1rt_result_free(sm1rt_result *result) { delete result; }

} // extern "C"
