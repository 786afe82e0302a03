//===- Hover.cpp - puts documentation into answers about what is under the cursor --------------------------------===//

#include "Hover.h"

#include "Documentation.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using llvm::StringRef;
namespace json = llvm::json;

/// MLIR's server begins with the name in quotes where the cursor is on an operation, and with `Operation: ` before it on a result.
static StringRef operationOf(StringRef shown) {
  shown.consume_front("Operation: ");
  return shown.consume_front("\"") ? shown.split('"').first : StringRef();
}

/// result.contents.value of an answer; null where it has none.
static json::Value *shownBy(json::Value &message) {
  json::Object *parts = message.getAsObject();
  for (StringRef name : {"result", "contents"})
    parts = parts ? parts->getObject(name) : nullptr;
  return parts ? parts->get("value") : nullptr;
}

std::string sm1::withDocumentation(std::string message) {
  if (message.find("\"contents\"") == std::string::npos)
    return message;
  auto parsed = json::parse(message);
  if (!parsed) {
    llvm::consumeError(parsed.takeError());
    return message;
  }
  json::Value *shown = shownBy(*parsed);
  StringRef text = shown ? shown->getAsString().value_or("") : "", documentation = documentationOf(operationOf(text));
  if (documentation.empty())
    return message;
  auto [heading, rest] = text.split('\n');
  *shown = (heading + "\n\n" + documentation + "\n\n" + rest).str();
  std::string changed;
  llvm::raw_string_ostream(changed) << *parsed;
  return changed;
}
