// What can be wrong with a description: words lost, doubled, exchanged and made up; lines, letters, ends.
#include "Mutator.h"

#include <cctype>
#include <set>

/// Words that a description could have, and numbers at the ends of ranges. In lines, where clang-format has one word in each.
// clang-format off
static const char *const dictionary[] = {
    "f32", "f64", "bf16", "f16", "i1", "i4", "i8", "i32", "i64", "index", "none", "?", "x", "0", "1", "-1", "2147483648",
    "9223372036854775807", "18446744073709551616", "1e400", "0x7FC00000", "*", "->", ":", "=", "\"\"", "\"h\"", "\"x\"",
    "sm1.state", "sm1.name", "sm1.rows", "sm1.tied", "sm1.scan", "sm1.linear", "sm1.rms_norm", "sm1.conv1d", "sm1.layers",
    "sm1.embedding", "sm1.param", "sm1.yield", "sm1.return", "sm1.kernel", "sm1.launch", "sm1.dispatch", "sm1.split",
    "sm1.broadcast", "sm1.model", "sm1.select_rows", "arith.addf", "arith.constant", "arith.mulf", "arith.cmpf",
    "arith.select", "arith.truncf", "arith.extf", "arith.addi", "math.exp", "math.log1p", "math.tanh", "math.powf",
    "tensor.empty", "scf.for", "cf.br", "func.func", "llvm.mlir.undef", "init", "form", "closed_form", "taps", "eps",
    "scales", "int8", "rows", "selected", "carry", "state", "layout", "quantised", "attributes", "{i}", "dense<1.0>", "unit",
    "%0", "%h#1", "@m", "^bb0", "loc(unknown)", "tensor<?x?x8xf32>", "tensor<*xf32>", "tensor<0xf32>", "memref<8xf32>",
    "vector<4xf32>", "complex<f32>", "tuple<>", "\xc3\xa4", "#map", "!t", "<", ">", "(", ")", "{", "}", "[", "]", ",", "//",
    "\"", "\\"};
// clang-format on

static bool isWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '%' || c == '@' || c == '!';
}

/// Words, single signs and white space; together they are the text.
static std::vector<std::string> tokensOf(const std::string &text) {
  std::vector<std::string> tokens;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    if (isWord(text[at]))
      while (end < text.size() && isWord(text[end]))
        ++end;
    else if (text[at] == '"')
      end = std::min(text.find('"', at + 1), text.size() - 1) + 1;
    tokens.push_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

Mutator::Mutator(const std::vector<std::string> &texts) {
  std::set<std::string> seen(std::begin(dictionary), std::end(dictionary));
  for (const std::string &text : texts) {
    originals.push_back(tokensOf(text));
    for (const std::string &token : originals.back())
      if (!std::isspace(static_cast<unsigned char>(token[0])))
        seen.insert(token);
  }
  words.assign(seen.begin(), seen.end());
}

const std::string &Mutator::anyWord(Random &random) const { return words[random() % words.size()]; }

/// The first token of the line that holds `at`, and the first of the next.
static std::pair<size_t, size_t> lineAround(const std::vector<std::string> &tokens, size_t at) {
  size_t begin = at, end = at;
  while (begin > 0 && tokens[begin - 1] != "\n")
    --begin;
  while (end < tokens.size() && tokens[end] != "\n")
    ++end;
  return {begin, std::min(end + 1, tokens.size())};
}

void Mutator::change(Tokens &tokens, Random &random) const {
  if (tokens.empty())
    return;
  // Mostly words: white space is no place for a mistake.
  size_t at = random() % tokens.size();
  for (int tries = 0; tries < 8 && std::isspace(static_cast<unsigned char>(tokens[at][0])); ++tries)
    at = random() % tokens.size();
  size_t other = random() % tokens.size();
  auto [begin, end] = lineAround(tokens, at);
  Tokens line(tokens.begin() + begin, tokens.begin() + end);
  switch (random() % 12) {
  case 0:
    tokens.erase(tokens.begin() + at);
    return;
  case 1:
    tokens.insert(tokens.begin() + at, tokens[at]);
    return;
  case 2:
    std::swap(tokens[at], tokens[other]);
    return;
  case 3:
    tokens.insert(tokens.begin() + at, " " + anyWord(random) + " ");
    return;
  case 4: // a line less
    tokens.erase(tokens.begin() + begin, tokens.begin() + end);
    return;
  case 5: // a line twice
    tokens.insert(tokens.begin() + begin, line.begin(), line.end());
    return;
  case 6: { // a line elsewhere
    tokens.erase(tokens.begin() + begin, tokens.begin() + end);
    size_t place = tokens.empty() ? 0 : lineAround(tokens, other % tokens.size()).first;
    tokens.insert(tokens.begin() + place, line.begin(), line.end());
    return;
  }
  case 7: // one letter
    tokens[at][random() % tokens[at].size()] = static_cast<char>(random() % 256);
    return;
  case 8: // the end is missing
    if (random() % 8 == 0)
      tokens.resize(at);
    return;
  case 9: // one value for another, which keeps the text readable
  case 10: {
    std::vector<size_t> alike;
    for (size_t i = 0; i < tokens.size(); ++i)
      if (tokens[i][0] == tokens[at][0])
        alike.push_back(i);
    tokens[at] = tokens[alike[random() % alike.size()]];
    return;
  }
  default:
    tokens[at] = anyWord(random);
  }
}

std::string Mutator::make(uint64_t seed, uint64_t number) const {
  Random random(seed * 0x9E3779B97F4A7C15 + number);
  Tokens tokens = originals[random() % originals.size()];
  for (uint64_t changes = 1 + random() % 4; changes > 0; --changes)
    change(tokens, random);
  std::string text;
  for (const std::string &token : tokens)
    text += token;
  return text;
}
