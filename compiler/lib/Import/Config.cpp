//===- Config.cpp - config.json of a checkpoint, read strictly ---------------------------------------------------===//

#include "Models.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Errc.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace sm1;

namespace {
struct KnownModel {
  StringLiteral type;
  ImportedModel (*import)(FieldReader &);
};
} // namespace

static constexpr KnownModel knownModels[] = {{"sm1", importSm1}, {"mamba", importMamba}};

static constexpr int64_t maxConfigBytes = 1 << 20;

std::string FieldReader::storage(ArrayRef<StringRef> names) {
  const StringRef *name = llvm::find_if(names, [&](StringRef name) { return has(name); });
  if (name == names.end())
    return "f32";
  std::string dtype = string(*name);
  std::string type =
      StringSwitch<StringRef>(dtype).Case("float32", "f32").Case("bfloat16", "bf16").Case("float16", "f16").Default("").str();
  if (type.empty())
    fail("field '" + *name + "' must be float32, bfloat16 or float16, got '" + dtype + "'");
  return type;
}

std::string sm1::floatLiteral(double number) {
  char digits[32];
  snprintf(digits, sizeof digits, "%.8e", number);
  auto [mantissa, exponent] = StringRef(digits).split('e');
  mantissa = mantissa.rtrim('0');
  return (mantissa + (mantissa.ends_with(".") ? "0e" : "e") + exponent).str();
}

std::string sm1::substitute(StringRef text, TextValues values) {
  std::string result;
  while (true) {
    auto [before, rest] = text.split('$');
    result += before;
    if (before.size() == text.size())
      return result;
    const std::pair<StringRef, std::string> *best = nullptr;
    for (const auto &value : values)
      if (rest.starts_with(value.first) && (!best || value.first.size() > best->first.size()))
        best = &value;
    assert(best && "a size of the text is not in the table");
    result += best->second;
    text = rest.drop_front(best->first.size());
  }
}

/// The text of DIRECTORY/config.json.
static Expected<std::unique_ptr<MemoryBuffer>> readText(StringRef path) {
  SmallString<256> trained(sys::path::parent_path(path));
  sys::path::append(trained, "model.pt");
  if (!sys::fs::exists(path) && sys::fs::exists(trained))
    return createStringError(path + ": no such file or directory, but a model.pt, as train.py writes it; tools/convert-checkpoint "
                                    "makes a checkpoint of it");
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(buffer.getError(), path + ": " + StringRef(buffer.getError().message()).lower() +
                                                    "; a checkpoint directory holds config.json and model.safetensors");
  if (int64_t((*buffer)->getBufferSize()) > maxConfigBytes)
    return createStringError(errc::file_too_large, path + ": has " + Twine((*buffer)->getBufferSize()) +
                                                       " bytes, a config.json at most " + Twine(maxConfigBytes));
  return std::move(*buffer);
}

Expected<ImportedModel> sm1::importConfig(StringRef directory) {
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
  const KnownModel *known = llvm::find_if(knownModels, [&](const KnownModel &model) { return model.type == type; });
  if (reader.error.empty() && known == std::end(knownModels)) {
    auto types = llvm::map_range(knownModels, [](const KnownModel &model) { return StringRef(model.type); });
    reader.fail("model_type '" + type + "' is unknown; known are: " + llvm::join(types, ", "));
  }
  ImportedModel model = reader.error.empty() ? known->import(reader) : ImportedModel();
  if (!reader.error.empty())
    return createStringError(errc::invalid_argument, reader.error);
  return model;
}
