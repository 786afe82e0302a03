// Tokens to the tree of Syntax.h: directives, declarations, statements.
#include "Lexer.h"
#include "Syntax.h"

#include <algorithm>
#include <array>

namespace emulator {

namespace {

class Parser {
public:
  Parser(std::shared_ptr<const std::string> text, Bodies bodies) : source(*text), lexer(source), bodies(bodies) {
    syntax.source = std::move(text);
  }
  /// At the body of a function.
  Parser(const std::string &source, const Function &function)
      : source(source), lexer(source, function.bodyBegin, function.bodyLine), bodies(Bodies::Now) {}

  Syntax run() {
    while (peek().kind != Token::End)
      topLevel();
    if (!syntax.target)
      fail("no .target directive");
    return std::move(syntax);
  }

  void body(Function &function) {
    for (int depth = 1; depth > 0;) {
      if (is(".loc") || is(".file")) {
        skipLine();
        continue;
      }
      if (accept(".pragma")) {
        skipPast(";");
        continue;
      }
      if (accept(";"))
        continue;
      if (peek().kind == Token::End)
        fail("the text ends inside function '" + function.name + "'");
      Statement marker;
      marker.line = peek().line;
      if (accept("{"))
        marker.kind = Statement::ScopeBegin, ++depth;
      else if (accept("}"))
        marker.kind = Statement::ScopeEnd, --depth;
      else {
        statement(function);
        continue;
      }
      if (depth > 0)
        function.body.push_back(std::move(marker));
    }
  }

private:
  const Token &peek(size_t ahead = 0) {
    while (made <= position + ahead)
      tokens[made++ % tokens.size()] = lexer.next();
    return tokens[(position + ahead) % tokens.size()];
  }
  /// Valid until some tokens later.
  const Token &take() {
    const Token &token = peek();
    ++position;
    return token;
  }
  bool is(std::string_view text) {
    const Token &token = peek();
    return token.text.size() == text.size() && token.text[0] == text[0] && token.text == text && token.kind != Token::String;
  }
  bool accept(std::string_view text) {
    if (!is(text))
      return false;
    ++position;
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text))
      fail("expected '" + std::string(text) + "' before '" + std::string(peek().text) + "'");
  }
  [[noreturn]] void fail(const std::string &what) {
    size_t begin = source.rfind('\n', peek().begin ? peek().begin - 1 : 0);
    begin = begin == std::string::npos ? 0 : source.find_first_not_of(" \t\n", begin);
    std::string line = begin < source.size() ? source.substr(begin, source.find('\n', begin) - begin) : "";
    throw PtxError(what + " in line " + std::to_string(peek().line) + ": " + line);
  }
  void skipLine() {
    for (unsigned line = peek().line; peek().kind != Token::End && peek().line == line;)
      ++position;
  }
  uint64_t integer() {
    if (peek().kind != Token::Integer)
      fail("expected an integer before '" + std::string(peek().text) + "'");
    return take().bits;
  }
  std::string word() { return std::string(wordInSource()); }
  std::string_view wordInSource() {
    if (peek().kind != Token::Word)
      fail("expected a name before '" + std::string(peek().text) + "'");
    return take().text;
  }

  void topLevel() {
    if (accept(".version")) {
      double version = bitCast<double>(take().bits);
      syntax.version = static_cast<unsigned>(version * 10 + 0.5);
    } else if (accept(".target"))
      target();
    else if (accept(".address_size")) {
      if (integer() != 64)
        fail("only .address_size 64 is known");
    } else if (is(".file") || is(".loc"))
      skipLine();
    else if (accept(".section"))
      skipSection();
    else if (accept(".pragma"))
      skipPast(";");
    else
      linkable();
  }

  void skipPast(std::string_view text) {
    while (!is(text) && peek().kind != Token::End)
      ++position;
    expect(text);
  }

  void skipSection() {
    word();
    expect("{");
    skipPast("}");
  }

  void target() {
    do {
      std::string name = word();
      if (name.rfind("sm_", 0) == 0) {
        syntax.target = static_cast<unsigned>(std::strtoul(name.c_str() + 3, nullptr, 10));
        syntax.archSpecific = !name.empty() && std::isalpha(static_cast<unsigned char>(name.back()));
      } else if (name != "debug" && name != "texmode_independent")
        fail("unknown target '" + name + "'");
    } while (accept(","));
  }

  void linkable() {
    bool isExtern = false;
    for (;;) {
      if (accept(".extern"))
        isExtern = true;
      else if (!accept(".visible") && !accept(".weak") && !accept(".common"))
        break;
    }
    if (is(".entry") || is(".func"))
      return function();
    for (Variable &variable : declaration(isExtern))
      syntax.variables.push_back(std::move(variable));
  }

  /// `.space .align N .type name[n] = {...}, name2;` with the leading directives in any order.
  std::vector<Variable> declaration(bool isExtern) {
    Variable common = declarationHead();
    common.isExtern = isExtern;
    std::vector<Variable> variables;
    do
      variables.push_back(declarator(common));
    while (accept(","));
    expect(";");
    return variables;
  }

  Variable declarationHead() {
    Variable variable;
    variable.line = peek().line;
    unsigned vectorSize = 1;
    bool hasSpace = false;
    while (peek().kind == Token::Word && peek().text[0] == '.') {
      std::string_view text = take().text;
      if (text == ".align")
        variable.align = static_cast<unsigned>(integer());
      else if (text == ".v2" || text == ".v4")
        vectorSize = static_cast<unsigned>(text[2] - '0');
      else if (text == ".ptr" || text == ".volatile" || text == ".attribute")
        pointerAttribute(text);
      else if (Type type = typeNamed(text.substr(1)); type != Type::None)
        variable.type = type;
      else if (!hasSpace)
        hasSpace = true, variable.space = spaceNamed(text);
      else if (text != ".global" && text != ".shared" && text != ".const" && text != ".local")
        fail("unknown directive '" + std::string(text) + "'");
    }
    if (variable.type == Type::None || !hasSpace)
      fail("a declaration without a " + std::string(hasSpace ? "type" : "state space"));
    if (vectorSize != 1 && variable.space == Variable::Register)
      fail("vector registers are not known");
    variable.bytes = uint64_t(bytesOf(variable.type)) * vectorSize;
    variable.align = std::max<unsigned>(variable.align, static_cast<unsigned>(variable.bytes));
    return variable;
  }

  void pointerAttribute(std::string_view text) {
    if (text != ".ptr")
      fail("unknown directive '" + std::string(text) + "'");
    while (accept(".global") || accept(".shared") || accept(".const") || accept(".local"))
      ;
    if (accept(".align"))
      integer();
  }

  Variable::Space spaceNamed(std::string_view text) {
    static constexpr std::pair<std::string_view, Variable::Space> spaces[] = {
        {".reg", Variable::Register},   {".shared", Variable::Shared}, {".global", Variable::Global},
        {".const", Variable::Constant}, {".local", Variable::Local},   {".param", Variable::Param}};
    for (const auto &space : spaces)
      if (text == space.first)
        return space.second;
    --position;
    fail("unknown directive '" + std::string(text) + "'");
  }

  Variable declarator(const Variable &common) {
    Variable variable = common;
    variable.line = peek().line;
    variable.name = word();
    if (accept("<")) {
      variable.count = static_cast<unsigned>(integer());
      expect(">");
    }
    while (accept("[")) {
      variable.bytes = accept("]") ? 0 : arraySize(variable);
    }
    if (accept("="))
      initializer(variable);
    return variable;
  }

  uint64_t arraySize(const Variable &variable) {
    uint64_t count = integer();
    expect("]");
    return variable.bytes * count;
  }

  void initializer(Variable &variable) {
    if (!accept("{"))
      return initialValue(variable);
    int depth = 1;
    while (depth > 0) {
      if (accept("{"))
        ++depth;
      else if (accept("}"))
        --depth;
      else if (!accept(","))
        initialValue(variable);
    }
  }

  void initialValue(Variable &variable) {
    unsigned size = bytesOf(variable.type);
    uint64_t bits = 0;
    bool negative = accept("-");
    if (peek().kind == Token::Word) {
      std::string name = word();
      if (name == "generic") {
        expect("(");
        name = word();
        expect(")");
      }
      if (size != 8)
        fail("a pointer in an array of " + std::to_string(size) + "-byte elements");
      variable.pointers.push_back({variable.initial.size(), name});
      if (accept("+"))
        bits = integer();
    } else
      bits = take().bits;
    if (negative)
      bits = 0 - bits;
    for (unsigned i = 0; i < size; ++i)
      variable.initial.push_back(static_cast<uint8_t>(bits >> (8 * i)));
  }

  void function() {
    Function function;
    function.line = peek().line;
    function.isEntry = take().text == ".entry";
    if (is("("))
      function.results = parameters();
    function.name = word();
    if (is("("))
      function.params = parameters();
    functionDirectives(function);
    if (accept("{")) {
      function.isDefined = true;
      function.bodyBegin = lexer.place(); // no token behind the brace has been made
      function.bodyLine = lexer.lineOfPlace();
      if (bodies == Bodies::Now)
        body(function);
      else
        function.hasShared = lexer.skipBlock();
    } else
      expect(";");
    syntax.functions.push_back(std::move(function));
  }

  std::vector<Variable> parameters() {
    std::vector<Variable> params;
    expect("(");
    while (!accept(")")) {
      params.push_back(declarator(declarationHead()));
      accept(",");
    }
    return params;
  }

  void functionDirectives(Function &function) {
    for (;;) {
      bool required = is(".reqntid");
      if (required || is(".maxntid")) {
        ++position;
        unsigned dims[3] = {1, 1, 1}, count = 0;
        do
          dims[std::min(count++, 2u)] = static_cast<unsigned>(integer());
        while (accept(","));
        function.maxThreads = dims[0] * dims[1] * dims[2];
        for (int i = 0; i < 3 && required; ++i)
          function.required[i] = dims[i];
      } else if (accept(".reqnctapercluster")) {
        unsigned count = 0;
        do
          function.cluster[std::min(count++, 2u)] = static_cast<unsigned>(integer());
        while (accept(","));
      } else if (accept(".explicitcluster")) {
      } else if (accept(".minnctapersm"))
        function.minBlocks = static_cast<unsigned>(integer());
      else if (accept(".maxnreg") || accept(".maxnctapersm"))
        integer();
      else if (!accept(".noreturn"))
        break;
    }
  }

  void statement(Function &function) {
    Statement result;
    result.line = peek().line;
    size_t begin = peek().begin;
    if (peek(1).text == ":" && peek().kind == Token::Word)
      return label(function);
    if (peek().text[0] == '.') {
      for (Variable &variable : declaration(false)) {
        result.kind = Statement::Declaration;
        function.hasShared |= variable.space == Variable::Shared;
        result.variable = std::make_shared<const Variable>(std::move(variable));
        function.body.push_back(result);
      }
      return;
    }
    if (accept("@")) {
      result.guardNegated = accept("!");
      result.guard = word();
    }
    splitOpcode(wordInSource(), result);
    result.operands.reserve(4);
    while (!is(";")) {
      result.operands.push_back(operand());
      if (!is(";"))
        expect(",");
    }
    result.text = std::string_view(source).substr(begin, take().end - begin);
    function.body.push_back(std::move(result));
  }

  void label(Function &function) {
    Statement result;
    result.kind = Statement::Label;
    result.line = peek().line;
    result.name = word();
    expect(":");
    if (accept(".branchtargets")) {
      result.kind = Statement::Targets;
      do
        result.operands.push_back(operand());
      while (accept(","));
      expect(";");
    } else if (is(".callprototype") || is(".calltargets"))
      return skipPast(";");
    function.body.push_back(std::move(result));
  }

  static void splitOpcode(std::string_view opcode, Statement &statement) {
    size_t dot = opcode.find('.');
    statement.name = opcode.substr(0, dot);
    statement.modifiers.reserve(static_cast<size_t>(std::count(opcode.begin(), opcode.end(), '.')));
    while (dot != std::string_view::npos) {
      size_t end = opcode.find('.', dot + 1);
      statement.modifiers.push_back(opcode.substr(dot + 1, end == std::string_view::npos ? end : end - dot - 1));
      dot = end;
    }
  }

  Operand operand() {
    Operand first = simpleOperand();
    if (!accept("|"))
      return first;
    Operand pair;
    pair.kind = Operand::Pair;
    pair.parts = {first, simpleOperand()};
    return pair;
  }

  Operand simpleOperand() {
    Operand result;
    if (accept("[")) {
      result.kind = Operand::Address;
      result.parts.push_back(simpleOperand());
      std::swap(result.offset, result.parts[0].offset);
      if (is("-"))
        result.offset = signedInteger();
      if (accept(",")) // coordinates in a tensor map
        result.parts.push_back(simpleOperand());
      expect("]");
    } else if (is("{") || is("(")) {
      bool list = take().text == "(";
      result.kind = list ? Operand::List : Operand::Vector;
      while (!accept(list ? ")" : "}")) {
        result.parts.push_back(simpleOperand());
        accept(",");
      }
    } else if (accept("!")) {
      result.name = word();
      result.negated = true;
    } else if (peek().kind == Token::Word) {
      result.name = std::string(take().text);
      if (accept("+"))
        result.offset = signedInteger();
    } else
      numberOperand(result);
    return result;
  }

  int64_t signedInteger() {
    bool negative = accept("-");
    auto value = static_cast<int64_t>(integer());
    return negative ? -value : value;
  }

  void numberOperand(Operand &result) {
    bool negative = accept("-");
    const Token &token = take();
    result.bits = token.bits;
    if (token.kind == Token::Integer) {
      result.kind = Operand::Integer;
      result.bits = negative ? 0 - token.bits : token.bits;
    } else if (token.kind == Token::Float32 || token.kind == Token::Float64) {
      result.kind = token.kind == Token::Float32 ? Operand::Float32 : Operand::Float64;
      if (negative)
        result.bits ^= token.kind == Token::Float32 ? 1ull << 31 : 1ull << 63;
    } else {
      --position;
      fail("expected an operand before '" + std::string(token.text) + "'");
    }
  }

  const std::string &source;
  Lexer lexer;
  std::array<Token, 8> tokens;   // the last ones
  size_t position = 0, made = 0; // numbers of tokens
  Bodies bodies;
  Syntax syntax;
};

} // namespace

Syntax parsePtx(std::string source, Bodies bodies) {
  return Parser(std::make_shared<const std::string>(std::move(source)), bodies).run();
}

void parseBody(const Syntax &syntax, Function &function) { Parser(*syntax.source, function).body(function); }

std::string squeezed(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (char c : text) {
    bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank || (!result.empty() && result.back() != ' '))
      result += blank ? ' ' : c;
  }
  return result;
}

} // namespace emulator
