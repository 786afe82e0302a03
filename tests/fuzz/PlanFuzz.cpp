// The plan of a package: whatever parsePlan accepts, every index in it leads somewhere and every size is one that can be allocated.
#include "FuzzTarget.h"
#include "TestPackage.h"

#include "sm1rt/Plan.h"

using namespace sm1rt;
using sm1fuzz::require;

static constexpr uint64_t codeBytes = 4096;

std::vector<std::string> sm1fuzz::seeds() {
  std::vector<std::string> all;
  for (bool external : {false, true}) {
    nlohmann::json plan = sm1test::toyPlan(external);
    // The offsets of kernels depend on the compiler.
    int64_t offset = 0;
    for (auto &kernel : plan["programs"]["x86-64-v3"]["kernels"])
      kernel["offset"] = offset += 64;
    all.push_back(plan.dump());
    // Every kind of step, each where it fits.
    auto step = [](const char *op) {
      return nlohmann::json{{"op", op}, {"bits", 4}, {"group", 32}, {"scale", "f16"}, {"to", "bf16"}};
    };
    plan["weights"][0].update({{"dtype", "u8"}, {"shape", {1, 1, 4, 16, 4}}, {"steps", {step("quantise"), step("nibbles")}}});
    all.push_back(plan.dump());
    plan["weights"][0].update({{"shape", {1, 6, 16, 4}}, {"steps", {step("quantise"), step("quads")}}});
    all.push_back(plan.dump());
    plan["weights"][0].update({{"dtype", "bf16"}, {"shape", {1, 11, 16, 2}}, {"steps", {step("cast"), step("pairs")}}});
    all.push_back(plan.dump());
    plan["weights"][0].update({{"dtype", "f16"}, {"shape", {11, 1}}, {"steps", {step("scales")}}});
    all.push_back(plan.dump());
  }
  return all;
}

static void checkArg(const Plan &plan, const PlanProgram &program, const PlanArg &arg) {
  size_t limit = arg.kind == PlanArg::Kind::Buffer   ? program.buffers.size()
                 : arg.kind == PlanArg::Kind::Weight ? plan.weights.size()
                                                     : plan.states.size();
  require(arg.index < limit && arg.last.value_or(0) < plan.weights.size(), "an argument exists");
}

static void checkProgram(const Plan &plan, const PlanProgram &program) {
  for (const PlanKernel &kernel : program.kernels)
    require(kernel.offset < codeBytes, "a kernel starts inside the code");
  require(program.inputs.size() == plan.inputs.size() && program.outputs.size() == plan.outputs.size(), "every port has a buffer");
  for (const auto &[name, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body) {
        require(launch.kernel < program.kernels.size(), "a kernel exists");
        require(launch.panels >= 1 && launch.rowSplit >= 0 && launch.panelSplit >= 0, "a launch can be cut");
        for (const PlanArg &arg : launch.args)
          checkArg(plan, program, arg);
      }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto plan = parsePlan({reinterpret_cast<const char *>(data), size}, "fuzz", {{"x86-64-v3", codeBytes}});
  if (!plan) {
    require(!plan.error().message.empty(), "a refusal has a reason");
    return 0;
  }
  require(!plan->programs.empty() && !plan->inputs.empty(), "a plan has a program and an input");
  for (const PlanPort &port : plan->inputs)
    require(port.kind != PlanPort::Kind::State || port.state < plan->states.size(), "a state exists");
  int64_t copies = 0;
  for (const PlanWeight &weight : plan->weights) {
    require(weight.param < plan->params.size() && byteCount(weight.type).has_value(), "a weight has a source and a size");
    copies += weight.copies();
  }
  require(copies <= 1 << 20, "weights can be listed");
  for (const auto &[target, program] : plan->programs)
    checkProgram(*plan, program);
  return 0;
}
