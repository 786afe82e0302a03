// PTX by hand, and the plan that launches it.
#include "CudaTestPackage.h"

#include "sm1rt/Packing.h"

using nlohmann::json;
using namespace sm1rt;

namespace sm1test {

//===-- Kernels -------------------------------------------------------------------------------------------------------------===//

/// A kernel with `args` pointers and the five parameters that every kernel has: %args0.. , %segmentStart, %selected, %n are loaded,
/// %c is the channel and %block the block's index in x.
static std::string kernel(const std::string &name, int args, const std::string &body) {
  std::string parameters, loads;
  const char *const fixed[] = {"rowSegment", "segmentStart", "selected", "n", "segments"};
  for (int i = 0; i < args + 5; ++i) {
    std::string value = i < args ? "arg" + std::to_string(i) : fixed[i - args];
    parameters += (i ? ", " : "") + std::string(".param .u64 p_") + value;
    loads += "  .reg .b64 %" + value + ";\n  ld.param.u64 %" + value + ", [p_" + value + "];\n";
  }
  return ".visible .entry " + name + "(" + parameters + ")\n{\n" + loads + R"(
  .reg .b32 %c, %block, %z, %first, %end, %row, %last, %r<8>;
  .reg .b64 %a<8>;
  .reg .f32 %f<8>;
  .reg .pred %p<4>;
  mov.u32 %c, %tid.x;
  mov.u32 %block, %ctaid.x;
)" + body +
         "done:\n  ret;\n}\n";
}

/// %first and %end become the rows of segment %block.
static const char *const loadSegment = R"(
  mul.wide.u32 %a0, %block, 4;
  add.u64 %a0, %segmentStart, %a0;
  ld.global.u32 %first, [%a0];
  ld.global.u32 %end, [%a0+4];
)";

/// `to` becomes the address of element [row][channel] of a float array [..][32].
static std::string element(const std::string &to, const std::string &array, const std::string &row) {
  return "  mad.lo.u32 %r7, " + row + ", 32, %c;\n  mul.wide.u32 " + to + ", %r7, 4;\n  add.u64 " + to + ", " + array + ", " + to +
         ";\n";
}

// args: tokens, table, x; a block copies 4 rows of its segment and 16 channels, its other 16 threads have nothing to do
static std::string embed() {
  return kernel("toy_embed", 3,
                R"(
  setp.ge.u32 %p0, %c, 16;
  @%p0 bra done;
  mov.u32 %r0, %ctaid.y;
  mad.lo.u32 %c, %r0, 16, %c;
)" + std::string(loadSegment) +
                    R"(
  mov.u32 %z, %ctaid.z;
  mad.lo.u32 %row, %z, 4, %first;
  add.u32 %last, %row, 4;
  min.u32 %last, %last, %end;
next:
  setp.ge.u32 %p1, %row, %last;
  @%p1 bra done;
  mul.wide.u32 %a1, %row, 4;
  add.u64 %a1, %arg0, %a1;
  ld.global.u32 %r1, [%a1];
)" + element("%a2", "%arg1", "%r1") +
                    "  ld.global.f32 %f0, [%a2];\n" + element("%a3", "%arg2", "%row") + R"(
  st.global.f32 [%a3], %f0;
  add.u32 %row, %row, 1;
  bra next;
)");
}

// args: x, last in [segment][2][32], last out; the newest x goes by way of the last bytes of 50000 of shared memory
static std::string last() {
  return kernel("toy_last", 3,
                std::string(loadSegment) + R"(
  sub.u32 %row, %end, 1;
)" + element("%a1", "%arg0", "%row") +
                    R"(
  ld.global.f32 %f0, [%a1];
  mul.wide.u32 %a2, %c, 4;
  mov.u64 %a3, dynamicShared;
  add.u64 %a2, %a3, %a2;
  st.shared.f32 [%a2+49872], %f0;
  bar.sync 0;
  ld.shared.f32 %f0, [%a2+49872];
  mad.lo.u32 %r0, %block, 2, 1;
)" + element("%a4", "%arg2", "%r0") +
                    R"(
  st.global.f32 [%a4], %f0;
  sub.u32 %r1, %end, %first;
  setp.gt.u32 %p0, %r1, 1;
  sub.u32 %r2, %end, 2;
  @%p0 bra inside;
)" + element("%a5", "%arg1", "%r0") +
                    "  bra store;\ninside:\n" + element("%a5", "%arg0", "%r2") + R"(
store:
  ld.global.f32 %f1, [%a5];
  st.global.f32 [%a4+-128], %f1;
)");
}

// args: x, decay [32], h in [segment][32], h out
static std::string scan() {
  return kernel("toy_scan", 4,
                std::string(loadSegment) + element("%a1", "%arg2", "%block") + R"(
  ld.global.f32 %f0, [%a1];
  mul.wide.u32 %a2, %c, 4;
  add.u64 %a2, %arg1, %a2;
  ld.global.f32 %f1, [%a2];
  mov.u32 %row, %first;
next:
  setp.ge.u32 %p0, %row, %end;
  @%p0 bra after;
)" + element("%a3", "%arg0", "%row") +
                    R"(
  ld.global.f32 %f2, [%a3];
  mul.rn.f32 %f0, %f1, %f0;
  add.rn.f32 %f0, %f0, %f2;
  add.rn.f32 %f2, %f2, %f0;
  st.global.f32 [%a3], %f2;
  add.u32 %row, %row, 1;
  bra next;
after:
)" + element("%a4", "%arg3", "%block") +
                    "  st.global.f32 [%a4], %f0;\n");
}

// args: x, y [selected, 32]; a block makes 3 rows of n
static std::string head() {
  return kernel("toy_head", 2,
                R"(
  mul.lo.u32 %row, %block, 3;
  add.u32 %last, %row, 3;
  cvt.u32.u64 %end, %n;
  min.u32 %last, %last, %end;
next:
  setp.ge.u32 %p0, %row, %last;
  @%p0 bra done;
  mul.wide.u32 %a0, %row, 4;
  add.u64 %a0, %selected, %a0;
  ld.global.u32 %r1, [%a0];
)" + element("%a1", "%arg0", "%r1") +
                    "  ld.global.f32 %f0, [%a1];\n  add.rn.f32 %f0, %f0, %f0;\n" + element("%a2", "%arg1", "%row") + R"(
  st.global.f32 [%a2], %f0;
  add.u32 %row, %row, 1;
  bra next;
)");
}

std::string toyPtx() {
  return "// by hand\n.version 8.0\n.target sm_90\n.address_size 64\n.extern .shared .align 16 .b8 dynamicShared[];\n" + embed() +
         last() + scan() + head();
}

//===-- Plan ----------------------------------------------------------------------------------------------------------------===//

static json launch(int kernel, json args, const char *rows, int rowSplit, int panelSplit, int shared, int timeSplit) {
  return {{"kernel", kernel},          {"args", std::move(args)}, {"rows", rows},     {"row_split", rowSplit},  {"panels", 2},
          {"panel_split", panelSplit}, {"threads", 32},           {"shared", shared}, {"time_split", timeSplit}};
}

static json toyGpuProgram(const json &cpu) {
  json embed = launch(0, {{{"buffer", 0}}, {{"weight", 0}}, {{"buffer", 1}}}, "segments", 1, 1, 0, 4);
  json last = launch(1, {{{"buffer", 1}}, {{"state_in", 1}}, {{"state_out", 1}}}, "segments", 1, 2, 50000, 0);
  json scan = launch(2, {{{"buffer", 1}}, {{"weight", 1}}, {{"state_in", 0}}, {{"state_out", 0}}}, "segments", 1, 2, 0, 0);
  scan.erase("time_split");
  json head = launch(3, {{{"buffer", 1}}, {{"buffer", 2}}}, "selected", 3, 2, 0, 0);
  json steps = {embed, last, {{"loop", toyLayers}, {"body", {scan}}}, head};
  json program = cpu; // buffers, inputs and outputs
  program["kernels"] = {{{"name", "toy_embed"}}, {{"name", "toy_last"}}, {{"name", "toy_scan"}}, {{"name", "toy_head"}}};
  program["entries"] = {{"prefill", steps}, {"step", steps}};
  return program;
}

static std::string hashOf(const std::string &bytes) { return toHex(fnv1a(bytes.data(), bytes.size())); }

json toyGpuPlan(const ToyGpuOptions &options) {
  json plan = toyPlan(options.external);
  json program = toyGpuProgram(plan["programs"]["x86-64-v3"]);
  if (!options.changes.is_null())
    program.merge_patch(options.changes);
  plan["programs"][options.target] = program;
  if (!options.cpuToo)
    plan["programs"].erase("x86-64-v3");
  if (!options.planChanges.is_null())
    plan.merge_patch(options.planChanges);
  plan["hashes"]["kernel/" + options.target] = hashOf(options.ptx + '\0');
  if (!options.cubin.empty())
    plan["hashes"]["cubin/" + options.target] = hashOf(options.cubin);
  return plan;
}

void writeToyGpuPackage(const std::string &path, const ToyGpuOptions &options) {
  json plan = toyGpuPlan(options);
  ToyCode code = {{"kernel/" + options.target, options.ptx + '\0'}};
  if (!options.cubin.empty())
    code.push_back({"cubin/" + options.target, options.cubin});
  writeToyPackage(path, options.external, &plan, code);
}

} // namespace sm1test
