//===- Documentation.cpp - finds operations in the pages that mlir-tblgen makes of their definitions -------------===//

#include "Documentation.h"

#include "llvm/ADT/StringMap.h"

using llvm::StringRef;

namespace sm1 {
extern const char operationPages[]; ///< embedded by CMake
} // namespace sm1

/// Of a section, what a person reads: not the traits and tables behind it, which the operation's generic form shows by example.
static StringRef readablePart(StringRef section) {
  size_t end = StringRef::npos;
  for (StringRef heading : {"\nTraits: ", "\nInterfaces: ", "\nEffects: ", "\n#### "})
    end = std::min(end, section.find(heading));
  return section.take_front(end).trim();
}

/// Sections are headed "### `sm1.scan` (::sm1::ScanOp)".
static llvm::StringMap<StringRef> readSections() {
  llvm::StringMap<StringRef> sections;
  auto [preface, rest] = StringRef(sm1::operationPages).split("\n### `");
  while (!rest.empty()) {
    auto [section, next] = rest.split("\n### `");
    auto [name, behind] = section.split('`');
    sections[name] = readablePart(behind.split('\n').second);
    rest = next;
  }
  return sections;
}

StringRef sm1::documentationOf(StringRef operation) {
  static const llvm::StringMap<StringRef> sections = readSections();
  return sections.lookup(operation);
}
