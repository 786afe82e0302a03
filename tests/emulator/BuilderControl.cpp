// Functions, scopes, labels, jumps and calls. A function is decoded once per kernel, with storage of its own: recursion is refused.
#include "Builder.h"

#include "Cuda.h"
#include "Machine.h"
#include "Windows.h"

#include <algorithm>
#include <set>

namespace emulator {

namespace {

const Function *findFunction(const Syntax &syntax, const std::string &name) {
  const Function *declared = nullptr;
  for (const Function &function : syntax.functions)
    if (function.name == name && (function.isDefined || !declared))
      declared = &function;
  return declared;
}

void collectNames(const Operand &operand, std::set<std::string> &names) {
  if (!operand.name.empty() && operand.name[0] != '%') // of registers there are many, and none is asked for
    names.insert(operand.name);
  for (const Operand &part : operand.parts)
    collectNames(part, names);
}

/// Every name used by `function` and by what it calls.
void collectReachable(const Syntax &syntax, const Function &function, std::set<std::string> &names,
                      std::set<const Function *> &seen) {
  if (!seen.insert(&function).second)
    return;
  std::set<std::string> own;
  for (const Statement &statement : function.body)
    for (const Operand &operand : statement.operands)
      collectNames(operand, own);
  for (const std::string &name : own)
    if (const Function *callee = findFunction(syntax, name); callee && callee->isDefined)
      collectReachable(syntax, *callee, names, seen);
  names.insert(own.begin(), own.end());
}

bool reaches(const std::map<std::string, std::vector<std::string>> &graph, const std::string &from, const std::string &to,
             int depth = 0) {
  auto found = graph.find(from);
  if (found == graph.end() || depth > 64)
    return depth > 64;
  for (const std::string &next : found->second)
    if (next == to || reaches(graph, next, to, depth + 1))
      return true;
  return false;
}

void copyPrivate(Warp &warp, const Instruction &instruction, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint8_t *to = warp.access(lane, Space::Local, instruction.c, 1, AccessKind::Write);
    const uint8_t *from = warp.access(lane, Space::Local, static_cast<uint64_t>(instruction.imm), 1, AccessKind::Read);
    if (to && from)
      std::memmove(to, from, instruction.listCount);
  }
}

void assertionFailed(Warp &warp, const Instruction &, uint32_t mask) {
  warp.report(CUDA_ERROR_ASSERT, "assertion failed", static_cast<unsigned>(__builtin_ctz(mask)));
}

} // namespace

void Builder::build(const std::string &entry) {
  const Function *function = findFunction(syntax, entry);
  if (!function || !function->isEntry || !function->isDefined)
    throw PtxError("no entry '" + entry + "'");
  program.name = entry;
  program.maxThreads = function->maxThreads;
  std::copy(std::begin(function->required), std::end(function->required), program.required);
  program.minBlocks = function->minBlocks;
  program.cluster = function->cluster[2], program.besides = function->cluster[1];
  bool isKnown = program.besides == 1 ? program.cluster && program.cluster <= 8 : program.besides == 2 && program.cluster == 1;
  if (function->cluster[0] != 1 || !isKnown)
    throw PtxError("clusters other than 1 by 1 by 1 to 8, or 1 by 2 by 1 of blocks that share nothing, are not known");
  std::set<std::string> names;
  std::set<const Function *> reachable;
  collectReachable(syntax, *function, names, reachable);
  for (const Variable &variable : syntax.variables)
    if (variable.space == Variable::Shared && variable.bytes && names.count(variable.name))
      sharedOffset(variable);
  for (const Function *part : reachable)
    for (const Statement &statement : part->body)
      if (statement.kind == Statement::Declaration && statement.variable->space == Variable::Shared && statement.variable->bytes)
        sharedOffset(*statement.variable);
  // Dynamic shared memory: every extern array starts at the same place.
  unsigned align = 16;
  for (const Variable &variable : syntax.variables)
    if (variable.space == Variable::Shared && !variable.bytes)
      align = std::max(align, variable.align);
  bool dynamic = false;
  uint64_t start = (nextShared + align - 1) / align * align;
  for (const Variable &variable : syntax.variables)
    if (variable.space == Variable::Shared && !variable.bytes && names.count(variable.name))
      sharedOffsets[variable.name] = static_cast<int64_t>(start), dynamic = true;
  program.staticShared = static_cast<unsigned>(dynamic ? start : nextShared);
  layoutEntryParams(*function);
  bodies[entry].function = function;
  currentBody = &bodies[entry];
  functionBody(*function);
  while (!pending.empty()) {
    std::string name = pending.back();
    pending.pop_back();
    currentBody = &bodies[name];
    currentBody->entry = static_cast<uint32_t>(program.code.size());
    functionBody(*currentBody->function);
  }
  for (const auto &call : calls)
    program.code[call.first].imm = bodies[call.second].entry;
  for (const auto &caller : callGraph)
    if (reaches(callGraph, caller.first, caller.first))
      throw PtxError("function '" + caller.first + "' calls itself; recursion is not known to the emulator");
  program.registerBytes = static_cast<uint32_t>(nextRegister);
  program.localBytes = static_cast<unsigned>((nextLocal + 15) / 16 * 16);
}

void Builder::layoutEntryParams(const Function &function) {
  unsigned offset = 0;
  for (const Variable &param : function.params) {
    offset = (offset + param.align - 1) / param.align * param.align;
    program.paramOffsets.push_back(offset);
    program.paramSizes.push_back(static_cast<unsigned>(param.bytes));
    offset += static_cast<unsigned>(param.bytes);
  }
  program.paramBytes = offset;
}

void Builder::functionBody(const Function &function) {
  current = nullptr;
  carry = kNoSlot;
  scopes.clear();
  scopes.emplace_back();
  for (size_t i = 0; i < function.params.size(); ++i)
    scopes.back().places[function.params[i].name] =
        function.isEntry ? Place{Space::Param, program.paramOffsets[i]} : Place{Space::Local, currentBody->params[i]};
  for (size_t i = 0; i < function.results.size(); ++i)
    scopes.back().places[function.results[i].name] = {Space::Local, currentBody->results[i]};
  for (const Statement &next : function.body)
    statement(next);
  Statement end;
  end.name = "ret";
  end.text = "(the end of the function)";
  end.line = function.body.empty() ? function.line : function.body.back().line;
  statement(end);
  current = nullptr;
  while (!scopes.empty())
    closeScope();
}

/// Jumps to labels of this scope are resolved; others wait for the scope around it.
void Builder::closeScope() {
  if (scopes.empty())
    fail("'}' without '{'");
  Scope scope = std::move(scopes.back());
  scopes.pop_back();
  for (auto &jump : scope.jumps) {
    auto [instruction, entry, name] = jump;
    auto label = scope.labels.find(name);
    if (label != scope.labels.end()) {
      if (entry == kNoSlot)
        program.code[instruction].imm = label->second;
      else
        program.lists[entry] = label->second;
    } else if (scopes.empty())
      throw PtxError("no label '" + name + "' in line " +
                     std::to_string(program.statements[program.code[instruction].statement].first));
    else
      scopes.back().jumps.push_back(jump);
  }
}

void Builder::branch(const Statement &statement) {
  allow(statement, "uni");
  expectOperands(statement, 1, 1);
  Instruction instruction;
  instruction.flow = Flow::Branch;
  scopes.back().jumps.push_back({uint32_t(program.code.size()), kNoSlot, statement.operands[0].name});
  emit(instruction);
}

void Builder::indexedBranch(const Statement &statement) {
  allow(statement, "idx uni");
  expectOperands(statement, 2, 2);
  const std::vector<std::string> *labels = nullptr;
  for (auto &scope : scopes)
    if (auto found = scope.targets.find(statement.operands[1].name); found != scope.targets.end())
      labels = &found->second;
  if (!labels)
    fail("no .branchtargets '" + statement.operands[1].name + "'");
  Instruction instruction;
  instruction.flow = Flow::IndexedBranch;
  instruction.a = read(statement.operands[0], Type::U32);
  list(instruction, std::vector<uint32_t>(labels->size(), 0));
  for (size_t i = 0; i < labels->size(); ++i)
    scopes.back().jumps.push_back({uint32_t(program.code.size()), instruction.list + uint32_t(i), (*labels)[i]});
  emit(instruction);
}

Builder::Body &Builder::bodyOf(const std::string &name) {
  Body &body = bodies[name];
  if (body.function)
    return body;
  body.function = findFunction(syntax, name);
  if (!body.function || !body.function->isDefined)
    fail("no function '" + name + "'");
  for (const Variable &param : body.function->params)
    body.params.push_back(place(param));
  for (const Variable &result : body.function->results)
    body.results.push_back(place(result));
  body.returnSlot = temporary(false);
  pending.push_back(name);
  return body;
}

void Builder::copyParam(const Operand &from, const Operand &to, int64_t fixed, bool fixedIsSource, unsigned bytes) {
  const Operand &named = fixedIsSource ? to : from;
  const Place *found = findPlace(named.name);
  if (!found || found->space == Space::Shared)
    fail("'" + named.name + "' is no parameter");
  Instruction copy;
  copy.run = copyPrivate;
  copy.flow = Flow::Checked;
  copy.imm = fixedIsSource ? fixed : found->offset;
  copy.c = static_cast<uint32_t>(fixedIsSource ? found->offset : fixed);
  copy.listCount = bytes;
  emit(copy);
}

/// call (results), function, (arguments); each list may be absent.
void Builder::call(const Statement &statement) {
  allow(statement, "uni");
  size_t at = 0;
  const auto &operands = statement.operands;
  std::vector<Operand> results, arguments;
  if (at < operands.size() && operands[at].kind == Operand::List)
    results = operands[at++].parts;
  if (at >= operands.size() || operands[at].kind != Operand::Name)
    fail("call without a function");
  std::string name = operands[at++].name;
  if (at < operands.size() && operands[at].kind == Operand::List)
    arguments = operands[at++].parts;
  if (findRegister(name))
    fail("calls through a register are not known");
  if (name == "vprintf" || name == "__assertfail")
    return builtinCall(name, results, arguments);
  Body &body = bodyOf(name);
  callGraph[currentBody->function->name].push_back(name);
  if (arguments.size() != body.params.size() || results.size() != body.results.size())
    fail("'" + name + "' takes " + std::to_string(body.params.size()) + " parameters and returns " +
         std::to_string(body.results.size()));
  for (size_t i = 0; i < arguments.size(); ++i)
    copyParam(arguments[i], {}, body.params[i], false, static_cast<unsigned>(body.function->params[i].bytes));
  Instruction jump;
  jump.flow = Flow::Call;
  jump.d = body.returnSlot;
  calls.push_back({uint32_t(program.code.size()), name});
  emit(jump);
  for (size_t i = 0; i < results.size(); ++i)
    copyParam({}, results[i], body.results[i], true, static_cast<unsigned>(body.function->results[i].bytes));
}

/// Output of kernels goes nowhere; a failed assertion is a finding.
void Builder::builtinCall(const std::string &name, const std::vector<Operand> &results, const std::vector<Operand> &) {
  Instruction instruction;
  if (name == "__assertfail") {
    instruction.run = assertionFailed;
    instruction.flow = Flow::Checked;
    return emit(instruction);
  }
  const Place *found = results.empty() ? nullptr : findPlace(results[0].name);
  if (!found)
    return;
  instruction.run = [](Warp &warp, const Instruction &self, uint32_t mask) {
    for (; mask; mask &= mask - 1)
      if (uint8_t *result = warp.access(static_cast<unsigned>(__builtin_ctz(mask)), Space::Local, static_cast<uint64_t>(self.imm),
                                        4, AccessKind::Write))
        std::memset(result, 0, 4);
  };
  instruction.flow = Flow::Checked;
  instruction.imm = found->offset;
  emit(instruction);
}

void Builder::leave(const Statement &statement) {
  allow(statement, "uni");
  Instruction instruction;
  bool back = statement.name == "ret" && !currentBody->function->isEntry;
  instruction.flow = back ? Flow::Return : Flow::Exit;
  instruction.a = currentBody->returnSlot;
  emit(instruction);
}

void addControlDecoders(Decoders &decoders) {
  decoders["bra"] = [](Builder &builder, const Statement &statement) { builder.branch(statement); };
  decoders["brx"] = [](Builder &builder, const Statement &statement) { builder.indexedBranch(statement); };
  decoders["call"] = [](Builder &builder, const Statement &statement) { builder.call(statement); };
  decoders["ret"] = decoders["exit"] = [](Builder &builder, const Statement &statement) { builder.leave(statement); };
  decoders["trap"] = [](Builder &builder, const Statement &) {
    Instruction instruction;
    instruction.flow = Flow::Checked;
    instruction.run = [](Warp &warp, const Instruction &, uint32_t mask) {
      warp.report(CUDA_ERROR_LAUNCH_FAILED, "trap", static_cast<unsigned>(__builtin_ctz(mask)));
    };
    builder.emit(instruction);
  };
}

std::unique_ptr<Program> buildProgram(const Syntax &syntax, const std::string &name, const Symbols &symbols) {
  auto program = std::make_unique<Program>();
  program->source = syntax.source;
  program->statements.push_back({0, "(start)"});
  Builder(syntax, symbols, *program).build(name);
  return program;
}

} // namespace emulator
