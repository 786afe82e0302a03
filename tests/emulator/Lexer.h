// PTX text to tokens, one at a time.
#ifndef EMULATOR_LEXER_H
#define EMULATOR_LEXER_H

#include "Types.h"

namespace emulator {

struct Token {
  enum Kind { End, Word, Integer, Float32, Float64, String, Punctuation } kind = End;
  std::string_view text; // in the source
  uint64_t bits = 0;     // value of a number; bit pattern of a float
  unsigned line = 0;
  size_t begin = 0, end = 0; // in the source
};

class Lexer {
public:
  /// Reads `source`, which has to outlive the lexer and its tokens.
  explicit Lexer(const std::string &source, size_t position = 0, unsigned line = 1)
      : source(source), text(source), position(position), line(line) {}
  /// The next token; behind the last one, End. Throws PtxError.
  Token next();
  /// Goes behind the brace that closes a block whose opening one was the last token. Whether shared variables are declared there.
  bool skipBlock();
  size_t place() const { return position; }
  unsigned lineOfPlace() const { return line; }

private:
  char at(size_t offset = 0) const { return position + offset < text.size() ? text[position + offset] : '\0'; }
  [[noreturn]] void fail(const std::string &what) const;
  void skipBlanks();
  void skipComment();
  void word(Token &token);
  void string(Token &token);
  void number(Token &token);

  const std::string &source;
  std::string_view text;
  size_t position;
  unsigned line;
};

} // namespace emulator

#endif // EMULATOR_LEXER_H
