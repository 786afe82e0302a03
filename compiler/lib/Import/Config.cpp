//===- Config.cpp - config.json of a checkpoint, read strictly ---------------------------------------------------===//

#include "sm1c/Import.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Errc.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace llvm;
using namespace sm1;

/// Types of models that a config.json may describe.
static constexpr StringLiteral knownModels = "sm1";

/// Far above any real model and far below where a product of two sizes could overflow.
static constexpr int64_t maxWidth = int64_t(1) << 18, maxVocab = int64_t(1) << 24, maxParameters = int64_t(1) << 40;
static constexpr int64_t maxConfigBytes = 1 << 20;

namespace {
/// Reads fields one by one; after the first mistake the rest is skipped and `error` says what it was.
class FieldReader {
public:
  FieldReader(StringRef path, const json::Object &fields) : path(path), fields(fields) {}

  /// An integer in [low, high]; without a default the field must be there.
  int64_t integer(StringRef name, int64_t low, int64_t high, std::optional<int64_t> otherwise = std::nullopt) {
    const json::Value *value = find(name, !otherwise);
    if (!value)
      return otherwise.value_or(low);
    std::optional<int64_t> number = value->getAsInteger();
    if (!number || *number < low || *number > high)
      fail(name, "an integer from " + std::to_string(low) + " to " + std::to_string(high), *value);
    return number.value_or(low);
  }

  /// A number that is positive and finite in f32.
  double positive(StringRef name, double otherwise) {
    const json::Value *value = find(name, false);
    if (!value)
      return otherwise;
    double number = value->getAsNumber().value_or(0.0);
    if (!(float(number) > 0) || !std::isfinite(float(number)))
      fail(name, "a positive number", *value);
    return number;
  }

  std::string string(StringRef name, std::optional<StringRef> otherwise = std::nullopt) {
    const json::Value *value = find(name, !otherwise);
    if (!value)
      return otherwise.value_or("").str();
    std::optional<StringRef> text = value->getAsString();
    if (!text)
      fail(name, "a string", *value);
    return text.value_or("").str();
  }

  /// A field that, if given, can only be true.
  void onlyTrue(StringRef name, StringRef reason) {
    const json::Value *value = find(name, false);
    if (value && value->getAsBoolean() != true)
      fail(name, ("true, " + reason).str(), *value);
  }

  void fail(StringRef name, const Twine &expected, const json::Value &got) {
    std::string text;
    raw_string_ostream(text) << got;
    if (text.size() > 60)
      text = text.substr(0, 57) + "...";
    fail("field '" + name + "' must be " + expected + ", got " + text);
  }

  void fail(const Twine &message) {
    if (error.empty())
      error = (path + ": " + message).str();
  }

  std::string error;

private:
  const json::Value *find(StringRef name, bool required) {
    const json::Value *value = fields.get(name);
    if (value && value->kind() == json::Value::Null)
      value = nullptr;
    if (!value && required)
      fail("field '" + name + "' is missing");
    return value;
  }

  std::string path;
  const json::Object &fields;
};
} // namespace

/// `number` as MLIR reads it: digits on both sides of the point, enough of them to give the same f32.
static std::string floatLiteral(double number) {
  char digits[32];
  snprintf(digits, sizeof digits, "%.8e", number);
  auto [mantissa, exponent] = StringRef(digits).split('e');
  mantissa = mantissa.rtrim('0');
  return (mantissa + (mantissa.ends_with(".") ? "0e" : "e") + exponent).str();
}

static Sm1Config readFields(FieldReader &reader) {
  Sm1Config config;
  config.vocabSize = reader.integer("vocab_size", 1, maxVocab);
  config.dModel = reader.integer("d_model", 1, maxWidth);
  config.nLayers = reader.integer("n_layers", 1, 4096);
  config.dConv = reader.integer("d_conv", 2, 64, config.dConv);
  config.expand = reader.integer("expand", 1, 64, config.expand);
  config.dFf = reader.integer("d_ff", 1, 4 * maxWidth, (int64_t(config.dModel * 2.667) + 63) / 64 * 64);
  config.rmsNormEps = floatLiteral(reader.positive("rms_norm_eps", 1e-6));
  reader.onlyTrue("tie_word_embeddings", "as the head of sm1 is its embedding");
  std::string dtype = reader.string("torch_dtype", "float32");
  config.storage =
      StringSwitch<StringRef>(dtype).Case("float32", "f32").Case("bfloat16", "bf16").Case("float16", "f16").Default("");
  if (config.storage.empty())
    reader.fail("field 'torch_dtype' must be float32, bfloat16 or float16, got '" + dtype + "'");
  if (config.parameters() > maxParameters)
    reader.fail("the model has " + Twine(config.parameters()) + " parameters, the limit is " + Twine(maxParameters));
  return config;
}

int64_t Sm1Config::parameters() const {
  int64_t inner = dInner();
  int64_t mixer = 2 * inner * dModel + inner * (dConv + 1) + inner + 3 * inner * inner + 3 * inner + dModel * inner;
  return vocabSize * dModel + nLayers * (mixer + 3 * dFf * dModel + 2 * dModel) + dModel;
}

/// The text of DIRECTORY/config.json.
static Expected<std::unique_ptr<MemoryBuffer>> readText(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(buffer.getError(), path + ": " + StringRef(buffer.getError().message()).lower() +
                                                    "; a checkpoint directory holds config.json and model.safetensors");
  if (int64_t((*buffer)->getBufferSize()) > maxConfigBytes)
    return createStringError(errc::file_too_large, path + ": has " + Twine((*buffer)->getBufferSize()) +
                                                       " bytes, a config.json at most " + Twine(maxConfigBytes));
  return std::move(*buffer);
}

Expected<Sm1Config> sm1::readConfig(StringRef directory) {
  SmallString<256> path(directory);
  sys::path::append(path, "config.json");
  auto buffer = readText(path);
  if (!buffer)
    return buffer.takeError();
  Expected<json::Value> value = json::parse((*buffer)->getBuffer());
  if (!value)
    return createStringError(errc::invalid_argument, path + ": is not JSON: " + toString(value.takeError()));
  const json::Object *fields = value->getAsObject();
  if (!fields)
    return createStringError(errc::invalid_argument, path + ": must hold one JSON object");

  FieldReader reader(path, *fields);
  std::string type = reader.string("model_type");
  if (reader.error.empty() && type != knownModels)
    reader.fail("model_type '" + Twine(type) + "' is unknown; known are: " + knownModels);
  Sm1Config config = reader.error.empty() ? readFields(reader) : Sm1Config();
  if (!reader.error.empty())
    return createStringError(errc::invalid_argument, reader.error);
  return config;
}

Expected<std::string> sm1::importConfig(StringRef directory) {
  Expected<Sm1Config> config = readConfig(directory);
  if (!config)
    return config.takeError();
  return sm1Spec(*config);
}
