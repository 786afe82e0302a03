// Saved states, read without trust and without the model.
#include "sm1rt/StateFile.h"

#include "Guard.h"
#include "StateFileNames.h"
#include "sm1rt/Packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace sm1rt {

using namespace stateFile;

/// Tokens of one conversation; a longer one is no file of ours.
static constexpr uint64_t tokenLimit = uint64_t(1) << 28;

/// A whole number that fills the text of a metadata entry.
template <typename Number> static Expected<Number> numberOf(const SafetensorsFile &file, const char *key) {
  auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  Number number = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size())
    return Error{fmt::format("{}: {} '{}' is no count", file.path(), key, text)};
  return number;
}

static std::string textOf(const SafetensorsFile &file, const char *key) {
  auto found = file.metadata().find(key);
  return found == file.metadata().end() ? std::string() : found->second;
}

Expected<StateFile> StateFile::open(const std::string &path) {
  return guarded([&]() -> Expected<StateFile> {
    auto file = SafetensorsFile::open(path);
    if (!file)
      return file.error();
    StateFile state(std::move(*file));
    if (auto read = state.readHead(); !read)
      return read.error();
    return state;
  });
}

Expected<void> StateFile::readHead() {
  if (textOf(file, formatKey) != format)
    return Error{fmt::format("{}: not a state file of this release, its header has {} '{}', expected '{}'", path(), formatKey,
                             textOf(file, formatKey), format)};
  modelName = textOf(file, modelKey);
  modelFingerprint = textOf(file, fingerprintKey);
  auto position = numberOf<int64_t>(file, positionKey);
  if (!position)
    return position.error();
  tokensRead = *position;
  if (tokensRead < 0)
    return Error{fmt::format("{}: {} is {}, must be at least 0", path(), positionKey, tokensRead)};
  for (const FileTensor &tensor : file.tensors())
    if (tensor.name == tokensTensor) {
      if (auto read = readTokens(tensor); !read)
        return read;
    } else if (tensor.name.compare(0, statePrefix.size(), statePrefix) == 0) {
      stateTensors.push_back(&tensor);
    } else {
      return Error{fmt::format("{}: tensor '{}' is neither a state nor the tokens", path(), tensor.name)};
    }
  return {};
}

Expected<void> StateFile::readTokens(const FileTensor &tensor) {
  if (tensor.type.dtype != DType::I32 || tensor.type.shape.size() != 1 || tensor.bytes / 4 > tokenLimit)
    return Error{fmt::format("{}: tensor '{}' is {}, must be I32 [n] with n at most {}", path(), tensor.name, toString(tensor.type),
                             tokenLimit)};
  saved.tokens.resize(tensor.bytes / 4);
  std::memcpy(saved.tokens.data(), tensor.data, tensor.bytes);
  for (size_t i = 0; i < saved.tokens.size(); ++i)
    if (saved.tokens[i] < 0)
      return Error{fmt::format("{}: token {} is {}, ids start at 0", path(), i, saved.tokens[i])};
  if (tokensRead > int64_t(saved.tokens.size()))
    return Error{fmt::format("{}: the state has read {} tokens, the conversation has {}", path(), tokensRead, saved.tokens.size())};
  auto seed = numberOf<uint64_t>(file, seedKey), sequence = numberOf<uint64_t>(file, sequenceKey);
  if (!seed || !sequence)
    return !seed ? seed.error() : sequence.error();
  saved.seed = *seed;
  saved.sequence = *sequence;
  return {};
}

Expected<std::vector<float>> StateFile::read(const std::string &name, const std::vector<int64_t> &shape) const {
  TensorType type{DType::F32, shape};
  const FileTensor *tensor = file.find(std::string(statePrefix) + name);
  if (!tensor)
    return Error{fmt::format("{}: tensor '{}{}' is missing", path(), statePrefix, name)};
  if (tensor->type != type)
    return Error{
        fmt::format("{}: tensor '{}' is {}, the model needs {}", path(), tensor->name, toString(tensor->type), toString(type))};
  std::vector<float> values(tensor->bytes / 4);
  std::memcpy(values.data(), tensor->data, tensor->bytes);
  if (int64_t bad = firstNonFinite(DType::F32, values.data(), values.size()); bad >= 0)
    return Error{fmt::format("{}: tensor '{}' is not finite at element {}", path(), tensor->name, bad)};
  return values;
}

//===-- Comparison ----------------------------------------------------------------------------------------------------------===//

static StateDistance distanceOf(std::string name, const std::vector<float> &a, const std::vector<float> &b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  bool sameBits = std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  double relative = difference == 0 ? 0 : norm == 0 ? std::numeric_limits<double>::infinity() : std::sqrt(difference / norm);
  return {std::move(name), sameBits, relative};
}

bool StateComparison::identical() const {
  bool sameStates = std::all_of(states.begin(), states.end(), [](const StateDistance &state) { return state.sameBits; });
  return sameModel && samePosition && sameKey && sameTokens && sameStates;
}

static Expected<StateComparison> compareChecked(const StateFile &a, const StateFile &b) {
  const Conversation &left = a.conversation(), &right = b.conversation();
  StateComparison result;
  result.sameModel = a.fingerprint() == b.fingerprint();
  result.samePosition = a.position() == b.position();
  result.sameKey = left.seed == right.seed && left.sequence == right.sequence;
  result.sameTokens = left.tokens == right.tokens;
  auto parted = std::mismatch(left.tokens.begin(), left.tokens.end(), right.tokens.begin(), right.tokens.end());
  result.commonTokens = parted.first - left.tokens.begin();
  if (a.states().size() != b.states().size())
    return Error{fmt::format("{} has {} states, {} has {}; states of models of one shape can be compared", a.path(),
                             a.states().size(), b.path(), b.states().size())};
  for (const FileTensor *tensor : a.states()) {
    std::string name = tensor->name.substr(statePrefix.size());
    auto ours = a.read(name, tensor->type.shape), theirs = b.read(name, tensor->type.shape);
    if (!ours || !theirs)
      return !ours ? ours.error() : theirs.error();
    result.states.push_back(distanceOf(name, *ours, *theirs));
  }
  return result;
}

Expected<StateComparison> compareStates(const StateFile &a, const StateFile &b) {
  return guarded([&] { return compareChecked(a, b); });
}

} // namespace sm1rt
