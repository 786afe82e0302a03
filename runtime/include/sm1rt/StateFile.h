// A saved state as a file: what it belongs to, where it stands, and how far two of them are apart. Needs no model to be read.
//
// The file is safetensors. Its metadata has sm1.state (this format, "1"), sm1.model, sm1.fingerprint, sm1.position; tensors
// `state.<name>` F32 [layers, shape...] are the states. With a conversation there are also sm1.seed and sm1.sequence, and a tensor
// `tokens` I32 [n]. Nothing else may be in it.
#ifndef SM1RT_STATEFILE_H
#define SM1RT_STATEFILE_H

#include "sm1rt/Error.h"
#include "sm1rt/Safetensors.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sm1rt {

/// What a conversation needs beside the model's memory to go on as if it had not been interrupted.
struct Conversation {
  /// All tokens so far. The state has read the first position() of them; the rest, after sampling the last one, is still to be run.
  std::vector<int32_t> tokens;
  /// Key of the random numbers: with the number of tokens so far they give the next draw (uniformAt in Sampler.h).
  uint64_t seed = 0, sequence = 0;
};

class StateFile {
public:
  /// Checks everything that can be checked without the model. Errors name the file and both values.
  static Expected<StateFile> open(const std::string &path);

  const std::string &path() const { return file.path(); }
  /// Name and fingerprint of the model that saved it.
  const std::string &model() const { return modelName; }
  const std::string &fingerprint() const { return modelFingerprint; }
  /// Tokens or rows run through the sequence.
  int64_t position() const { return tokensRead; }
  /// Without tokens when the sequence was saved alone.
  const Conversation &conversation() const { return saved; }
  /// Tensors of the states, names with their prefix, in the order of the file.
  const std::vector<const FileTensor *> &states() const { return stateTensors; }
  /// The values of a state "h", dense; all finite. Refuses one that is missing or not of this shape.
  Expected<std::vector<float>> read(const std::string &name, const std::vector<int64_t> &shape) const;

private:
  explicit StateFile(SafetensorsFile opened) : file(std::move(opened)) {}
  Expected<void> readHead();
  Expected<void> readTokens(const FileTensor &tensor);

  SafetensorsFile file;
  std::string modelName, modelFingerprint;
  int64_t tokensRead = 0;
  Conversation saved;
  std::vector<const FileTensor *> stateTensors;
};

/// One state of two files.
struct StateDistance {
  std::string name;
  bool sameBits;
  double relative; ///< |a - b| / |b|, Euclidean; infinite when only b is zero
};

struct StateComparison {
  bool sameModel, samePosition, sameKey;
  int64_t commonTokens; ///< how many tokens the two begin with alike
  bool sameTokens;
  std::vector<StateDistance> states;

  /// Both go on alike, bit for bit.
  bool identical() const;
};

/// Refuses files whose states have other names or shapes. States of two models of one shape can be compared.
Expected<StateComparison> compareStates(const StateFile &a, const StateFile &b);

} // namespace sm1rt

#endif // SM1RT_STATEFILE_H
