// sm1-run logits: logits and states of given tokens, in any of the three ways to run a model.
#include "BatchRun.h"
#include "Commands.h"
#include "OpenModel.h"
#include "Progress.h"
#include "States.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <memory>

using namespace sm1rt;

namespace {
struct LogitsOptions {
  CommonOptions common;
  StateOptions state;
  std::string tokens, out, mode = "prefill";
};

/// How the positions are cut into runs.
struct Mode {
  std::string entry;
  int64_t stride; ///< positions of one run; 0: all
};
} // namespace

static Expected<Mode> parseMode(const std::string &text) {
  if (text == "prefill")
    return Mode{"prefill", 0};
  if (text == "step")
    return Mode{"step", 1};
  constexpr std::string_view prefix = "chunked:";
  int64_t size = 0;
  if (text.compare(0, prefix.size(), prefix) == 0) {
    const char *begin = text.data() + prefix.size(), *end = text.data() + text.size();
    auto [last, code] = std::from_chars(begin, end, size);
    if (code == std::errc() && last == end && size > 0)
      return Mode{"prefill", size};
  }
  return Error{fmt::format("--mode={}: must be prefill, step, or chunked:N with N at least 1", text)};
}

/// The file's names are fixed for whole models, whatever the description calls its ports.
static PortNames fixedNames(const Plan &plan) {
  auto stateName = [&](const char *prefix, const PlanPort &port) {
    return fmt::format("{}.{}", prefix, plan.states[port.state].name);
  };
  PortNames names;
  for (const PlanPort &port : plan.inputs)
    names.inputs.push_back(port.kind == PlanPort::Kind::State ? stateName("state_in", port) : "tokens");
  for (const PlanPort &port : plan.outputs)
    names.outputs.push_back(port.kind == PlanPort::Kind::State ? stateName("state_out", port) : "logits");
  return names;
}

static Expected<void> runInPieces(BatchRun &batch, const Mode &mode) {
  int64_t stride = mode.stride ? mode.stride : batch.timeSteps();
  Progress progress("running", batch.timeSteps(), "positions");
  for (int64_t begin = 0; begin < batch.timeSteps(); begin += stride) {
    int64_t end = std::min(begin + stride, batch.timeSteps());
    if (Expected<void> run = batch.run(mode.entry, begin, end); !run)
      return run;
    progress.update(end);
  }
  return {};
}

static Expected<void> logits(const LogitsOptions &options) {
  Expected<Mode> mode = parseMode(options.mode);
  if (!mode)
    return mode.error();
  if (Expected<void> writable = checkWritable(options.out, {options.common.model, options.common.params, options.tokens});
      !writable)
    return writable;
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  const Plan &plan = model->plan();
  if (Expected<TokenModel> ports = tokenModelOf(plan, options.common.model); !ports)
    return ports.error();
  Expected<BatchRun> batch = BatchRun::read(*model, fixedNames(plan), options.tokens);
  if (!batch)
    return batch.error();
  if (plan.wholeSequence && mode->stride != 0 && mode->entry == "prefill" && mode->stride < batch->timeSteps())
    return Error{fmt::format("--mode={}: form {} is defined on whole sequences of {} positions only; use --mode=prefill",
                             options.mode, plan.form, batch->timeSteps())};
  if (!options.state.in.empty())
    if (Expected<void> loaded = batch->loadStates(options.state.in); !loaded)
      return loaded;
  if (Expected<void> run = runInPieces(*batch, *mode); !run)
    return run.error().in(options.tokens);
  Expected<void> written = batch->write(options.out);
  return written && !options.state.out.empty() ? batch->saveStates(options.state.out) : written;
}

Command addLogits(CLI::App &tool) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App *app = tool.add_subcommand("logits", "Logits and states of given tokens");
  addCommonOptions(*app, options->common);
  app->add_option("--tokens", options->tokens, "safetensors file with tokens I32 [batch, time]; optional lengths and states")
      ->required()
      ->type_name("FILE");
  app->add_option("--out", options->out, "safetensors file for logits and states")->required()->type_name("FILE");
  app->add_option("--mode", options->mode, "prefill (all at once), step (one token at a time) or chunked:N (N at a time)")
      ->capture_default_str()
      ->type_name("MODE");
  addStateOptions(*app, options->state);
  app->footer("Reads tokens [batch, time], and where present lengths I32 [batch], state_in.h, state_in.conv.\n"
              "Writes logits F32 [batch, time, vocabulary], zero past a sequence's length, state_out.h and state_out.conv.\n"
              "All modes give the same bits.\n\n"
              "Examples:\n"
              "  sm1-run logits checkpoints/chorales --tokens in.safetensors --out out.safetensors\n"
              "  sm1-run logits model.sm1pkg --tokens in.safetensors --out out.safetensors --mode=chunked:64 --threads=1");
  return {app, [options] { return logits(*options); }};
}
