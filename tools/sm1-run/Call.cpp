// sm1-run call: any entry of any package, tensors in and tensors out, under the names that the description gave its ports.
#include "BatchRun.h"
#include "Commands.h"
#include "OpenModel.h"

#include <CLI/CLI.hpp>

#include <memory>

using namespace sm1rt;

namespace {
struct CallOptions {
  CommonOptions common;
  std::string entry = "prefill", in, out;
};
} // namespace

static PortNames namesOf(const Plan &plan) {
  PortNames names;
  for (const PlanPort &port : plan.inputs)
    names.inputs.push_back(port.name);
  for (const PlanPort &port : plan.outputs)
    names.outputs.push_back(port.name);
  return names;
}

static Expected<void> call(const CallOptions &options) {
  if (Expected<void> writable = checkWritable(options.out, {options.common.model, options.common.params, options.in}); !writable)
    return writable;
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  Expected<BatchRun> batch = BatchRun::read(*model, namesOf(model->plan()), options.in);
  if (!batch)
    return batch.error();
  if (Expected<void> run = batch->run(options.entry, 0, batch->timeSteps()); !run)
    return run.error().in(options.common.model);
  return batch->write(options.out);
}

Command addCall(CLI::App &tool) {
  auto options = std::make_shared<CallOptions>();
  CLI::App *app = tool.add_subcommand("call", "Run an entry of a package on tensors from a file");
  addCommonOptions(*app, options->common);
  app->add_option("--entry", options->entry, "prefill (any time) or step (time 1)")->capture_default_str()->type_name("NAME");
  app->add_option("--in", options->in, "safetensors file with the package's inputs")->required()->type_name("FILE");
  app->add_option("--out", options->out, "safetensors file for the package's outputs")->required()->type_name("FILE");
  app->footer("Tensors have the names of the description's inputs and outputs (sm1-run inspect lists them):\n"
              "  tokens I32 [batch, time]; rows F32 [batch, time, width]; states F32 [batch, layers, shape...]\n"
              "A state that is not in the file starts at zero. An optional tensor lengths I32 [batch] cuts sequences short.\n\n"
              "Examples:\n"
              "  sm1-run inspect layer.sm1pkg\n"
              "  sm1-run call layer.sm1pkg --entry=prefill --in=a.safetensors --out=b.safetensors --params=weights.safetensors");
  return {app, [options] { return call(*options); }};
}
