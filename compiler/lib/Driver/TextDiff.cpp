//===- TextDiff.cpp - the difference of two texts, line by line --------------------------------------------------===//
//
// Myers, "An O(ND) difference algorithm and its variations", 1986: the frontier of paths with d edits, kept for every d, then
// walked back.

#include "TextDiff.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace sm1;
using llvm::StringRef;

namespace {
enum class Kind : char { Same = ' ', Removed = '-', Added = '+' };
struct Edit {
  Kind kind;
  StringRef line;
};
using Lines = llvm::SmallVector<StringRef>;
} // namespace

/// Past so many edits the frontiers take more memory than a difference is worth.
static constexpr int mostEdits = 2000;
/// Lines around a change.
static constexpr size_t context = 3;

static Lines linesOf(StringRef text) {
  Lines lines;
  text.consume_back("\n");
  if (!text.empty())
    text.split(lines, '\n');
  return lines;
}

/// Walks the frontiers back from the end; edits come out last first.
static std::vector<Edit> walkBack(const Lines &a, const Lines &b, const std::vector<std::vector<int>> &frontiers) {
  std::vector<Edit> edits;
  int x = a.size(), y = b.size();
  for (int d = frontiers.size() - 1; d >= 0; --d) {
    const std::vector<int> &frontier = frontiers[d]; // of d - 1 edits, index k + d
    int k = x - y, previousX = 0, previousY = 0;
    if (d > 0) {
      auto at = [&](int diagonal) { return frontier[diagonal + d]; };
      bool down = k == -d || (k != d && at(k - 1) < at(k + 1));
      previousX = at(down ? k + 1 : k - 1);
      previousY = previousX - (down ? k + 1 : k - 1);
    }
    while (x > previousX && y > previousY)
      edits.push_back({Kind::Same, a[--x]}), --y;
    if (d == 0)
      break;
    if (x == previousX)
      edits.push_back({Kind::Added, b[--y]});
    else
      edits.push_back({Kind::Removed, a[--x]});
  }
  std::reverse(edits.begin(), edits.end());
  return edits;
}

/// The shortest edits from `a` to `b`.
static std::vector<Edit> editsOf(const Lines &a, const Lines &b) {
  int n = a.size(), m = b.size();
  std::vector<std::vector<int>> frontiers;
  std::vector<int> reach = {0, 0, 0}; // furthest x on each diagonal -1, 0, 1
  for (int d = 0; d <= std::min(n + m, mostEdits); ++d) {
    frontiers.push_back(reach);
    std::vector<int> next(2 * d + 3, 0); // diagonals -d - 1 to d + 1
    for (int k = -d; k <= d; k += 2) {
      auto at = [&](int diagonal) { return reach[diagonal + d]; };
      int x = d == 0 ? 0 : k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
      while (x < n && x - k < m && a[x] == b[x - k])
        ++x;
      next[k + d + 1] = x;
      if (x >= n && x - k >= m)
        return walkBack(a, b, frontiers);
    }
    reach = std::move(next);
  }
  std::vector<Edit> edits;
  for (StringRef line : a)
    edits.push_back({Kind::Removed, line});
  for (StringRef line : b)
    edits.push_back({Kind::Added, line});
  return edits;
}

std::vector<std::string> sm1::unifiedDiff(const std::string &before, const std::string &after, const std::string &beforeName,
                                          const std::string &afterName) {
  std::vector<std::string> out;
  if (before == after)
    return out;
  std::vector<Edit> edits = editsOf(linesOf(before), linesOf(after));
  out = {"--- " + beforeName, "+++ " + afterName};
  size_t lineA = 1, lineB = 1, i = 0;
  auto isChange = [&](size_t at) { return edits[at].kind != Kind::Same; };
  while (i < edits.size()) {
    size_t change = i;
    while (change < edits.size() && !isChange(change))
      ++change;
    if (change == edits.size())
      break;
    size_t begin = std::max(i, change < context ? 0 : change - context), end = change;
    for (size_t next = change; next < edits.size() && next <= end + 2 * context; ++next)
      if (isChange(next))
        end = next;
    end = std::min(end + 1 + context, edits.size());
    lineA += begin - i, lineB += begin - i;
    size_t header = out.size(), countA = 0, countB = 0;
    out.emplace_back();
    for (size_t at = begin; at < end; ++at) {
      countA += edits[at].kind != Kind::Added, countB += edits[at].kind != Kind::Removed;
      out.push_back(std::string(1, char(edits[at].kind)) + edits[at].line.str());
    }
    out[header] = llvm::formatv("@@ -{0},{1} +{2},{3} @@", countA ? lineA : lineA - 1, countA, countB ? lineB : lineB - 1, countB);
    lineA += countA, lineB += countB;
    i = end;
  }
  return out;
}
