// PTX text to tokens.
#include "Syntax.h"

#include <cctype>
#include <cstdlib>

namespace emulator {

namespace {

class Lexer {
public:
  explicit Lexer(const std::string &source) : text(source) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    do
      tokens.push_back(next());
    while (tokens.back().kind != Token::End);
    return tokens;
  }

private:
  char at(size_t offset = 0) const { return position + offset < text.size() ? text[position + offset] : '\0'; }

  [[noreturn]] void fail(const std::string &what) const { throw PtxError(what + " in line " + std::to_string(line)); }

  void skipBlanks() {
    while (position < text.size()) {
      if (at() == '\n')
        ++line, ++position;
      else if (std::isspace(static_cast<unsigned char>(at())))
        ++position;
      else if (at() == '/' && at(1) == '/')
        position = std::min(text.find('\n', position), text.size());
      else if (at() == '/' && at(1) == '*')
        skipComment();
      else
        return;
    }
  }

  void skipComment() {
    size_t end = text.find("*/", position + 2);
    if (end == std::string::npos)
      fail("a comment without an end");
    for (; position < end + 2; ++position)
      line += text[position] == '\n';
  }

  Token next() {
    skipBlanks();
    Token token;
    token.line = line;
    token.begin = position;
    char c = at();
    if (position >= text.size())
      token.kind = Token::End;
    else if (std::isdigit(static_cast<unsigned char>(c)))
      number(token);
    else if (std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.')
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

  void word(Token &token) {
    token.kind = Token::Word;
    for (;; ++position) {
      char c = at();
      if (c == ':' && at(1) == ':')
        ++position; // .shared::cta
      else if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '$' && c != '.' && c != '%')
        break;
      else if (position != token.begin && (c == '%' || (c == '.' && text[token.begin] == '.'))) // .reg.b32 is two words
        break;
    }
    token.text = text.substr(token.begin, position - token.begin);
  }

  void string(Token &token) {
    size_t end = text.find('"', position + 1);
    if (end == std::string::npos)
      fail("a string without an end");
    token.kind = Token::String;
    token.text = text.substr(position + 1, end - position - 1);
    position = end + 1;
  }

  void number(Token &token) {
    char kind = at() == '0' ? static_cast<char>(std::tolower(static_cast<unsigned char>(at(1)))) : '\0';
    if (kind == 'f' || kind == 'd') {
      size_t digits = kind == 'f' ? 8 : 16;
      std::string hex = text.substr(position + 2, digits);
      if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        fail("a malformed floating-point constant");
      token.kind = kind == 'f' ? Token::Float32 : Token::Float64;
      token.bits = std::strtoull(hex.c_str(), nullptr, 16);
      position += 2 + digits;
      return;
    }
    const char *start = text.c_str() + position;
    char *end = nullptr;
    token.kind = Token::Integer;
    token.bits = kind == 'b' ? std::strtoull(start + 2, &end, 2) : std::strtoull(start, &end, 0);
    if (*end == '.' || *end == 'e' || *end == 'E') {
      token.kind = Token::Float64;
      token.bits = bitCast<uint64_t>(std::strtod(start, &end));
    }
    position += static_cast<size_t>(end - start);
    if (at() == 'U')
      ++position;
    token.text = text.substr(token.begin, position - token.begin);
  }

  const std::string &text;
  size_t position = 0;
  unsigned line = 1;
};

} // namespace

std::vector<Token> tokenize(const std::string &source) { return Lexer(source).run(); }

Type typeNamed(const std::string &name) {
  static const std::pair<const char *, Type> table[] = {
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
