// Prompts and steps that are replayed as graphs have the bits of the same work launched one by one: sizes that come again, sizes
// that differ in one number only, sequences that go on. Usage: sm1-replays-test DEVICE TARGET PACKAGE, with PACKAGE from tokens to
// logits. Where the emulator is the driver, each number that tells two pieces of work apart is left out in turn, and has to be
// missed; on a GPU, where such launches could end its context, prompts are longer.

#include "TestProgram.h"

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

using namespace sm1rt;

namespace sm1rt::cuda {
extern int numberLeftOut; // of the key of a graph: PlantedGraphs.cpp
}

namespace {

std::string device, target, package;
constexpr size_t sequenceCount = 5;

/// Runs of one size, one behind the other: prompts of these lengths, or steps of so many sequences. The last `selected` rows of
/// each piece are wanted, in every other run those before them.
struct Alike {
  int times;
  std::vector<int64_t> lengths;
  int64_t selected = 1, steps = 0;
};
using Schedule = std::vector<Alike>;

/// More of everything than comes later: when memory grows, all that is recorded is forgotten.
const Alike largest = {1, {9, 9, 9}, 9};
/// A number of ReplayKey, with runs of which the last differs from those before in this number and no other. Prompts are recorded
/// from the third on.
struct Number {
  int index;
  const char *name;
  Schedule needs;
};
constexpr int longest = 3;
const std::vector<Number> numbers = {
    {0, "rows", {{3, {9, 9}, 3}, {1, {9, 6}, 3}}},
    {1, "sequences", {{3, {9, 9}, 3}, {1, {9, 5, 4}, 2}}},
    {2, "selected rows", {{3, {9}}, {1, {9}, 3}}},
    {longest, "rows of the longest", {{3, {129, 129}}, {1, {257, 1}}}}, // in bf16 scans are cut in time, at 256
};
const Schedule knownAgain = {{1, {9, 9}, 3}, {2, {}, 1, 2}, {1, {9}, 3}, {3, {1, 1}}, {2, {}, 1, 2}, {2, {9}}, {1, {9}, 0}};
const Schedule ofGpu = {
    {1, {900, 300, 30, 3}, 200},
    {3, {250, 250}},
    {3, {400, 100}},
    {1, {250, 250}},
    {1, {300, 200}},
    {2, {100, 400}},
    {1, {900, 300}},
    {4, {64}},
    {1, {64}, 2},
    {3, {64}, 20},
    {1, {64}},
    {2, {}, 1, 2},
    {3, {400, 50, 50}, 2},
    {1, {400, 100}},
    {1, {400, 100}, 3},
    {3, {400, 75}},
    {1, {400, 100}},
    {1, {400, 25}},
    {2, {}, 1, 3},
    {3, {1, 1, 1}},
    {1, {}, 1, 3},
    {1, {64}, 20},
    {1, {250, 250}, 0},
    {3, {384, 128}},
    {1, {128, 384}, 5},
    {3, {100}}, // whose last boxes have rows that are nobody's
    {3, {129}},
    {3, {300}},
    {3, {400}},
    {3, {500}},
    {3, {1100}},
};

bool isEmulated() { return std::getenv("SM1_CUDA_DRIVER") != nullptr; }

Model open(bool replays) {
  OpenOptions options;
  options.step = "kernels";
  options.device = device;
  options.isa = target;
  if (!replays)
    options.trace = [](std::string_view) {}; // who watches launches gets each
  Expected<Model> model = Model::open(package, options);
  if (!model) {
    fmt::print("{}\n", model.error().message);
    std::abort();
  }
  return std::move(*model);
}

/// What came of a run: logits, and the states of its sequences.
using Numbers = std::vector<std::vector<float>>;

bool sameBits(const Numbers &a, const Numbers &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const std::vector<float> &x, const std::vector<float> &y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  });
}

bool isZero(const Numbers &numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](const std::vector<float> &x) {
    return std::all_of(x.begin(), x.end(), [](float number) { return number == 0; });
  });
}

/// A model and its sequences, which go on from run to run.
class Session {
public:
  explicit Session(bool replays) : model(open(replays)) {
    for (size_t i = 0; i < sequenceCount; ++i)
      sequences.push_back(model.newSequence());
  }

  /// Number `number` of all runs: other tokens, and other sequences at other places, each time.
  Expected<Numbers> run(const Alike &alike, size_t number) {
    const int64_t vocabulary = model.plan().inputs.front().limit;
    std::vector<int64_t> lengths = alike.steps ? std::vector<int64_t>(size_t(alike.steps), 1) : alike.lengths;
    std::vector<std::vector<int32_t>> tokens(lengths.size());
    std::vector<Piece> pieces(lengths.size());
    for (size_t i = 0; i < lengths.size(); ++i) {
      for (int64_t t = 0; t < lengths[i]; ++t)
        tokens[i].push_back(int32_t((t * t * 7 + t * 13 + int64_t(number * 31 + i * 17)) % vocabulary));
      pieces[i].sequence = &sequenceOf(number, i);
      pieces[i].tokens = tokens[i].data();
      pieces[i].count = lengths[i];
      int64_t wanted = std::min(alike.selected, lengths[i]),
              last = lengths[i] - (number % 2 && 2 * wanted <= lengths[i] ? wanted : 0);
      for (int64_t row = last - wanted; row < last; ++row)
        pieces[i].selected.push_back(row);
    }
    Expected<Outputs> outputs = model.run(alike.steps ? "step" : "prefill", pieces);
    if (!outputs)
      return outputs.error();
    Numbers numbers = *outputs;
    for (size_t i = 0; i < lengths.size(); ++i)
      for (size_t state = 0; state < model.plan().states.size(); ++state)
        numbers.push_back(sequenceOf(number, i).read(state));
    return numbers;
  }

private:
  Sequence &sequenceOf(size_t number, size_t piece) { return sequences[(number * 2 + piece) % sequenceCount]; }

  Model model;
  std::vector<Sequence> sequences;
};

/// The first run of a schedule that fails, or that gives something else when it may be replayed than launch by launch.
std::optional<std::string> firstDifference(const Schedule &schedule) {
  Session replayed(/*replays=*/true), launched(/*replays=*/false);
  size_t number = 0;
  for (const Alike &alike : schedule)
    for (int i = 0; i < alike.times; ++i, ++number) {
      Expected<Numbers> wanted = launched.run(alike, number), got = replayed.run(alike, number);
      std::string name = alike.steps ? fmt::format("run {}, {} steps", number, alike.steps)
                                     : fmt::format("run {}, rows {}", number, fmt::join(alike.lengths, ", "));
      if (!wanted || !got)
        return fmt::format("{}: {}", name, (wanted ? got : wanted).error().message);
      if (isZero(*wanted))
        return name + ": nothing but zeros";
      if (!sameBits(*got, *wanted))
        return name + ": other bits";
    }
  return std::nullopt;
}

/// Whether a scan of one sequence has as many blocks as its length asks for.
bool cutsTime() { return open(/*replays=*/true).plan().compute == "bf16"; }

TEST(Replays, HaveTheBitsOfLaunches) {
  Schedule schedule = {largest};
  for (const Number &number : numbers)
    if (number.index != longest || cutsTime())
      schedule.insert(schedule.end(), number.needs.begin(), number.needs.end());
  schedule.insert(schedule.end(), knownAgain.begin(), knownAgain.end());
  EXPECT_EQ(firstDifference(isEmulated() ? schedule : ofGpu).value_or("none"), "none");
}

TEST(Replays, NeedEveryNumberOfTheirKeys) {
  if (!isEmulated() || !cutsTime())
    GTEST_SKIP() << "in bf16 on the emulator only";
  for (const Number &number : numbers) {
    Schedule schedule = {largest};
    schedule.insert(schedule.end(), number.needs.begin(), number.needs.end());
    cuda::numberLeftOut = number.index;
    std::optional<std::string> difference = firstDifference(schedule);
    cuda::numberLeftOut = -1;
    fmt::print("without {}: {}\n", number.name, difference.value_or("the same bits"));
    EXPECT_TRUE(difference) << "without " << number.name;
  }
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> words = wordsOf(argc, argv, "sm1-replays-test DEVICE TARGET PACKAGE");
  device = words[0];
  target = words[1];
  package = words[2];
  skipWithout(device);
  return RUN_ALL_TESTS();
}
