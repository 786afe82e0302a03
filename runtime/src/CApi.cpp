// The C API: models, sequences, states as files.
#include "CApi.h"

#include <algorithm>
#include <mutex>

using namespace sm1rt::capi;

std::string &sm1rt::capi::lastError() {
  static thread_local std::string text;
  return text;
}

extern "C" {

uint32_t sm1rt_abi_version(void) { return SM1RT_ABI_VERSION; }

int sm1rt_check_abi(uint32_t compiled) {
  if (compiled == SM1RT_ABI_VERSION)
    return 0;
  return refuse("sm1rt.h: the program was compiled for version " + std::to_string(compiled) +
                " of the interface, the library has " + std::to_string(SM1RT_ABI_VERSION) +
                "; compile it with the headers that were installed with the library");
}

const char *sm1rt_last_error(void) { return lastError().c_str(); }

//===-- Models --------------------------------------------------------------------------------------------------------------===//

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

static std::vector<const sm1rt::PlanPort *> rowPorts(const std::vector<sm1rt::PlanPort> &ports) {
  std::vector<const sm1rt::PlanPort *> rows;
  for (const sm1rt::PlanPort &port : ports)
    if (port.kind == sm1rt::PlanPort::Kind::Rows)
      rows.push_back(&port);
  return rows;
}

sm1rt_model *sm1rt_open_abi(uint32_t compiled, const char *package, const sm1rt_options *options) {
  return guardedCall<sm1rt_model *>(nullptr, {{package, "package"}}, [&]() -> sm1rt_model * {
    if (sm1rt_check_abi(compiled) != 0)
      return nullptr;
    sm1rt_options defaults;
    sm1rt_options_init(&defaults);
    if (options && options->size != sizeof(sm1rt_options))
      return fail("options: size is " + std::to_string(options->size) + ", this release has " +
                  std::to_string(sizeof(sm1rt_options)) + "; start with sm1rt_options_init");
    auto model = sm1rt::Model::open(package, openOptions(options ? *options : defaults));
    if (!model)
      return fail(model.error().message);
    auto *handle = new sm1rt_model{std::move(*model), {}, {}, {}, {}, {}};
    const sm1rt::Plan &plan = handle->model.plan();
    handle->deviceName = handle->model.deviceName();
    handle->inputs = rowPorts(plan.inputs);
    handle->outputs = rowPorts(plan.outputs);
    for (const sm1rt::PlanState &state : plan.states)
      handle->stateShapes.push_back(state.denseShape());
    return handle;
  });
}

void sm1rt_model_free(sm1rt_model *model) { delete model; }

const char *sm1rt_device_name(const sm1rt_model *model) {
  return guardedCall<const char *>(nullptr, {{model, "model"}}, [&] { return model->deviceName.c_str(); });
}

const char *sm1rt_fingerprint(sm1rt_model *model) {
  return guardedCall<const char *>(nullptr, {{model, "model"}}, [&]() -> const char * {
    auto fingerprint = model->model.fingerprint();
    if (!fingerprint)
      return fail(fingerprint.error().message);
    // Always the same text, so a pointer that was handed out stays good; two threads may ask at once.
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    if (model->fingerprint.empty())
      model->fingerprint = *fingerprint;
    return model->fingerprint.c_str();
  });
}

int64_t sm1rt_token_limit(const sm1rt_model *model) {
  return guardedCall<int64_t>(0, {{model, "model"}}, [&]() -> int64_t {
    for (const sm1rt::PlanPort &port : model->model.plan().inputs)
      if (port.kind == sm1rt::PlanPort::Kind::Tokens)
        return port.limit;
    return 0;
  });
}

using Ports = std::vector<const sm1rt::PlanPort *>;

static size_t portCount(const sm1rt_model *model, Ports sm1rt_model::*ports) {
  return guardedCall<size_t>(0, {{model, "model"}}, [&] { return (model->*ports).size(); });
}

static const char *portName(const sm1rt_model *model, Ports sm1rt_model::*ports, size_t port) {
  return guardedCall<const char *>(nullptr, {{model, "model"}},
                                   [&] { return port < (model->*ports).size() ? (model->*ports)[port]->name.c_str() : nullptr; });
}

static int64_t portWidth(const sm1rt_model *model, Ports sm1rt_model::*ports, size_t port) {
  return guardedCall<int64_t>(0, {{model, "model"}},
                              [&] { return port < (model->*ports).size() ? (model->*ports)[port]->width : 0; });
}

size_t sm1rt_input_count(const sm1rt_model *model) { return portCount(model, &sm1rt_model::inputs); }
const char *sm1rt_input_name(const sm1rt_model *model, size_t input) { return portName(model, &sm1rt_model::inputs, input); }
int64_t sm1rt_input_width(const sm1rt_model *model, size_t input) { return portWidth(model, &sm1rt_model::inputs, input); }
size_t sm1rt_output_count(const sm1rt_model *model) { return portCount(model, &sm1rt_model::outputs); }
const char *sm1rt_output_name(const sm1rt_model *model, size_t output) { return portName(model, &sm1rt_model::outputs, output); }
int64_t sm1rt_output_width(const sm1rt_model *model, size_t output) { return portWidth(model, &sm1rt_model::outputs, output); }

size_t sm1rt_state_count(const sm1rt_model *model) {
  return guardedCall<size_t>(0, {{model, "model"}}, [&] { return model->stateShapes.size(); });
}

int sm1rt_state(const sm1rt_model *model, size_t state, sm1rt_tensor *tensor) {
  return guardedCall(-1, {{model, "model"}, {tensor, "tensor"}}, [&] {
    if (state >= model->stateShapes.size())
      return refuse("state " + std::to_string(state) + " does not exist, the model has " +
                    std::to_string(model->stateShapes.size()));
    const std::vector<int64_t> &shape = model->stateShapes[state];
    *tensor = {model->model.plan().states[state].name.c_str(), SM1RT_F32, shape.size(), shape.data(), nullptr};
    return 0;
  });
}

//===-- Sequences -----------------------------------------------------------------------------------------------------------===//

sm1rt_sequence *sm1rt_sequence_new(sm1rt_model *model) {
  return guardedCall<sm1rt_sequence *>(nullptr, {{model, "model"}}, [&] {
    return new sm1rt_sequence{model->model.newSequence(), {}};
  });
}

sm1rt_sequence *sm1rt_sequence_fork(const sm1rt_sequence *sequence) {
  return guardedCall<sm1rt_sequence *>(nullptr, {{sequence, "sequence"}}, [&] {
    return new sm1rt_sequence{sequence->sequence.fork(), {}};
  });
}

void sm1rt_sequence_free(sm1rt_sequence *sequence) { delete sequence; }

int sm1rt_sequence_reset(sm1rt_sequence *sequence) {
  return guardedCall(-1, {{sequence, "sequence"}}, [&] {
    sequence->sequence.reset();
    return 0;
  });
}

int64_t sm1rt_sequence_position(const sm1rt_sequence *sequence) {
  return guardedCall<int64_t>(-1, {{sequence, "sequence"}}, [&] { return sequence->sequence.position(); });
}

int sm1rt_sequence_read(const sm1rt_sequence *sequence, size_t state, float *values, size_t count) {
  return guardedCall(-1, {{sequence, "sequence"}, {values, "values"}}, [&] {
    std::vector<float> dense = sequence->sequence.read(state);
    if (dense.size() != count || dense.empty())
      return refuse("state " + std::to_string(state) + ": room for " + std::to_string(count) + " values, it has " +
                    std::to_string(dense.size()));
    std::copy(dense.begin(), dense.end(), values);
    return 0;
  });
}

int sm1rt_sequence_write(sm1rt_sequence *sequence, size_t state, const float *values, size_t count) {
  return guardedCall(-1, {{sequence, "sequence"}, {values, "values"}}, [&] {
    return report(sequence->sequence.write(state, {values, values + count}));
  });
}

//===-- States as files -----------------------------------------------------------------------------------------------------===//

int sm1rt_sequence_save(const sm1rt_sequence *sequence, const char *path) {
  return guardedCall(-1, {{sequence, "sequence"}, {path, "path"}}, [&] { return report(sequence->sequence.save(path)); });
}

int sm1rt_sequence_save_conversation(const sm1rt_sequence *sequence, const char *path, const sm1rt_conversation *conversation) {
  return guardedCall(-1, {{sequence, "sequence"}, {path, "path"}, {conversation, "conversation"}}, [&] {
    if (conversation->size != sizeof(sm1rt_conversation))
      return refuse("conversation: size is " + std::to_string(conversation->size) + ", this release has " +
                    std::to_string(sizeof(sm1rt_conversation)) + "; set it to sizeof");
    const int32_t *tokens = conversation->tokens;
    if (!tokens && conversation->token_count > 0)
      return refuse("conversation: tokens are null, " + std::to_string(conversation->token_count) + " were promised");
    return report(
        sequence->sequence.save(path, {{tokens, tokens + conversation->token_count}, conversation->seed, conversation->sequence}));
  });
}

int sm1rt_sequence_load(sm1rt_sequence *sequence, const char *path) {
  return guardedCall(-1, {{sequence, "sequence"}, {path, "path"}}, [&] { return report(sequence->sequence.load(path)); });
}

int sm1rt_sequence_load_conversation(sm1rt_sequence *sequence, const char *path, sm1rt_conversation *conversation) {
  return guardedCall(-1, {{sequence, "sequence"}, {path, "path"}, {conversation, "conversation"}}, [&] {
    auto loaded = sequence->sequence.load(path);
    if (!loaded)
      return report(loaded);
    sequence->loaded = std::move(*loaded);
    const sm1rt::Conversation &kept = sequence->loaded;
    *conversation = {sizeof(sm1rt_conversation), kept.tokens.data(), kept.tokens.size(), kept.seed, kept.sequence};
    return 0;
  });
}

static sm1rt::Expected<sm1rt::StateComparison> compareFiles(const char *a, const char *b) {
  auto left = sm1rt::StateFile::open(a), right = sm1rt::StateFile::open(b);
  if (!left || !right)
    return !left ? left.error() : right.error();
  return sm1rt::compareStates(*left, *right);
}

int sm1rt_state_compare(const char *a, const char *b, sm1rt_state_comparison *comparison) {
  return guardedCall(-1, {{a, "a"}, {b, "b"}, {comparison, "comparison"}}, [&] {
    if (comparison->size != sizeof(sm1rt_state_comparison))
      return refuse("comparison: size is " + std::to_string(comparison->size) + ", this release has " +
                    std::to_string(sizeof(sm1rt_state_comparison)) + "; set it to sizeof");
    auto compared = compareFiles(a, b);
    if (!compared)
      return report(compared);
    *comparison = {sizeof(sm1rt_state_comparison), compared->identical(), compared->sameModel, compared->commonTokens, 0};
    for (const sm1rt::StateDistance &state : compared->states)
      comparison->largest_distance = std::max(comparison->largest_distance, state.relative);
    return 0;
  });
}

} // extern "C"
