// PTX text to tokens.
#include "Lexer.h"

#include "Syntax.h"

#include <algorithm>
#include <cstdlib>

namespace emulator {

namespace {

// Of ASCII, whatever the locale.
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

} // namespace

void Lexer::fail(const std::string &what) const { throw PtxError(what + " in line " + std::to_string(line)); }

void Lexer::skipBlanks() {
  while (position < text.size()) {
    if (at() == '\n')
      ++line, ++position;
    else if (isBlank(at()))
      ++position;
    else if (at() == '/' && at(1) == '/')
      position = std::min(text.find('\n', position), text.size());
    else if (at() == '/' && at(1) == '*')
      skipComment();
    else
      return;
  }
}

void Lexer::skipComment() {
  size_t end = text.find("*/", position + 2);
  if (end == std::string_view::npos)
    fail("a comment without an end");
  for (; position < end + 2; ++position)
    line += text[position] == '\n';
}

bool Lexer::skipBlock() {
  bool hasShared = false;
  for (int depth = 1; depth > 0;) {
    char c = at();
    if (isBlank(c) || c == '/') {
      size_t begin = position;
      skipBlanks();
      position += position == begin;
    } else if (isLetter(c) || isDigit(c)) {
      while (isLetter(at()) || isDigit(at()) || at() == '.') // an instruction with its modifiers is one word
        ++position;
    } else if (position >= text.size()) {
      fail("the text ends inside a function");
    } else {
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
      hasShared |= c == '.' && text.compare(position, 7, ".shared") == 0;
      position = c == '"' ? std::min(text.find('"', position + 1), text.size() - 1) + 1 : position + 1;
    }
  }
  return hasShared;
}

Token Lexer::next() {
  skipBlanks();
  Token token;
  token.line = line;
  token.begin = position;
  char c = at();
  if (position >= text.size())
    token.kind = Token::End;
  else if (isDigit(c))
    number(token);
  else if (isLetter(c) || c == '_' || c == '$' || c == '%' || c == '.')
    word(token);
  else if (c == '"')
    string(token);
  else {
    token.kind = Token::Punctuation;
    token.text = text.substr(position++, 1);
  }
  token.end = position;
  return token;
}

void Lexer::word(Token &token) {
  token.kind = Token::Word;
  for (;; ++position) {
    char c = at();
    if (c == ':' && at(1) == ':')
      ++position; // .shared::cta
    else if (!isLetter(c) && !isDigit(c) && c != '_' && c != '$' && c != '.' && c != '%')
      break;
    else if (position != token.begin && (c == '%' || (c == '.' && text[token.begin] == '.'))) // .reg.b32 is two words
      break;
  }
  token.text = text.substr(token.begin, position - token.begin);
}

void Lexer::string(Token &token) {
  size_t end = text.find('"', position + 1);
  if (end == std::string_view::npos)
    fail("a string without an end");
  token.kind = Token::String;
  token.text = text.substr(position + 1, end - position - 1);
  position = end + 1;
}

void Lexer::number(Token &token) {
  char kind = at() == '0' ? at(1) : '\0';
  if (kind == 'f' || kind == 'F' || kind == 'd' || kind == 'D') {
    size_t digits = kind == 'f' || kind == 'F' ? 8 : 16;
    std::string hex(text.substr(position + 2, digits));
    if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      fail("a malformed floating-point constant");
    token.kind = digits == 8 ? Token::Float32 : Token::Float64;
    token.bits = std::strtoull(hex.c_str(), nullptr, 16);
    position += 2 + digits;
    return;
  }
  const char *start = source.c_str() + position; // has an end that stops the conversions
  char *end = nullptr;
  token.kind = Token::Integer;
  token.bits = kind == 'b' || kind == 'B' ? std::strtoull(start + 2, &end, 2) : std::strtoull(start, &end, 0);
  if (*end == '.' || *end == 'e' || *end == 'E') {
    token.kind = Token::Float64;
    token.bits = bitCast<uint64_t>(std::strtod(start, &end));
  }
  position += static_cast<size_t>(end - start);
  if (at() == 'U')
    ++position;
  token.text = text.substr(token.begin, position - token.begin);
}

Type typeNamed(std::string_view name) {
  static constexpr std::pair<std::string_view, Type> table[] = {
      {"b8", Type::B8},     {"b16", Type::B16},       {"b32", Type::B32},     {"b64", Type::B64},     {"b128", Type::B128},
      {"u8", Type::U8},     {"u16", Type::U16},       {"u32", Type::U32},     {"u64", Type::U64},     {"s8", Type::S8},
      {"s16", Type::S16},   {"s32", Type::S32},       {"s64", Type::S64},     {"f16", Type::F16},     {"f16x2", Type::F16x2},
      {"bf16", Type::BF16}, {"bf16x2", Type::BF16x2}, {"f32", Type::F32},     {"f32x2", Type::F32x2}, {"tf32", Type::TF32},
      {"f64", Type::F64},   {"pred", Type::Pred},     {"u16x2", Type::U16x2}, {"s16x2", Type::S16x2}, {"e4m3x2", Type::E4M3x2}};
  for (const auto &entry : table)
    if (name == entry.first)
      return entry.second;
  return Type::None;
}

} // namespace emulator
