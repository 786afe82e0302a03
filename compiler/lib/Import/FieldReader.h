//===- FieldReader.h - fields of a config.json, read strictly ----------------------------------------------------===//

#ifndef SM1C_IMPORT_FIELDREADER_H
#define SM1C_IMPORT_FIELDREADER_H

#include "llvm/ADT/Twine.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <optional>
#include <string>

namespace sm1 {

/// Far above any real model and far below where a product of two sizes could overflow.
inline constexpr int64_t maxWidth = int64_t(1) << 18, maxVocab = int64_t(1) << 24, maxParameters = int64_t(1) << 40;

/// Reads fields one by one; after the first mistake the rest is skipped and `error` says what it was.
class FieldReader {
public:
  FieldReader(llvm::StringRef path, const llvm::json::Object &fields) : path(path), fields(fields) {}

  /// An integer in [low, high]; without a default the field must be there.
  int64_t integer(llvm::StringRef name, int64_t low, int64_t high, std::optional<int64_t> otherwise = std::nullopt) {
    const llvm::json::Value *value = find(name, !otherwise);
    if (!value)
      return otherwise.value_or(low);
    std::optional<int64_t> number = value->getAsInteger();
    if (!number || *number < low || *number > high)
      fail(name, "an integer from " + std::to_string(low) + " to " + std::to_string(high), *value);
    return number.value_or(low);
  }

  /// A number that is positive and finite in f32.
  double positive(llvm::StringRef name, double otherwise) {
    const llvm::json::Value *value = find(name, false);
    if (!value)
      return otherwise;
    double number = value->getAsNumber().value_or(0.0);
    if (!(float(number) > 0) || !std::isfinite(float(number)))
      fail(name, "a positive number", *value);
    return number;
  }

  std::string string(llvm::StringRef name, std::optional<llvm::StringRef> otherwise = std::nullopt) {
    const llvm::json::Value *value = find(name, !otherwise);
    if (!value)
      return otherwise.value_or("").str();
    std::optional<llvm::StringRef> text = value->getAsString();
    if (!text)
      fail(name, "a string", *value);
    return text.value_or("").str();
  }

  bool boolean(llvm::StringRef name, bool otherwise) {
    const llvm::json::Value *value = find(name, false);
    std::optional<bool> flag = value ? value->getAsBoolean() : std::optional<bool>(otherwise);
    if (!flag)
      fail(name, "true or false", *value);
    return flag.value_or(otherwise);
  }

  /// What stores the matrices, from the first of the fields `names` that is there: "f32", "bf16" or "f16".
  std::string storage(llvm::ArrayRef<llvm::StringRef> names);

  bool has(llvm::StringRef name) { return find(name, false); }

  bool isString(llvm::StringRef name, llvm::StringRef text) {
    const llvm::json::Value *value = find(name, false);
    return value && value->getAsString() == text;
  }

  void limitParameters(int64_t parameters) {
    if (parameters > maxParameters)
      fail("the model has " + llvm::Twine(parameters) + " parameters, the limit is " + llvm::Twine(maxParameters));
  }

  /// A field that, if given, can only be true.
  void onlyTrue(llvm::StringRef name, llvm::StringRef reason) {
    const llvm::json::Value *value = find(name, false);
    if (value && value->getAsBoolean() != true)
      fail(name, ("true, " + reason).str(), *value);
  }

  void fail(llvm::StringRef name, const llvm::Twine &expected, const llvm::json::Value &got) {
    std::string text;
    llvm::raw_string_ostream(text) << got;
    if (text.size() > 60)
      text = text.substr(0, 57) + "...";
    fail("field '" + name + "' must be " + expected + ", got " + text);
  }

  void fail(const llvm::Twine &message) {
    if (error.empty())
      error = (path + ": " + message).str();
  }

  std::string error;

private:
  const llvm::json::Value *find(llvm::StringRef name, bool required) {
    const llvm::json::Value *value = fields.get(name);
    if (value && value->kind() == llvm::json::Value::Null)
      value = nullptr;
    if (!value && required)
      fail("field '" + name + "' is missing");
    return value;
  }

  std::string path;
  const llvm::json::Object &fields;
};

/// `number` as MLIR reads it: digits on both sides of the point, enough of them to give the same f32.
std::string floatLiteral(double number);

} // namespace sm1

#endif // SM1C_IMPORT_FIELDREADER_H
