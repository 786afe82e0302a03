// The hand-made package.
#include "TestPackage.h"

#include "sm1rt/PackageFormat.h"
#include "sm1rt/Packing.h"
#include "sm1rt/Safetensors.h"

#include <cmath>

using nlohmann::json;
using namespace sm1rt;

//===-- Kernels -------------------------------------------------------------------------------------------------------------===//

// One section of their own, so that they lie together; no constants, no calls, no instrumentation, so that they run anywhere.
#define SM1_TEST_KERNEL                                                                                                            \
  extern "C" __attribute__((section("sm1_test_code"), noinline, used, optimize("O1"), no_sanitize("address"),                      \
                            no_sanitize("undefined"), no_sanitize("thread"))) void SM1_CPU_ABI

extern "C" const char __start_sm1_test_code[], __stop_sm1_test_code[];

// args: tokens [rows], table [11, 32], x [rows, 32]
SM1_TEST_KERNEL sm1TestEmbed(const Sm1CpuTask *task) {
  auto *tokens = static_cast<const int32_t *>(task->args[0]);
  auto *table = static_cast<const float *>(task->args[1]);
  auto *x = static_cast<float *>(task->args[2]);
  for (int64_t row = task->rowBegin; row < task->rowEnd; ++row)
    for (int64_t c = task->panelBegin * 16; c < task->panelEnd * 16; ++c)
      x[row * 32 + c] = table[tokens[row] * 32 + c];
}

// args: x, last in [segment][2][32], last out
SM1_TEST_KERNEL sm1TestLast(const Sm1CpuTask *task) {
  auto *x = static_cast<const float *>(task->args[0]);
  auto *in = static_cast<const float *>(task->args[1]);
  auto *out = static_cast<float *>(task->args[2]);
  for (int64_t s = task->rowSegment[task->rowBegin]; s <= task->rowSegment[task->rowEnd - 1]; ++s)
    for (int64_t c = task->panelBegin * 16; c < task->panelEnd * 16; ++c) {
      int64_t first = task->segmentStart[s], end = task->segmentStart[s + 1];
      out[(s * 2 + 1) * 32 + c] = x[(end - 1) * 32 + c];
      out[s * 2 * 32 + c] = end - first > 1 ? x[(end - 2) * 32 + c] : in[(s * 2 + 1) * 32 + c];
    }
}

// args: x, decay [32], h in [segment][32], h out; keeps the running h in scratch, to see that every task has its own
SM1_TEST_KERNEL sm1TestScan(const Sm1CpuTask *task) {
  auto *x = static_cast<float *>(task->args[0]);
  auto *decay = static_cast<const float *>(task->args[1]);
  auto *in = static_cast<const float *>(task->args[2]);
  auto *out = static_cast<float *>(task->args[3]);
  auto *h = static_cast<volatile float *>(task->scratch);
  for (int64_t s = task->rowSegment[task->rowBegin]; s <= task->rowSegment[task->rowEnd - 1]; ++s)
    for (int64_t c = task->panelBegin * 16; c < task->panelEnd * 16; ++c) {
      h[0] = in[s * 32 + c];
      for (int64_t row = task->segmentStart[s]; row < task->segmentStart[s + 1]; ++row) {
        float scaled = decay[c] * h[0];
        h[0] = scaled + x[row * 32 + c];
        x[row * 32 + c] = x[row * 32 + c] + h[0];
      }
      out[s * 32 + c] = h[0];
    }
}

// args: x, y [selected, 32]
SM1_TEST_KERNEL sm1TestHead(const Sm1CpuTask *task) {
  auto *x = static_cast<const float *>(task->args[0]);
  auto *y = static_cast<float *>(task->args[1]);
  for (int64_t row = task->rowBegin; row < task->rowEnd; ++row)
    for (int64_t c = task->panelBegin * 16; c < task->panelEnd * 16; ++c)
      y[row * 32 + c] = x[task->selected[row] * 32 + c] + x[task->selected[row] * 32 + c];
}

namespace sm1test {

static int64_t offsetOf(void(SM1_CPU_ABI *kernel)(const Sm1CpuTask *)) {
  return int64_t(reinterpret_cast<uintptr_t>(kernel) - reinterpret_cast<uintptr_t>(__start_sm1_test_code));
}

std::string toyCode() { return {__start_sm1_test_code, __stop_sm1_test_code}; }

//===-- Parameters ----------------------------------------------------------------------------------------------------------===//

std::vector<float> toyTable() {
  std::vector<float> table(size_t(toyVocab * toyChannels));
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = std::sin(float(i) * 0.7f + 1);
  return table;
}

std::vector<float> toyDecay(int64_t layer) {
  std::vector<float> decay(size_t(toyChannels), 0.0f);
  for (size_t i = 0; i < decay.size(); ++i)
    decay[i] = 0.9f - 0.03f * float(i) - 0.1f * float(layer);
  return decay;
}

static std::vector<float> padded(const std::vector<float> &dense, size_t width) {
  std::vector<float> result(dense.size() / width * toyStride);
  for (size_t i = 0; i < dense.size(); ++i)
    result[i / width * toyStride + i % width] = dense[i];
  return result;
}

std::vector<float> ToyReference::step(int32_t token) {
  std::vector<float> table = toyTable(), y;
  for (size_t c = 0; c < size_t(toyChannels); ++c) {
    float x = table[size_t(token) * toyChannels + c];
    last[c * 2] = last[c * 2 + 1];
    last[c * 2 + 1] = x;
    for (int64_t layer = 0; layer < toyLayers; ++layer) {
      float &state = h[size_t(layer * toyChannels) + c];
      float scaled = toyDecay(layer)[c] * state;
      state = scaled + x;
      x = x + state;
    }
    y.push_back(x + x);
  }
  return y;
}

//===-- Plan ----------------------------------------------------------------------------------------------------------------===//

static json launch(int kernel, json args, const char *rows, int rowSplit, int scratch = 0) {
  return {{"kernel", kernel}, {"args", std::move(args)}, {"rows", rows},      {"row_split", rowSplit},
          {"panels", 2},      {"panel_split", 1},        {"scratch", scratch}};
}

static json toyProgram() {
  json embed = launch(0, {{{"buffer", 0}}, {{"weight", 0}}, {{"buffer", 1}}}, "all", 4);
  json last = launch(1, {{{"buffer", 1}}, {{"state_in", 1}}, {{"state_out", 1}}}, "all", 0);
  json scan = launch(2, {{{"buffer", 1}}, {{"weight", 1}}, {{"state_in", 0}}, {{"state_out", 0}}}, "all", 0, 64);
  json head = launch(3, {{{"buffer", 1}}, {{"buffer", 2}}}, "selected", 3);
  json steps = {embed, last, {{"loop", toyLayers}, {"body", {scan}}}, head};
  json kernels = {{{"name", "embed"}, {"offset", offsetOf(sm1TestEmbed)}},
                  {{"name", "last"}, {"offset", offsetOf(sm1TestLast)}},
                  {{"name", "scan"}, {"offset", offsetOf(sm1TestScan)}},
                  {{"name", "head"}, {"offset", offsetOf(sm1TestHead)}}};
  json buffers = {{{"rows", "all"}, {"stride", 1}, {"dtype", "i32"}},
                  {{"rows", "all"}, {"stride", toyStride}, {"dtype", "f32"}},
                  {{"rows", "selected"}, {"stride", toyStride}, {"dtype", "f32"}}};
  return {{"kernels", kernels},
          {"buffers", buffers},
          {"inputs", {0, -1, -1}},
          {"outputs", {2, -1, -1}},
          {"entries", {{"prefill", steps}, {"step", steps}}}};
}

json toyPlan(bool external) {
  json plan = {{"compiler", "by hand"}, {"model", "toy"}, {"form", "exact"}, {"storage", "f32"}, {"compute", "f32"}};
  plan["whole_sequence"] = false;
  plan["weights_in"] = external ? "external" : "package";
  plan["states"] = {{{"name", "h"}, {"layers", toyLayers}, {"shape", {toyChannels}}},
                    {{"name", "last"}, {"layers", 0}, {"shape", {toyChannels, 2}}}};
  plan["inputs"] = {{{"name", "tokens"}, {"kind", "tokens"}, {"limit", toyVocab}},
                    {{"name", "h_in"}, {"kind", "state"}, {"state", 0}},
                    {{"name", "last_in"}, {"kind", "state"}, {"state", 1}}};
  plan["outputs"] = {{{"name", "y"}, {"kind", "rows"}, {"width", toyChannels}, {"rows", "selected"}},
                     {{"name", "h_out"}, {"kind", "state"}, {"state", 0}},
                     {{"name", "last_out"}, {"kind", "state"}, {"state", 1}}};
  plan["params"] = {{{"name", "table"}, {"count", 0}, {"shape", {toyVocab, toyChannels}}},
                    {{"name", "decay.{i}"}, {"count", toyLayers}, {"shape", {toyChannels}}},
                    {{"name", "head"}, {"equals", "table"}}};
  json steps = {{{"op", "cast"}, {"to", "f32"}}, {{"op", "pad"}, {"to", toyStride}}};
  plan["weights"] = {
      {{"name", "table"}, {"from", "table"}, {"count", 0}, {"dtype", "f32"}, {"shape", {toyVocab, toyStride}}, {"steps", steps}},
      {{"name", "decay"}, {"from", "decay.{i}"}, {"count", toyLayers}, {"dtype", "f32"}, {"shape", {toyStride}}, {"steps", steps}}};
  plan["programs"] = {{"x86-64-v3", toyProgram()}};
  std::string code = toyCode(), source = "toy source";
  plan["hashes"] = {{"source", toHex(fnv1a(source.data(), source.size()))},
                    {"kernel/x86-64-v3", toHex(fnv1a(code.data(), code.size()))}};
  return plan;
}

//===-- Files ---------------------------------------------------------------------------------------------------------------===//

static void writeTensors(const std::string &path, const std::vector<TensorDeclaration> &tensors,
                         const std::vector<std::string> &data, const std::map<std::string, std::string> &metadata,
                         const SafetensorsWriterOptions &options) {
  auto writer = SafetensorsWriter::create(path, tensors, metadata, options);
  ASSERT_OK(writer);
  for (size_t i = 0; i < tensors.size(); ++i)
    ASSERT_OK(writer->write(tensors[i].name, data[i].data(), data[i].size()));
  ASSERT_OK(writer->commit());
}

static std::string bytesOf(const std::vector<float> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)};
}

void writeToyPackage(const std::string &path, bool external, const json *plan, const ToyCode &more) {
  std::string code = toyCode();
  std::vector<TensorDeclaration> tensors{{"kernel/x86-64-v3", {DType::U8, {int64_t(code.size())}}}};
  std::vector<std::string> data{code};
  for (auto &[name, bytes] : more) {
    tensors.push_back({name, {DType::U8, {int64_t(bytes.size())}}});
    data.push_back(bytes);
  }
  if (!external) {
    tensors.push_back({"weight/table", {DType::F32, {toyVocab, toyStride}}});
    tensors.push_back({"weight/decay", {DType::F32, {toyLayers, toyStride}}});
    data.push_back(bytesOf(padded(toyTable(), toyChannels)));
    data.push_back(bytesOf(padded(toyDecay(0), toyChannels)) + bytesOf(padded(toyDecay(1), toyChannels)));
  }
  writeTensors(path, tensors, data,
               {{"sm1.format", "1"}, {"sm1.source", "toy source"}, {"sm1.plan", (plan ? *plan : toyPlan(external)).dump()}},
               {4096, 64});
}

void writeToyCheckpoint(const std::string &path) {
  writeTensors(path,
               {{"table", {DType::F32, {toyVocab, toyChannels}}},
                {"decay.0", {DType::F32, {toyChannels}}},
                {"decay.1", {DType::F32, {toyChannels}}}},
               {bytesOf(toyTable()), bytesOf(toyDecay(0)), bytesOf(toyDecay(1))}, {}, {});
}

std::vector<int32_t> ToyTokens::randomTokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = int32_t(random() % toyVocab);
  return tokens;
}

sm1rt::Piece piece(sm1rt::Sequence &sequence, const std::vector<int32_t> &tokens, size_t begin, size_t count) {
  sm1rt::Piece result;
  result.sequence = &sequence;
  result.tokens = tokens.data() + begin;
  result.count = int64_t(std::min(count, tokens.size() - begin));
  for (int64_t row = 0; row < result.count; ++row)
    result.selected.push_back(row);
  return result;
}

} // namespace sm1test
