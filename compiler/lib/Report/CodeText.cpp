//===- CodeText.cpp - the part of a text that is one kernel's ----------------------------------------------------===//

#include "CodeText.h"

using namespace sm1;
using llvm::StringRef;

/// A page that nobody can open shows nothing; whole texts are what --dump-stages is for.
static constexpr size_t mostLines = 1200;

std::string sm1::cut(StringRef text) {
  size_t end = 0, lines = 0;
  while (lines < mostLines && end != StringRef::npos) {
    end = text.find('\n', end);
    end = end == StringRef::npos ? end : end + 1;
    ++lines;
  }
  if (end == StringRef::npos || end >= text.size())
    return text.str();
  return text.take_front(end).str() + "... " + std::to_string(text.drop_front(end).count('\n')) +
         " lines more; --dump-stages has all\n";
}

/// Texts from a line that `begin` finds a name in to the first line after it that starts with `end`, both included.
static FunctionTexts split(StringRef text, llvm::function_ref<StringRef(StringRef line)> begin,
                           llvm::function_ref<bool(StringRef line)> end) {
  FunctionTexts functions;
  StringRef name;
  size_t start = 0, at = 0;
  while (at < text.size()) {
    size_t next = std::min(text.find('\n', at), text.size() - 1) + 1;
    StringRef line = text.slice(at, next).rtrim();
    if (name.empty()) {
      name = begin(line);
      start = at;
    } else if (end(line)) {
      functions[name] = cut(text.slice(start, next));
      name = "";
    }
    at = next;
  }
  return functions;
}

/// "scan" of "scan$entry".
static StringRef kernelOf(StringRef symbol) {
  symbol = symbol.trim('"');
  symbol.consume_back("$entry");
  return symbol;
}

FunctionTexts sm1::llvmFunctions(StringRef ir) {
  auto begin = [](StringRef line) -> StringRef {
    if (!line.starts_with("define "))
      return "";
    return kernelOf(line.split('@').second.split('(').first);
  };
  return split(ir, begin, [](StringRef line) { return line == "}"; });
}

FunctionTexts sm1::ptxFunctions(StringRef ptx) {
  auto begin = [](StringRef line) -> StringRef {
    return line.consume_front(".visible .entry ") ? line.split('(').first : StringRef();
  };
  return split(ptx, begin, [](StringRef line) { return line == "}"; });
}

FunctionTexts sm1::assemblyFunctions(StringRef assembly) {
  auto begin = [](StringRef line) -> StringRef { return line.ends_with("$entry:") ? kernelOf(line.drop_back()) : StringRef(); };
  return split(assembly, begin, [](StringRef line) { return line.trim().starts_with(".size"); });
}

int64_t sm1::stackBytes(StringRef function) {
  size_t place = function.find("subq\t$");
  int64_t bytes = 0;
  if (place != StringRef::npos) {
    StringRef rest = function.drop_front(place + 6);
    if (rest.consumeInteger(0, bytes) || !rest.starts_with(", %rsp"))
      return 0;
  }
  return bytes;
}
