// A tiny package made by hand, for tests of the runtime without the compiler: its plan, and kernels written in C++ whose machine
// code is taken out of the test program itself.
//
// The model: x = table[token]; for each of 2 layers: h = decay * h + x, x = x + h; y = 2 x for selected rows; states "h" [2, 21]
// and "last" [21, 2], the two newest x of the embedding, oldest first.
#ifndef SM1_TESTS_UNIT_TESTPACKAGE_H
#define SM1_TESTS_UNIT_TESTPACKAGE_H

#include "TestFiles.h"
#include "sm1rt/Model.h"

#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

namespace sm1test {

constexpr int64_t toyVocab = 11, toyChannels = 21, toyLayers = 2, toyStride = 32;

/// Machine code of the kernels, and the plan of the package. External weights when `external`.
std::string toyCode();
nlohmann::json toyPlan(bool external);

/// Parameters: table [11, 21], decay.{i} [21].
std::vector<float> toyTable();
std::vector<float> toyDecay(int64_t layer);

/// Further tensors of code: name, bytes.
using ToyCode = std::vector<std::pair<std::string, std::string>>;

/// Writes the package, self-contained or external, with `plan` in place of its own when given.
void writeToyPackage(const std::string &path, bool external, const nlohmann::json *plan = nullptr, const ToyCode &more = {});
/// Writes the checkpoint as a file.
void writeToyCheckpoint(const std::string &path);

/// The model in plain loops, one token after the other: the same operations in the same order, so the same bits.
struct ToyReference {
  std::vector<float> h = std::vector<float>(toyLayers * toyChannels), last = std::vector<float>(toyChannels * 2);
  /// y of one token.
  std::vector<float> step(int32_t token);
};

/// For fixtures: random tokens, the same in every run of a test.
struct ToyTokens {
  std::vector<int32_t> randomTokens(size_t count);
  std::mt19937 random{7};
};

/// Tokens begin.. of a list, every row selected.
sm1rt::Piece piece(sm1rt::Sequence &sequence, const std::vector<int32_t> &tokens, size_t begin = 0, size_t count = SIZE_MAX);

} // namespace sm1test

#endif // SM1_TESTS_UNIT_TESTPACKAGE_H
