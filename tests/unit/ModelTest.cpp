// Models and sequences over the hand-made package: every way to cut a run gives the bits of one token after the other, and an error
// leaves the sequences alone.
#include "sm1rt/Model.h"
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/Call.h"
#include "sm1rt/Plan.h"
#include "sm1rt/Safetensors.h"

#include <cmath>

using namespace sm1rt;
using namespace sm1test;
using nlohmann::json;

namespace {

class ModelTest : public testing::Test, protected ToyTokens {
protected:
  void SetUp() override {
    if (!cpuFeatures().v3)
      GTEST_SKIP() << "this machine does not run x86-64-v3";
    package = folder.file("toy.sm1pkg");
    writeToyPackage(package, false);
  }

  Model open(int threads = 2, int64_t rowsPerPass = 256) {
    OpenOptions options;
    options.threads = threads;
    options.rowsPerPass = rowsPerPass;
    auto model = Model::open(package, options);
    EXPECT_TRUE(bool(model)) << model.error().message;
    return std::move(*model);
  }

  TemporaryFolder folder;
  std::string package;
};

/// y of every token, and the state after them.
std::vector<float> expected(const std::vector<int32_t> &tokens, ToyReference &reference) {
  std::vector<float> y;
  for (int32_t token : tokens) {
    std::vector<float> row = reference.step(token);
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

void expectState(const Sequence &sequence, const ToyReference &reference) {
  EXPECT_EQ(sequence.read(0), reference.h);
  EXPECT_EQ(sequence.read(1), reference.last);
}

TEST_F(ModelTest, WholeSequence) {
  Model model = open();
  EXPECT_EQ(model.deviceName(), "cpu (x86-64-v3, 2 threads)");
  std::vector<int32_t> tokens = randomTokens(50);
  Sequence sequence = model.newSequence();
  auto outputs = model.run("prefill", {piece(sequence, tokens)});
  ASSERT_OK(outputs);
  ToyReference reference;
  EXPECT_EQ((*outputs)[0], expected(tokens, reference));
  expectState(sequence, reference);
  EXPECT_EQ(sequence.position(), 50);
}

// Random batches, ragged lengths, chunks, passes and threads: bit for bit the sequence alone, one token at a time.
TEST_F(ModelTest, EveryCutGivesTheSameBits) {
  for (int round = 0; round < 300; ++round) {
    Model model = open(1 + int(random() % 3), 1 + int64_t(random() % 40));
    size_t batch = 1 + random() % 5;
    std::vector<Sequence> sequences;
    std::vector<std::vector<int32_t>> tokens;
    std::vector<size_t> done(batch);
    std::vector<std::vector<float>> y(batch);
    for (size_t b = 0; b < batch; ++b) {
      sequences.push_back(model.newSequence());
      tokens.push_back(randomTokens(1 + random() % 60));
    }
    for (bool more = true; more;) {
      std::vector<Piece> pieces;
      std::vector<size_t> owners;
      bool step = random() % 3 == 0;
      for (size_t b = 0; b < batch; ++b)
        if (done[b] < tokens[b].size() && random() % 4 != 0) {
          pieces.push_back(piece(sequences[b], tokens[b], done[b], step ? 1 : 1 + random() % 25));
          owners.push_back(b);
        }
      if (!pieces.empty()) {
        auto outputs = model.run(step ? "step" : "prefill", pieces);
        ASSERT_OK(outputs);
        const float *from = (*outputs)[0].data();
        for (size_t i = 0; i < pieces.size(); ++i) {
          y[owners[i]].insert(y[owners[i]].end(), from, from + pieces[i].count * toyChannels);
          from += pieces[i].count * toyChannels;
          done[owners[i]] += size_t(pieces[i].count);
        }
      }
      more = false;
      for (size_t b = 0; b < batch; ++b)
        more |= done[b] < tokens[b].size();
    }
    for (size_t b = 0; b < batch; ++b) {
      ToyReference reference;
      ASSERT_EQ(y[b], expected(tokens[b], reference));
      expectState(sequences[b], reference);
    }
  }
}

TEST_F(ModelTest, SelectedRowsOnly) {
  for (int64_t rowsPerPass : {1, 7, 256}) {
    Model model = open(2, rowsPerPass);
    std::vector<int32_t> tokens = randomTokens(30);
    Sequence a = model.newSequence(), b = model.newSequence(), c = model.newSequence();
    Piece first = piece(a, tokens), second = piece(b, tokens), third = piece(c, tokens);
    first.selected = {0, 13, 29};
    second.selected = {};
    third.selected = {28};
    auto outputs = model.run("prefill", {first, second, third});
    ASSERT_OK(outputs);
    ToyReference reference;
    std::vector<float> all = expected(tokens, reference), wanted;
    for (int64_t row : {0, 13, 29, 28})
      wanted.insert(wanted.end(), all.begin() + row * toyChannels, all.begin() + (row + 1) * toyChannels);
    EXPECT_EQ((*outputs)[0], wanted);
    expectState(b, reference);
  }
}

TEST_F(ModelTest, ForkResetReadWrite) {
  Model model = open();
  std::vector<int32_t> start = randomTokens(10), other = randomTokens(5);
  Sequence sequence = model.newSequence();
  ASSERT_OK(model.run("prefill", {piece(sequence, start)}));
  Sequence fork = sequence.fork();
  ASSERT_OK(model.run("prefill", {piece(fork, other)}));
  ToyReference reference, forked;
  expected(start, reference);
  forked = reference;
  expected(other, forked);
  expectState(sequence, reference);
  expectState(fork, forked);
  Sequence copy = model.newSequence();
  ASSERT_OK(copy.write(0, fork.read(0)));
  ASSERT_OK(copy.write(1, fork.read(1)));
  expectState(copy, forked);
  fork.reset();
  expectState(fork, ToyReference());
  EXPECT_EQ(fork.position(), 0);
  EXPECT_ERROR(copy.write(0, {1, 2}), "state 'h': 2 values given, it has 42");
  EXPECT_ERROR(copy.write(2, {}), "state 2 does not exist");
  EXPECT_ERROR(copy.write(0, std::vector<float>(42, std::nanf(""))), "not finite");
}

TEST_F(ModelTest, SaveAndLoad) {
  Model model = open();
  std::vector<int32_t> start = randomTokens(10), rest = randomTokens(5);
  Sequence sequence = model.newSequence();
  ASSERT_OK(model.run("prefill", {piece(sequence, start)}));
  ASSERT_OK(sequence.save(folder.file("state")));
  Model again = open(1, 3);
  Sequence loaded = again.newSequence();
  ASSERT_OK(loaded.load(folder.file("state")));
  EXPECT_EQ(loaded.position(), 10);
  ASSERT_OK(again.run("prefill", {piece(loaded, rest)}));
  ToyReference reference;
  expected(start, reference);
  expected(rest, reference);
  expectState(loaded, reference);

  EXPECT_ERROR(sequence.save(folder.file("no/state")), "no/state: no such file or directory; there is no folder ");
  EXPECT_ERROR(loaded.load(package), "not a state file");
  std::string bytes = readBytes(folder.file("state"));
  writeBytes(folder.file("state"), bytes.substr(0, bytes.size() - 4));
  EXPECT_ERROR(loaded.load(folder.file("state")), "cut short");
  bytes[bytes.find("sm1.fingerprint") + 18] ^= 1;
  writeBytes(folder.file("state"), bytes);
  EXPECT_ERROR(loaded.load(folder.file("state")), "load it with the model that saved it");
  expectState(loaded, reference);
  EXPECT_EQ(loaded.position(), 15);
}

// A refused run changes nothing, not even for pieces that were right.
TEST_F(ModelTest, RefusesBadRuns) {
  Model model = open(), stranger = open();
  std::vector<int32_t> tokens = randomTokens(6), bad = tokens;
  bad[4] = toyVocab;
  Sequence a = model.newSequence(), b = model.newSequence(), c = stranger.newSequence();
  ASSERT_OK(model.run("prefill", {piece(a, tokens)}));
  ToyReference reference;
  expected(tokens, reference);
  EXPECT_ERROR(model.run("prefill", {piece(a, tokens), piece(b, bad)}), "piece 1: token 11 at position 4 is outside 0 to 10");
  bad[4] = -1;
  EXPECT_ERROR(model.run("prefill", {piece(a, tokens), piece(b, bad)}), "token -1");
  EXPECT_ERROR(model.run("decode", {piece(a, tokens)}), "entry 'decode' does not exist, the package has prefill, step");
  EXPECT_ERROR(model.run("prefill", {}), "at least one piece");
  EXPECT_ERROR(model.run("step", {piece(a, tokens)}), "6 rows, a step takes 1");
  EXPECT_ERROR(model.run("prefill", {piece(a, tokens), piece(a, tokens)}), "piece 1: its sequence is already part of this run");
  EXPECT_ERROR(model.run("prefill", {piece(c, tokens)}), "does not belong to this model");
  Piece wrong = piece(a, tokens);
  wrong.count = 0;
  EXPECT_ERROR(model.run("prefill", {wrong}), "0 rows, at least 1");
  wrong = piece(a, tokens);
  wrong.tokens = nullptr;
  EXPECT_ERROR(model.run("prefill", {wrong}), "no tokens");
  wrong = piece(a, tokens);
  wrong.rows = {nullptr};
  EXPECT_ERROR(model.run("prefill", {wrong}), "1 row inputs given, the model has 0");
  wrong = piece(a, tokens);
  wrong.selected = {6};
  EXPECT_ERROR(model.run("prefill", {wrong}), "selected row 6 is outside 0 to 5");
  wrong.selected = {3, 3};
  EXPECT_ERROR(model.run("prefill", {wrong}), "rows must ascend");
  expectState(a, reference);
  expectState(b, ToyReference());
  EXPECT_EQ(a.position(), 6);
}

// A form that cannot be cut: one pass however long, and only from the start.
TEST_F(ModelTest, WholeSequencePlans) {
  json plan = toyPlan(false);
  plan["whole_sequence"] = true;
  plan["form"] = "closed_form";
  writeToyPackage(package, false, &plan);
  int launches = 0;
  OpenOptions options;
  options.rowsPerPass = 4;
  options.trace = [&](std::string_view line) { launches += line.find("kernel=embed") != std::string_view::npos; };
  auto model = Model::open(package, options);
  ASSERT_OK(model);
  std::vector<int32_t> tokens = randomTokens(30);
  Sequence a = model->newSequence(), b = model->newSequence();
  ASSERT_OK(model->run("prefill", {piece(a, tokens), piece(b, tokens, 0, 3)}));
  EXPECT_EQ(launches, 2);
  EXPECT_ERROR(model->run("prefill", {piece(a, tokens)}), "this one is at position 30");
  ASSERT_OK(model->run("step", {piece(a, tokens, 0, 1)}));
}

TEST_F(ModelTest, TracesEveryLaunch) {
  std::vector<std::string> lines;
  OpenOptions options;
  options.threads = 1;
  options.trace = [&](std::string_view line) { lines.emplace_back(line); };
  auto model = Model::open(package, options);
  ASSERT_OK(model);
  std::vector<int32_t> tokens = randomTokens(9);
  Sequence sequence = model->newSequence();
  ASSERT_OK(model->run("prefill", {piece(sequence, tokens)}));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].substr(0, lines[0].find(" us=")), "entry=prefill layer=- kernel=embed device=cpu rows=9 panels=2 tasks=3");
  EXPECT_NE(lines[3].find("layer=1 kernel=scan"), std::string::npos) << lines[3];
}

// Which launches a pass takes follows from its rows, or from what was asked for.
TEST_F(ModelTest, TakesTheLaunchesForItsRows) {
  nlohmann::json plan = toyPlan(false), &program = plan["programs"]["x86-64-v3"];
  program["entries"]["prefill_few"] = program["entries"]["prefill"];
  program["ranges"] = {{"prefill_few", {{"entry", "prefill"}, {"least_rows", 2}, {"most_rows", 5}}}};
  writeToyPackage(package, false, &plan);
  auto entries = [&](std::set<std::string> variants, size_t rows) {
    OpenOptions options;
    options.rowsPerPass = 8;
    options.variants = std::move(variants);
    auto model = Model::open(package, options);
    EXPECT_TRUE(bool(model));
    std::string seen;
    model->timeLaunches([&](const LaunchTime &time) {
      if (time.launch->kernel == 0) // once a pass
        seen += (seen.empty() ? "" : " ") + std::string(time.entry);
    });
    std::vector<int32_t> tokens = randomTokens(rows);
    Sequence sequence = model->newSequence();
    ToyReference reference;
    auto outputs = model->run("prefill", {piece(sequence, tokens)});
    EXPECT_EQ((*outputs)[0], expected(tokens, reference));
    return seen;
  };
  EXPECT_EQ(entries({}, 1), "prefill");
  EXPECT_EQ(entries({}, 2), "prefill_few");
  EXPECT_EQ(entries({}, 13), "prefill prefill_few");
  EXPECT_EQ(entries({"none"}, 3), "prefill");
  EXPECT_EQ(entries({"prefill_few"}, 8), "prefill_few");
  Model model = open();
  std::vector<int32_t> tokens = randomTokens(3);
  Sequence sequence = model.newSequence();
  EXPECT_ERROR(model.run("prefill_few", {piece(sequence, tokens)}),
               "entry 'prefill_few' does not exist, the package has prefill, step");
}

// A step's program for many sequences computes every row, and pieces get those that they want.
TEST_F(ModelTest, SelectsEveryRowInStepsOfManySequences) {
  nlohmann::json plan = toyPlan(false), &program = plan["programs"]["x86-64-v3"];
  program["entries"]["step_few"] = program["entries"]["step"];
  program["ranges"] = {{"step_few", {{"entry", "step"}, {"least_rows", 2}, {"most_rows", 9}}}};
  writeToyPackage(package, false, &plan);
  std::string selected;
  OpenOptions options;
  options.trace = [&](std::string_view line) {
    if (line.find("kernel=head") != std::string_view::npos)
      selected = line.substr(line.find("rows="), std::string_view("rows=6").size());
  };
  auto model = Model::open(package, options);
  ASSERT_OK(model);
  std::vector<std::vector<int32_t>> tokens;
  std::vector<Sequence> sequences;
  for (int i = 0; i < 6; ++i) {
    tokens.push_back(randomTokens(1));
    sequences.push_back(model->newSequence());
  }
  std::vector<Piece> pieces;
  std::vector<float> y;
  for (size_t i = 0; i < tokens.size(); ++i) {
    ToyReference reference;
    std::vector<float> row = expected(tokens[i], reference);
    pieces.push_back(piece(sequences[i], tokens[i]));
    if (i == 0 || i == 3)
      pieces.back().selected.clear();
    else
      y.insert(y.end(), row.begin(), row.end());
  }
  auto outputs = model->run("step", pieces);
  ASSERT_OK(outputs);
  EXPECT_EQ(selected, "rows=6");
  EXPECT_EQ((*outputs)[0], y);
}

// Asked for and no longer asked for between runs of one model.
TEST_F(ModelTest, TimesEveryLaunch) {
  Model model = open();
  std::vector<int32_t> tokens = randomTokens(9);
  Sequence a = model.newSequence(), b = model.newSequence();
  const PlanProgram &program = model.plan().programs.find(model.target())->second;
  std::vector<std::string> kernels;
  int64_t rows = 0, segments = 0;
  double seconds = 0;
  model.timeLaunches([&](const LaunchTime &time) {
    EXPECT_EQ(time.entry, "prefill");
    kernels.push_back(program.kernels[time.launch->kernel].name);
    rows = std::max(rows, time.rows);
    segments = std::max(segments, time.segments);
    seconds += time.seconds;
  });
  ASSERT_OK(model.run("prefill", {piece(a, tokens), piece(b, tokens, 0, 3)}));
  ASSERT_EQ(kernels.size(), 5u);
  EXPECT_EQ(kernels.front(), "embed");
  EXPECT_EQ(kernels[3], "scan");
  EXPECT_EQ(rows, 12);
  EXPECT_EQ(segments, 2);
  EXPECT_GT(seconds, 0);
  model.timeLaunches(nullptr);
  ASSERT_OK(model.run("prefill", {piece(a, tokens)}));
  EXPECT_EQ(kernels.size(), 5u);
}

TEST_F(ModelTest, GenericCall) {
  Model model = open();
  std::vector<int32_t> tokens = randomTokens(12);
  std::vector<float> h(size_t(2 * toyLayers * toyChannels));
  for (size_t i = 0; i < h.size(); ++i)
    h[i] = float(i) * 0.01f;
  auto outputs = call(model, "prefill",
                      {{"tokens", {DType::I32, {2, 6}}, tokens.data()}, {"h_in", {DType::F32, {2, 2, 21}}, h.data()}}, {6, 4});
  ASSERT_OK(outputs);
  ASSERT_EQ(outputs->size(), 3u);
  EXPECT_EQ((*outputs)[0].shape, (std::vector<int64_t>{2, 6, toyChannels}));
  EXPECT_EQ((*outputs)[2].shape, (std::vector<int64_t>{2, toyChannels, 2}));
  std::vector<float> y, hOut, last;
  for (size_t b = 0; b < 2; ++b) {
    ToyReference reference;
    reference.h.assign(h.begin() + int64_t(b) * 42, h.begin() + int64_t(b + 1) * 42);
    std::vector<float> rows = expected({tokens.begin() + int64_t(b) * 6, tokens.begin() + int64_t(b) * 6 + (b ? 4 : 6)}, reference);
    rows.resize(size_t(6 * toyChannels));
    y.insert(y.end(), rows.begin(), rows.end());
    hOut.insert(hOut.end(), reference.h.begin(), reference.h.end());
    last.insert(last.end(), reference.last.begin(), reference.last.end());
  }
  EXPECT_EQ((*outputs)[0].values, y);
  EXPECT_EQ((*outputs)[1].values, hOut);
  EXPECT_EQ((*outputs)[2].values, last);
  InputTensor good{"tokens", {DType::I32, {2, 6}}, tokens.data()};
  EXPECT_ERROR(call(model, "prefill", {}), "input 'tokens' is missing");
  EXPECT_ERROR(call(model, "prefill", {{"token", {DType::I32, {2, 6}}, tokens.data()}}), "the first that is given is 'token'");
  EXPECT_ERROR(call(model, "prefill", {good, {"x", {DType::F32, {1}}, h.data()}}), "'x' is given twice or is none");
  EXPECT_ERROR(call(model, "prefill", {{"tokens", {DType::I32, {12}}, tokens.data()}}), "expected [batch, time, ...]");
  EXPECT_ERROR(call(model, "prefill", {{"tokens", {DType::F32, {2, 6}}, tokens.data()}}),
               "is F32 [2, 6], the call needs I32 [2, 6]");
  EXPECT_ERROR(call(model, "prefill", {good, {"h_in", {DType::F32, {2, 42}}, h.data()}}), "the call needs F32 [2, 2, 21]");
  EXPECT_ERROR(call(model, "prefill", {good}, {6}), "1 lengths for a batch of 2");
  EXPECT_ERROR(call(model, "prefill", {good}, {6, 7}), "length 7 of sequence 1 is outside 1 to 6");
}

//===-- Opening -------------------------------------------------------------------------------------------------------------===//

TEST_F(ModelTest, RefusesOptions) {
  auto with = [&](auto change) {
    OpenOptions options;
    change(options);
    return Model::open(package, options);
  };
  EXPECT_ERROR(with([](auto &o) { o.device = "cuda"; }), "built for x86-64-v3, no GPU; recompile with --target=sm_");
  EXPECT_ERROR(with([](auto &o) { o.device = "tpu"; }), "device 'tpu' is none of");
  EXPECT_ERROR(with([](auto &o) { o.isa = "x86-64-v4"; }), "no kernels for 'x86-64-v4', the package holds x86-64-v3");
  EXPECT_ERROR(with([](auto &o) { o.threads = -1; }), "threads: -1");
  EXPECT_ERROR(with([](auto &o) { o.rowsPerPass = -1; }), "rows per pass: -1");
  EXPECT_ERROR(with([](auto &o) { o.params = "somewhere"; }), "carries its own weights");
}

class CheckpointTest : public ModelTest {
protected:
  void SetUp() override {
    ModelTest::SetUp();
    if (IsSkipped())
      return;
    writeToyPackage(package, true);
    writeToyCheckpoint(checkpoint());
  }
  std::string checkpoint() { return folder.file("model.safetensors"); }

  Expected<Model> bind(const std::string &params) {
    OpenOptions options;
    options.params = params;
    return Model::open(package, options);
  }
  /// Binds a checkpoint of these tensors.
  Expected<Model> bindTensors(const std::vector<std::pair<TensorDeclaration, std::vector<float>>> &tensors) {
    std::vector<TensorDeclaration> declarations;
    for (auto &tensor : tensors)
      declarations.push_back(tensor.first);
    auto writer = SafetensorsWriter::create(checkpoint(), declarations, {});
    for (auto &[declaration, values] : tensors)
      if (auto written = writer->write(declaration.name, values.data(), values.size() * 4); !written)
        return written.error();
    if (auto committed = writer->commit(); !committed)
      return committed.error();
    return bind(folder.path.string());
  }

  std::pair<TensorDeclaration, std::vector<float>> table{{"table", {DType::F32, {toyVocab, toyChannels}}}, toyTable()};
  std::pair<TensorDeclaration, std::vector<float>> decay0{{"decay.0", {DType::F32, {toyChannels}}}, toyDecay(0)};
  std::pair<TensorDeclaration, std::vector<float>> decay1{{"decay.1", {DType::F32, {toyChannels}}}, toyDecay(1)};
  std::pair<TensorDeclaration, std::vector<float>> head{{"head", {DType::F32, {toyVocab, toyChannels}}}, toyTable()};
};

TEST_F(CheckpointTest, BindsFolderAndFile) {
  for (const std::string &params : {folder.path.string(), checkpoint()}) {
    auto model = bind(params);
    ASSERT_OK(model);
    std::vector<int32_t> tokens = randomTokens(20);
    Sequence sequence = model->newSequence();
    auto outputs = model->run("prefill", {piece(sequence, tokens)});
    ASSERT_OK(outputs);
    ToyReference reference;
    EXPECT_EQ((*outputs)[0], expected(tokens, reference));
  }
}

// Each layer takes what the next one has, the last its own.
TEST_F(CheckpointTest, TakesWeightsOfTheNextLayer) {
  std::vector<int32_t> tokens = randomTokens(20);
  auto outputsOf = [&](Model &model) {
    Sequence sequence = model.newSequence();
    auto outputs = model.run("prefill", {piece(sequence, tokens)});
    EXPECT_TRUE(bool(outputs)) << outputs.error().message;
    return (*outputs)[0];
  };
  auto wanted = bindTensors({table, {decay0.first, toyDecay(1)}, decay1});
  ASSERT_OK(wanted);
  std::vector<float> y = outputsOf(*wanted);
  json plan = toyPlan(true);
  for (json &entry : plan["programs"]["x86-64-v3"]["entries"])
    entry[2]["body"][0]["args"][1] = {{"next_weight", 1}};
  writeToyPackage(package, true, &plan);
  auto model = bindTensors({table, decay0, decay1});
  ASSERT_OK(model);
  EXPECT_EQ(outputsOf(*model), y);
}

// Or one that stands behind the layers.
TEST_F(CheckpointTest, TakesTheWeightBehindTheLayersInTheLast) {
  std::vector<int32_t> tokens = randomTokens(20);
  auto outputsOf = [&](Expected<Model> model) {
    EXPECT_TRUE(bool(model)) << model.error().message;
    Sequence sequence = model->newSequence();
    auto outputs = model->run("prefill", {piece(sequence, tokens)});
    EXPECT_TRUE(bool(outputs)) << outputs.error().message;
    return (*outputs)[0];
  };
  std::vector<float> behind = toyDecay(0);
  for (float &value : behind)
    value *= 0.75f;
  std::vector<float> y = outputsOf(bindTensors({table, {decay0.first, toyDecay(1)}, {decay1.first, behind}}));
  json plan = toyPlan(true);
  plan["params"].push_back({{"name", "behind"}, {"count", 0}, {"shape", {toyChannels}}});
  json weight = plan["weights"][1];
  weight.update({{"name", "behind"}, {"from", "behind"}, {"count", 0}});
  plan["weights"].push_back(weight);
  for (json &entry : plan["programs"]["x86-64-v3"]["entries"])
    entry[2]["body"][0]["args"][1] = {{"next_weight", 1}, {"last", 2}};
  writeToyPackage(package, true, &plan);
  EXPECT_EQ(outputsOf(bindTensors({table, decay0, decay1, {{"behind", decay1.first.type}, behind}})), y);
}

// The same weights packed by either side are the same model; other weights are another.
TEST_F(CheckpointTest, FingerprintFollowsWeights) {
  auto model = bind(checkpoint());
  ASSERT_OK(model);
  writeToyPackage(package, false);
  EXPECT_EQ(*model->fingerprint(), *open().fingerprint());
  writeToyPackage(package, true);
  decay1.second[20] += 0.25f;
  auto other = bindTensors({table, decay0, decay1});
  ASSERT_OK(other);
  EXPECT_NE(*model->fingerprint(), *other->fingerprint());
}

TEST_F(CheckpointTest, IsStrict) {
  ASSERT_OK(bindTensors({table, decay0, decay1}));
  ASSERT_OK(bindTensors({table, decay0, decay1, head}));
  EXPECT_ERROR(bind(""), "name a checkpoint with --params");
  EXPECT_ERROR(bind(folder.file("none")), "no such file");
  EXPECT_ERROR(bindTensors({table, decay0}), "tensor 'decay.1' is missing, model 'toy' needs it with shape [21]");
  EXPECT_ERROR(bindTensors({table, decay0, decay1, {{"decay.2", decay1.first.type}, decay1.second}}),
               "tensor 'decay.2' is not part of model 'toy'; convert the checkpoint, remove the tensor, or mend the sizes");
  auto wide = table;
  wide.first.type.shape = {toyChannels, toyVocab};
  EXPECT_ERROR(bindTensors({wide, decay0, decay1}),
               "tensor 'table' has shape [21, 11], model 'toy' needs [11, 21]; take this model's checkpoint");
  auto integers = decay0;
  integers.first.type.dtype = DType::I32;
  EXPECT_ERROR(bindTensors({table, integers, decay1}), "tensor 'decay.0' is I32 [21]");
  for (float bad : {std::nanf(""), HUGE_VALF}) {
    auto broken = decay1;
    broken.second[17] = bad;
    EXPECT_ERROR(bindTensors({table, decay0, broken}), "tensor 'decay.1' is not finite at element 17");
  }
  auto untied = head;
  untied.second[100] += 1;
  EXPECT_ERROR(bindTensors({table, decay0, decay1, untied}), "tensor 'head' differs from 'table'");
}

} // namespace
