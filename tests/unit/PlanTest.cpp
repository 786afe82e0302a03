// The plan's parser: what is right comes through, and every wrong number in it is refused with its place.
#include "TestPackage.h"
#include "Workspace.h"
#include "sm1rt/Package.h"

#include <functional>
#include <vector>

using namespace sm1rt;
using namespace sm1test;
using nlohmann::json;

namespace {

Expected<Plan> parse(const json &plan) { return parsePlan(plan.dump(), "x.sm1pkg", {{"x86-64-v3", toyCode().size()}}); }

/// The error of a plan after a change.
std::string refusal(const std::function<void(json &)> &change) {
  json plan = toyPlan(true);
  change(plan);
  auto parsed = parse(plan);
  return parsed ? "accepted" : parsed.error().message;
}

#define EXPECT_REFUSED(text, change)                                                                                               \
  do {                                                                                                                             \
    std::string message = refusal([](json &plan) { change; });                                                                     \
    EXPECT_NE(message.find(text), std::string::npos) << #change << "\n  " << message;                                              \
  } while (false)

json &program(json &plan) { return plan["programs"]["x86-64-v3"]; }
json &launch(json &plan, size_t step) { return program(plan)["entries"]["prefill"][step]; }
json &scan(json &plan) { return launch(plan, 2)["body"][0]; }

TEST(PlanTest, ReadsTheToyPlan) {
  auto plan = parse(toyPlan(true));
  ASSERT_OK(plan);
  EXPECT_EQ(plan->model, "toy");
  EXPECT_TRUE(plan->weightsExternal);
  EXPECT_EQ(plan->states[0].denseShape(), (std::vector<int64_t>{2, 21}));
  EXPECT_EQ(plan->states[1].denseShape(), (std::vector<int64_t>{21, 2}));
  EXPECT_EQ(plan->params[1].tensorName(1), "decay.1");
  EXPECT_EQ(plan->params[2].equals, 0);
  EXPECT_EQ(plan->params[2].shape, plan->params[0].shape);
  EXPECT_EQ(plan->weights[1].type, (TensorType{DType::F32, {32}}));
  const PlanProgram &program = plan->programs.at("x86-64-v3");
  ASSERT_EQ(program.entries.at("prefill").size(), 4u);
  EXPECT_EQ(program.entries.at("prefill")[2].layers, 2);
  EXPECT_EQ(program.entries.at("prefill")[2].body[0].args[2].kind, PlanArg::Kind::StateIn);
  EXPECT_EQ(program.inputs, (std::vector<int>{0, -1, -1}));
}

// Before the layers, too, where it is the first one's.
TEST(PlanTest, ReadsWeightsOfTheNextLayer) {
  json changed = toyPlan(true);
  scan(changed)["args"][1] = launch(changed, 0)["args"][1] = {{"next_weight", 1}};
  auto plan = parse(changed);
  ASSERT_OK(plan);
  auto &steps = plan->programs.at("x86-64-v3").entries.at("prefill");
  for (const PlanArg &arg : {steps[0].body[0].args[1], steps[2].body[0].args[1]}) {
    EXPECT_EQ(arg.kind, PlanArg::Kind::Weight);
    EXPECT_EQ(arg.index, 1u);
    EXPECT_TRUE(arg.next);
  }
}

TEST(PlanTest, UnknownKeysAreIgnored) {
  EXPECT_EQ(refusal([](json &plan) { plan["report"] = {1, 2}; }), "accepted");
}

TEST(PlanTest, RefusesBrokenText) {
  EXPECT_ERROR(parsePlan("", "x.sm1pkg", {}), "x.sm1pkg: plan: not JSON");
  EXPECT_ERROR(parsePlan("[]", "x.sm1pkg", {}), "must be an object");
  EXPECT_ERROR(parsePlan("{\"a\":1,\"a\":2}", "x.sm1pkg", {}), "key 'a' appears twice");
}

/// "prefill" in other launches for few rows.
json withRanges(json plan) {
  program(plan)["entries"]["prefill_few"] = program(plan)["entries"]["prefill"];
  program(plan)["ranges"] = {{"prefill_few", {{"entry", "prefill"}, {"least_rows", 1}, {"most_rows", 5}}}};
  return plan;
}

TEST(PlanTest, ReadsRanges) {
  auto parsed = parse(withRanges(toyPlan(true)));
  ASSERT_OK(parsed);
  const PlanProgram &program = parsed->programs.at("x86-64-v3");
  ASSERT_EQ(program.ranges.size(), 1u);
  EXPECT_EQ(program.ranges[0].variant, "prefill_few");
  EXPECT_EQ(program.ranges[0].mostRows, 5);
  EXPECT_TRUE(program.isVariant("prefill_few"));
  EXPECT_FALSE(program.isVariant("prefill"));
}

TEST(PlanTest, RefusesWrongRanges) {
  auto after = [](const char *key, const json &value) {
    json plan = withRanges(toyPlan(true));
    program(plan)["ranges"]["prefill_few"][key] = value;
    auto parsed = parse(plan);
    return parsed ? "accepted" : parsed.error().message;
  };
  EXPECT_NE(after("entry", "other").find("there is no entry 'other'"), std::string::npos);
  EXPECT_NE(after("entry", "prefill_few").find("stands in for another entry itself"), std::string::npos);
  EXPECT_NE(after("most_rows", 0).find("most_rows"), std::string::npos);
  EXPECT_NE(after("least_rows", 6).find("most_rows"), std::string::npos);
  EXPECT_REFUSED("there is no entry 'gone'",
                 (plan = withRanges(plan), program(plan)["ranges"]["gone"] = program(plan)["ranges"]["prefill_few"]));
}

// Long sequences have a program whose tiles are chunks of each: it takes those that leave few of a chunk's rows empty.
TEST(PlanTest, ChoosesByRowsAndChunks) {
  PlanProgram program;
  PlanStep step;
  step.body.resize(2);
  program.entries["prefill"] = {step};
  step.body[1].chunks = 128;
  program.entries["prefill_long"] = {step};
  program.ranges = {{"prefill", "prefill_long", 1000, INT32_MAX}};
  EXPECT_EQ(chunkRowsOf(program.entries["prefill"]), 0);
  EXPECT_EQ(chunkRowsOf(program.entries["prefill_long"]), 128);
  auto chosen = [&](std::set<std::string> variants, int64_t rows, int64_t chunks) {
    return program.variantFor("prefill", variants, rows, [&](int64_t chunkRows) {
      EXPECT_EQ(chunkRows, 128);
      return chunks;
    });
  };
  EXPECT_EQ(chosen({}, 896, 7), "prefill");
  EXPECT_EQ(chosen({}, 1008, 9), "prefill_long");
  EXPECT_EQ(chosen({}, 1007, 9), "prefill");
  EXPECT_EQ(chosen({"none"}, 1024, 8), "prefill");
  EXPECT_EQ(chosen({"prefill_long"}, 3, 1), "prefill_long");
}

// All first chunks, then all second ones, as far as there are any.
TEST(PlanTest, ListsChunks) {
  std::vector<int32_t> chunks = {7};
  listChunks({0, 200, 328, 329, 600}, 128, chunks);
  EXPECT_EQ(chunks, (std::vector<int32_t>{0,   200, 0, 0, 200, 328, 1, 0, 328, 329, 2, 0, 329, 600, 3, 0, //
                                          128, 200, 0, 1, 457, 600, 3, 1, 585, 600, 3, 2}));
}

json toyCost() {
  json cost;
  for (const KernelCostField &field : kernelCostFields())
    cost[field.key] = 2.5;
  return cost;
}

TEST(PlanTest, ReadsCosts) {
  json plan = toyPlan(true);
  scan(plan)["cost"] = toyCost();
  auto parsed = parse(plan);
  ASSERT_OK(parsed);
  const std::vector<PlanStep> &steps = parsed->programs.at("x86-64-v3").entries.at("prefill");
  ASSERT_TRUE(steps[2].body[0].cost);
  EXPECT_EQ(steps[2].body[0].cost->f32Products, 2.5);
  EXPECT_EQ(steps[2].body[0].cost->singleRowPanels, 2.5);
  EXPECT_FALSE(steps[0].body[0].cost) << "a package without costs has none";
}

TEST(PlanTest, RefusesCosts) {
  for (const KernelCostField &field : kernelCostFields())
    for (const json &value : {json(-1), json(2e15), json("1"), json(nullptr), json(true), json::array()}) {
      json plan = toyPlan(true);
      scan(plan)["cost"] = toyCost();
      scan(plan)["cost"][field.key] = value;
      auto parsed = parse(plan);
      EXPECT_FALSE(parsed) << field.key << " = " << value;
    }
  EXPECT_REFUSED("cost: key 'row_tile' is missing", (scan(plan)["cost"] = toyCost(), scan(plan)["cost"].erase("row_tile")));
  EXPECT_REFUSED("cost.panel_tile: 0 is outside 1 to", (scan(plan)["cost"] = toyCost(), scan(plan)["cost"]["panel_tile"] = 0));
  EXPECT_REFUSED("cost: must be an object", scan(plan)["cost"] = 7);
}

// Each key in turn is taken away, and each value in turn replaced by values of other types and sizes: never a crash, and without
// the key always an error. Replacements may be harmless (names), so only removal is held to an answer.
TEST(PlanTest, SurvivesEveryDamage) {
  json flat = toyPlan(true).flatten();
  const json values[] = {
      nullptr, -1, 0, 1, 3, 17, int64_t(1) << 40, uint64_t(-1), 1.5, "x", true, json::array(), json::object(), json::array({-1})};
  for (auto &item : flat.items()) {
    if (item.key().find("entries/step/") != std::string::npos)
      continue; // a copy of prefill
    for (const json &value : values) {
      json plan = toyPlan(true);
      plan[json::json_pointer(item.key())] = value;
      (void)parse(plan);
    }
    json::json_pointer place(item.key());
    json plan = toyPlan(true);
    json &parent = plan[place.parent_pointer()];
    if (!parent.is_object() || item.key().find("/hashes/") == 0)
      continue;
    parent.erase(place.back());
    EXPECT_FALSE(parse(plan)) << item.key();
  }
}

TEST(PlanTest, RefusesHead) {
  EXPECT_REFUSED("x.sm1pkg: plan.form: 'fast' is none of 'exact', 'closed_form'", plan["form"] = "fast");
  EXPECT_REFUSED("plan.storage: 'int2' is none of 'f32', 'bf16'", plan["storage"] = "int2");
  EXPECT_REFUSED("plan.compute: 'int4' is none of 'f32', 'bf16', 'fp8', 'int8'", plan["compute"] = "int4");
  EXPECT_REFUSED("whole_sequence", plan["whole_sequence"] = 1);
  EXPECT_REFUSED("hashes", plan["hashes"]["source"] = "xyz");
}

TEST(PlanTest, RefusesStatesAndPorts) {
  EXPECT_REFUSED("states[0].shape[0]: 0 is outside", plan["states"][0]["shape"] = {0});
  EXPECT_REFUSED("needs the channel dimension", plan["states"][0]["shape"] = json::array());
  EXPECT_REFUSED("states[0].layers: -1 is outside", plan["states"][0]["layers"] = -1);
  EXPECT_REFUSED("states of a sequence take more", plan["states"][0]["shape"] = {1 << 30});
  EXPECT_REFUSED("name 'h' appears twice", plan["states"][1]["name"] = "h");
  EXPECT_REFUSED("state 2 does not exist, there are 2", plan["inputs"][1]["state"] = 2);
  EXPECT_REFUSED("there is no state 'q'", plan["inputs"][1]["state"] = "q");
  EXPECT_REFUSED("inputs[0].limit: 0 is outside", plan["inputs"][0]["limit"] = 0);
  EXPECT_REFUSED("must be tokens or rows", plan["inputs"].erase(0));
  EXPECT_REFUSED("'tokens' is none of 'rows', 'state'", plan["outputs"][0]["kind"] = "tokens");
  EXPECT_REFUSED("outputs[0].width", plan["outputs"][0]["width"] = int64_t(1) << 40);
}

TEST(PlanTest, RefusesParamsAndWeights) {
  EXPECT_REFUSED("exactly when count is not 0", plan["params"][0]["count"] = 2);
  EXPECT_REFUSED("exactly when count is not 0", plan["params"][1]["count"] = 0);
  EXPECT_REFUSED("there is no param 'nothing'", plan["params"][2]["equals"] = "nothing");
  EXPECT_REFUSED("there is no param 'head'", plan["params"][2]["equals"] = "head");
  EXPECT_REFUSED("is too large", plan["params"][0]["shape"] = json::array({int64_t(1) << 32, int64_t(1) << 32}));
  EXPECT_REFUSED("there is no param 'nothing'", plan["weights"][0]["from"] = "nothing");
  EXPECT_REFUSED("count 3 differs from count 2", plan["weights"][1]["count"] = 3);
  EXPECT_REFUSED("declared F32 [11, 48], its steps give F32 [11, 32]", plan["weights"][0]["shape"] = json::array({11, 48}));
  EXPECT_REFUSED("declared BF16", plan["weights"][0]["dtype"] = "bf16");
  EXPECT_REFUSED("more than doubles", plan["weights"][0]["steps"][1]["to"] = 1 << 30);
  EXPECT_REFUSED("'sort' is none of", plan["weights"][0]["steps"][0]["op"] = "sort");
  EXPECT_REFUSED("rows", (plan["weights"][0]["steps"] = json::array({{{"op", "rows"}, {"begin", 5}, {"end", 12}}})));
}

static json quantiseStep(const char *op) { return {{"op", op}, {"bits", 4}, {"group", 32}, {"scale", "f16"}}; }

/// The toy's table in 4 bits. No kernel of the toy could read it.
static void quantiseTable(json &plan) {
  plan["storage"] = "int4";
  plan["compute"] = "int8";
  json &table = plan["weights"][0];
  table["steps"] = {quantiseStep("quantise"), {{"op", "nibbles"}}};
  table["dtype"] = "u8";
  table["shape"] = {1, 1, 4, 16, 4};
  plan["weights"].push_back({{"name", "scales"}, {"from", "table"}, {"count", 0}, {"dtype", "f16"}, {"shape", {1, 1, 16}}});
  plan["weights"].back()["steps"] = {quantiseStep("scales"), {{"op", "panels"}, {"width", 16}}};
}

TEST(PlanTest, ReadsQuantisedWeights) {
  json text = toyPlan(true);
  quantiseTable(text);
  auto plan = parse(text);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->storage, "int4");
  EXPECT_EQ(plan->compute, "int8");
  EXPECT_EQ(plan->programs.at("x86-64-v3").compute, "int8");
  EXPECT_EQ(toJson(plan->weights[0].steps), toJson({PackingStep::quantise(4, 32, DType::F16), PackingStep::nibbles()}));
  EXPECT_EQ(toJson(plan->weights[2].steps), toJson({PackingStep::scales(4, 32, DType::F16), PackingStep::panels()}));
}

TEST(PlanTest, RefusesQuantisedWeights) {
  EXPECT_REFUSED("steps[0].bits: 2 is outside 4 to 8", (quantiseTable(plan), plan["weights"][0]["steps"][0]["bits"] = 2));
  EXPECT_REFUSED("integers have 8 or 4 bits", (quantiseTable(plan), plan["weights"][0]["steps"][0]["bits"] = 5));
  EXPECT_REFUSED("steps[0].group: -1 is outside", (quantiseTable(plan), plan["weights"][2]["steps"][0]["group"] = -1));
  EXPECT_REFUSED("scales are F32 or F16", (quantiseTable(plan), plan["weights"][2]["steps"][0]["scale"] = "u8"));
  EXPECT_REFUSED("quantised to 4 bits", (quantiseTable(plan), plan["weights"][0]["steps"][0]["bits"] = 8));
  EXPECT_REFUSED("U8 [11, 21] cannot be packed", (quantiseTable(plan), plan["weights"][0]["steps"].erase(0)));
  EXPECT_REFUSED("declared F16 [1, 1, 16], its steps give F16 [1, 21, 16]",
                 (quantiseTable(plan), plan["weights"][2]["steps"][0]["group"] = 1));
}

// A few kilobytes of text must not ask for tables of millions of tensors.
static void repeat(json &list, json item, const char *suffix) {
  item["count"] = 65536;
  for (int i = 0; i < 17; ++i) {
    item["name"] = std::to_string(i) + suffix;
    list.push_back(item);
  }
}

TEST(PlanTest, RefusesMoreTensorsThanCanBeListed) {
  EXPECT_REFUSED("plan.params: 1114", repeat(plan["params"], plan["params"][1], ".{i}"));
  EXPECT_REFUSED("plan.weights: 1179649 tensors over all layers, at most 1048576 are allowed", {
    plan["params"][1]["count"] = 65536;
    plan["weights"][1]["count"] = 65536;
    repeat(plan["weights"], plan["weights"][1], "");
  });
}

TEST(PlanTest, RefusesProgramTables) {
  EXPECT_REFUSED("no tensor 'kernel/sm_120'", plan["programs"]["sm_120"] = program(plan));
  EXPECT_REFUSED("no target", plan["programs"] = json::object());
  EXPECT_REFUSED("kernels[0].offset", program(plan)["kernels"][0]["offset"] = 1 << 20);
  EXPECT_REFUSED("kernels[0].offset", program(plan)["kernels"][0]["offset"] = -1);
  EXPECT_REFUSED("24 is not a multiple of 16", program(plan)["buffers"][1]["stride"] = 24);
  EXPECT_REFUSED("1 is outside 16 to", program(plan)["buffers"][1]["stride"] = 1);
  EXPECT_REFUSED("16 is outside 1 to 1", program(plan)["buffers"][0]["stride"] = 16);
  EXPECT_REFUSED("0 is outside", program(plan)["buffers"][1]["stride"] = 0);
  EXPECT_REFUSED("'y' is 21 wide, its buffer has stride 16", program(plan)["buffers"][2]["stride"] = 16);
  EXPECT_REFUSED("'tokens' is I32, its buffer F32", program(plan)["inputs"][0] = 1);
  EXPECT_REFUSED("disagree on rows", program(plan)["outputs"][0] = 1);
  EXPECT_REFUSED("buffer 7 does not exist, there are 3", program(plan)["outputs"][0] = 7);
  EXPECT_REFUSED("buffer -2 does not exist", program(plan)["outputs"][0] = -2);
  EXPECT_REFUSED("outside -1 to -1", program(plan)["inputs"][1] = 0);
  EXPECT_REFUSED("2 buffers for 3", program(plan)["inputs"] = json::array({0, -1}));
  EXPECT_REFUSED("no entry", program(plan)["entries"] = json::object());
}

TEST(PlanTest, RefusesLaunches) {
  EXPECT_REFUSED("kernel 4 does not exist, there are 4", launch(plan, 0)["kernel"] = 4);
  EXPECT_REFUSED("weight 2 does not exist", launch(plan, 0)["args"][1]["weight"] = 2);
  EXPECT_REFUSED("must be one of {buffer}", (launch(plan, 0)["args"][1] = {{"pointer", 2}}));
  EXPECT_REFUSED("must be one of {buffer}", (launch(plan, 0)["args"][1] = {{"buffer", 1}, {"weight", 0}}));
  EXPECT_REFUSED("panels: 0 is outside", launch(plan, 0)["panels"] = 0);
  EXPECT_REFUSED("scratch", launch(plan, 0)["scratch"] = int64_t(1) << 40);
  EXPECT_REFUSED("row_split", launch(plan, 0)["row_split"] = -4);
  EXPECT_REFUSED("alone", launch(plan, 0)["alone"] = 3);
  EXPECT_REFUSED("loop: 0 is outside", launch(plan, 2)["loop"] = 0);
  EXPECT_REFUSED("weight 'decay' has 2 layers, the loop has 3", launch(plan, 2)["loop"] = 3);
  EXPECT_REFUSED("loops do not nest", launch(plan, 2)["body"][0] = launch(plan, 2));
  EXPECT_REFUSED("state 'h' has 2 layers and is used outside of a loop", launch(plan, 1)["args"][1]["state_in"] = 0);
  EXPECT_REFUSED("weight 'decay' has 2 layers and is used outside of a loop", launch(plan, 0)["args"][1]["weight"] = 1);
  EXPECT_REFUSED("weight 2 does not exist", (scan(plan)["args"][1] = {{"next_weight", 2}}));
  EXPECT_REFUSED("weight 'decay' has 2 layers, the loop has 3",
                 (scan(plan)["args"][1] = {{"next_weight", 1}}, scan(plan)["args"].erase(2), launch(plan, 2)["loop"] = 3));
  EXPECT_REFUSED("must be one of {buffer}", (scan(plan)["args"][1] = {{"weight", 1}, {"next_weight", 1}}));
  EXPECT_REFUSED("must be one of {buffer}", (scan(plan)["args"][1] = {{"weight", 1}, {"last", 1}}));
  EXPECT_REFUSED("weight 2 does not exist", (scan(plan)["args"][1] = {{"next_weight", 1}, {"last", 2}}));
  EXPECT_REFUSED("weight 'decay' is no weight without layers like 'decay'",
                 (scan(plan)["args"][1] = {{"next_weight", 1}, {"last", 1}}));
  EXPECT_REFUSED("cannot use a buffer of selected rows", scan(plan)["args"][0]["buffer"] = 2);
}

//===-- Packages ------------------------------------------------------------------------------------------------------------===//

TEST(PackageTest, OpensBothForms) {
  TemporaryFolder folder;
  for (bool external : {true, false}) {
    writeToyPackage(folder.file("toy.sm1pkg"), external);
    auto package = Package::open(folder.file("toy.sm1pkg"));
    ASSERT_OK(package);
    EXPECT_EQ(package->source, "toy source");
    EXPECT_EQ(package->code("x86-64-v3").bytes, toyCode().size());
  }
}

TEST(PackageTest, RefusesOtherVersionsAndFiles) {
  TemporaryFolder folder;
  std::string path = folder.file("toy.sm1pkg");
  writeToyCheckpoint(path);
  EXPECT_ERROR(Package::open(path), "not a package, its header has no 'sm1.format'");
  writeToyPackage(path, true);
  std::string bytes = readBytes(path);
  size_t version = bytes.find("\"sm1.format\":\"1\"");
  ASSERT_NE(version, std::string::npos);
  constexpr int next = SM1_FORMAT_VERSION + 1;
  static_assert(next < 10, "the test writes one digit");
  bytes[version + 14] = '0' + next;
  writeBytes(path, bytes);
  EXPECT_ERROR(Package::open(path), fmt::format("package format {}, this runtime reads 1 to {}", next, next - 1));
}

TEST(PackageTest, RefusesDamage) {
  TemporaryFolder folder;
  std::string path = folder.file("toy.sm1pkg");
  writeToyPackage(path, false);
  std::string bytes = readBytes(path);
  std::string damaged = bytes;
  damaged[4096] = char(damaged[4096] ^ 1);
  writeBytes(path, damaged);
  EXPECT_ERROR(Package::open(path), "'kernel/x86-64-v3' has hash");
  damaged = bytes;
  damaged[damaged.find("toy source") + 2] = 'x';
  writeBytes(path, damaged);
  EXPECT_ERROR(Package::open(path), "'source' has hash");
  json plan = toyPlan(false);
  plan["hashes"].erase("source");
  writeToyPackage(path, false, &plan);
  EXPECT_ERROR(Package::open(path), "no hash of 'source'");
  plan = toyPlan(false);
  plan["weights"][1]["name"] = "gone";
  writeToyPackage(path, false, &plan);
  EXPECT_ERROR(Package::open(path), "tensor 'weight/gone' is missing, the plan asks for F32 [2, 32]");
}

} // namespace
