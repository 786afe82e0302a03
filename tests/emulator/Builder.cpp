// Names to register slots, constants and addresses; statements to instructions through the decoders.
#include "Builder.h"

#include "Lanes.h"

#include <algorithm>

namespace emulator {

namespace {

const Decoders &decoders() {
  static const Decoders table = [] {
    Decoders all;
    addIntegerDecoders(all);
    addBitDecoders(all);
    addFloatDecoders(all);
    addCompareDecoders(all);
    addConvertDecoders(all);
    addHalfDecoders(all);
    addMemoryDecoders(all);
    addAtomicDecoders(all);
    addWarpDecoders(all);
    addMatrixDecoders(all);
    addWgmmaDecoders(all);
    addAsyncCopyDecoders(all);
    addMbarrierDecoders(all);
    addClusterDecoders(all);
    addRegisterDecoders(all);
    addControlDecoders(all);
    return all;
  }();
  return table;
}

const std::pair<const char *, Special> kSpecials[] = {{"%tid.x", Special::TidX},
                                                      {"%tid.y", Special::TidY},
                                                      {"%tid.z", Special::TidZ},
                                                      {"%ntid.x", Special::NtidX},
                                                      {"%ntid.y", Special::NtidY},
                                                      {"%ntid.z", Special::NtidZ},
                                                      {"%ctaid.x", Special::CtaidX},
                                                      {"%ctaid.y", Special::CtaidY},
                                                      {"%ctaid.z", Special::CtaidZ},
                                                      {"%nctaid.x", Special::NctaidX},
                                                      {"%nctaid.y", Special::NctaidY},
                                                      {"%nctaid.z", Special::NctaidZ},
                                                      {"%laneid", Special::LaneId},
                                                      {"%warpid", Special::WarpId},
                                                      {"%nwarpid", Special::NwarpId},
                                                      {"%smid", Special::SmId},
                                                      {"%nsmid", Special::NsmId},
                                                      {"%gridid", Special::GridId},
                                                      {"%lanemask_eq", Special::LanemaskEq},
                                                      {"%lanemask_lt", Special::LanemaskLt},
                                                      {"%lanemask_le", Special::LanemaskLe},
                                                      {"%lanemask_gt", Special::LanemaskGt},
                                                      {"%lanemask_ge", Special::LanemaskGe},
                                                      {"%dynamic_smem_size", Special::DynamicSharedSize},
                                                      {"%total_smem_size", Special::TotalSharedSize}};

uint64_t alignUp(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

/// The value of a constant operand as the bits of a `type`.
uint64_t constantBits(const Operand &operand, Type type) {
  if (operand.kind == Operand::Float32 && type == Type::F64)
    return bitCast<uint64_t>(double(bitCast<float>(uint32_t(operand.bits))));
  if (operand.kind == Operand::Float64 && (type == Type::F32 || type == Type::TF32))
    return bitCast<uint32_t>(float(bitCast<double>(operand.bits)));
  return operand.bits;
}

} // namespace

void Builder::fail(const std::string &what) const {
  throw PtxError(what + (current ? " in line " + std::to_string(current->line) + ": " + squeezed(current->text) : ""));
}

// ---- operands ----

uint32_t Builder::allocate(uint32_t bytes) {
  nextRegister = alignUp(nextRegister, std::min<uint32_t>(bytes, 128));
  uint64_t slot = nextRegister;
  nextRegister += bytes;
  if (nextRegister >= kNoSlot)
    fail("more than 4 GiB of registers");
  return static_cast<uint32_t>(slot);
}

uint32_t Builder::constant(uint64_t bits, bool wide) {
  if (!wide)
    bits &= 0xffffffffu;
  auto [entry, isNew] = constants.try_emplace({bits, wide}, 0);
  if (isNew) {
    entry->second = temporary(wide);
    program.constants.push_back({entry->second, wide, bits});
  }
  return entry->second;
}

std::optional<Builder::Register> Builder::findRegister(std::string_view name) const {
  size_t digits = name.find_last_not_of("0123456789") + 1;
  std::string_view number = name.substr(digits);
  bool isNumber = !number.empty() && number.size() < 9 && (number[0] != '0' || number.size() == 1);
  uint32_t place = 0;
  for (char digit : isNumber ? number : std::string_view())
    place = place * 10 + static_cast<uint32_t>(digit - '0');
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope)
    for (auto entry = scope->registers.rbegin(); entry != scope->registers.rend(); ++entry) {
      if (!entry->count && entry->name == name)
        return Register{entry->slot, entry->type};
      if (isNumber && place < entry->count && entry->name == name.substr(0, digits))
        return Register{entry->slot + place * entry->bytes, entry->type};
    }
  return {};
}

const Builder::Place *Builder::findPlace(const std::string &name) const {
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope)
    if (auto found = scope->places.find(name); found != scope->places.end())
      return &found->second;
  return nullptr;
}

uint32_t Builder::special(const std::string &name, bool wide) {
  for (const auto &entry : kSpecials)
    if (name == entry.first) {
      auto [found, isNew] = specials.try_emplace(name + (wide ? "/64" : ""), 0);
      if (isNew) {
        found->second = temporary(wide);
        program.specials.push_back({found->second, wide, entry.second});
      }
      return found->second;
    }
  if (name == "WARP_SZ")
    return constant(32, wide);
  return kNoSlot;
}

/// The address of a variable, or a special register.
uint32_t Builder::nameValue(const Operand &operand, Type type) {
  bool wide = bytesOf(type) == 8;
  if (uint32_t slot = special(operand.name, wide); slot != kNoSlot)
    return slot;
  if (const Place *found = findPlace(operand.name)) {
    // The address of a parameter of the kernel may be used as a generic one only after cvta.param.
    return constant(static_cast<uint64_t>(found->offset + operand.offset), wide);
  }
  if (const Variable *variable = moduleShared(operand.name))
    return constant(static_cast<uint64_t>(sharedOffset(*variable) + operand.offset), wide);
  if (auto found = symbols.find(operand.name); found != symbols.end() && wide)
    return constant(found->second.address + static_cast<uint64_t>(operand.offset), true);
  fail("unknown name '" + operand.name + "'");
}

uint32_t Builder::read(const Operand &operand, Type type) {
  bool wide = bytesOf(type) == 8;
  if (operand.kind == Operand::Name) {
    const auto found = findRegister(operand.name);
    if (!found)
      return nameValue(operand, type);
    if (found->type == Type::Pred)
      fail("'" + operand.name + "' is a predicate");
    return resized(found->slot, found->type, type);
  }
  if (operand.kind != Operand::Integer && operand.kind != Operand::Float32 && operand.kind != Operand::Float64)
    fail("an operand of an unexpected form");
  return constant(constantBits(operand, type), wide);
}

uint32_t Builder::readPredicate(const Operand &operand) {
  if (operand.kind == Operand::Integer) {
    uint32_t slot = temporaryPredicate();
    Instruction set;
    set.d = slot;
    set.imm = operand.bits ? -1 : 0;
    set.run = [](Warp &warp, const Instruction &self, uint32_t) { warp.predicate(self.d) = static_cast<uint32_t>(self.imm); };
    emit(set);
    return slot;
  }
  const auto found = operand.kind == Operand::Name ? findRegister(operand.name) : std::nullopt;
  if (!found || found->type != Type::Pred)
    fail("'" + operand.name + "' is no predicate");
  if (!operand.negated)
    return found->slot;
  Instruction negate;
  negate.d = temporaryPredicate();
  negate.a = found->slot;
  negate.run = [](Warp &warp, const Instruction &self, uint32_t) { warp.predicate(self.d) = ~warp.predicate(self.a); };
  uint32_t slot = negate.d;
  emit(negate);
  return slot;
}

uint32_t Builder::writePredicate(const Operand &operand) {
  if (operand.kind == Operand::Name && operand.name == "_")
    return temporaryPredicate();
  const auto found = operand.kind == Operand::Name ? findRegister(operand.name) : std::nullopt;
  if (!found || found->type != Type::Pred)
    fail("'" + operand.name + "' is no predicate");
  return found->slot;
}

uint32_t Builder::write(const Operand &operand, Type type) {
  if (operand.kind == Operand::Name && operand.name == "_")
    return temporary(bytesOf(type) == 8);
  const auto found = operand.kind == Operand::Name ? findRegister(operand.name) : std::nullopt;
  if (!found)
    fail("'" + operand.name + "' is no register");
  if (found->type == Type::Pred)
    fail("'" + operand.name + "' is a predicate");
  bool wide = bytesOf(type) == 8;
  if (bytesOf(found->type) < bytesOf(type))
    fail("'" + operand.name + "' is too small for the result");
  if ((bytesOf(found->type) == 8) == wide)
    return found->slot;
  Instruction extend;
  extend.a = temporary(false);
  extend.d = found->slot;
  bool sign = isSigned(type);
  extend.run = sign ? resize<int32_t, int64_t> : resize<uint32_t, uint64_t>;
  after.push_back(extend);
  return extend.a;
}

uint32_t Builder::resized(uint32_t slot, Type from, Type to) {
  bool wideFrom = bytesOf(from) == 8, wideTo = bytesOf(to) == 8;
  if (wideFrom == wideTo)
    return slot;
  if (wideTo)
    fail("a 32-bit register where 64 bits are read");
  Instruction narrow;
  narrow.a = slot;
  narrow.d = temporary(false);
  narrow.run = resize<uint64_t, uint32_t>;
  uint32_t result = narrow.d;
  emit(narrow);
  return result;
}

void Builder::address(const Operand &operand, Instruction &instruction) {
  if (operand.kind != Operand::Address)
    fail("expected an address in brackets");
  const Operand &base = operand.parts[0];
  instruction.imm = operand.offset;
  const auto found = base.kind == Operand::Name ? findRegister(base.name) : std::nullopt;
  if (found) {
    instruction.a = found->slot;
    instruction.narrowAddress = bytesOf(found->type) != 8;
  } else
    instruction.a = read(base, Type::U64);
  if (const Place *named = base.kind == Operand::Name ? findPlace(base.name) : nullptr)
    instruction.space = named->space;
}

uint32_t Builder::carrySlot() {
  if (carry == kNoSlot)
    carry = temporaryPredicate();
  return carry;
}

void Builder::list(Instruction &instruction, const std::vector<uint32_t> &slots) {
  instruction.list = static_cast<uint32_t>(program.lists.size());
  instruction.listCount = static_cast<uint32_t>(slots.size());
  program.lists.insert(program.lists.end(), slots.begin(), slots.end());
}

void Builder::emit(Instruction instruction) {
  instruction.statement = static_cast<uint32_t>(program.statements.size() - 1);
  if (current && !current->guard.empty() && instruction.guard == kNoSlot) {
    const auto found = findRegister(current->guard);
    if (!found || found->type != Type::Pred)
      fail("'" + current->guard + "' is no predicate");
    instruction.guard = found->slot;
    instruction.guardNegated = current->guardNegated;
  }
  program.code.push_back(instruction);
}

void Builder::repeatUnless(uint32_t predicate) {
  Instruction back;
  back.flow = Flow::Branch;
  back.imm = static_cast<int64_t>(program.code.size()) - 1;
  back.guard = predicate;
  back.guardNegated = true;
  emit(back);
}

// ---- modifiers ----

Type Builder::type(const Statement &statement, unsigned n) const {
  for (std::string_view modifier : statement.modifiers)
    if (Type found = typeNamed(modifier); found != Type::None && n-- == 0)
      return found;
  fail("no type in '" + statement.name + "'");
}

void Builder::allow(const Statement &statement, const char *known) const {
  for (std::string_view modifier : statement.modifiers) {
    bool fine = typeNamed(modifier) != Type::None;
    for (std::string_view words = known; !fine && !words.empty();) {
      size_t end = std::min(words.find(' '), words.size());
      fine = words.substr(0, end) == modifier;
      words.remove_prefix(std::min(end + 1, words.size()));
    }
    if (!fine)
      fail("unknown modifier '." + std::string(modifier) + "'");
  }
}

void Builder::expectOperands(const Statement &statement, size_t least, size_t most) const {
  size_t count = statement.operands.size();
  if (count < least || count > most)
    fail(std::to_string(count) + " operands");
}

// ---- statements ----

void Builder::statement(const Statement &next) {
  current = &next;
  switch (next.kind) {
  case Statement::ScopeBegin:
    scopes.emplace_back();
    return;
  case Statement::ScopeEnd:
    return closeScope();
  case Statement::Label:
    if (!scopes.back().labels.emplace(next.name, uint32_t(program.code.size())).second)
      fail("label '" + next.name + "' stands twice");
    return;
  case Statement::Targets: {
    auto &labels = scopes.back().targets[next.name];
    for (const Operand &operand : next.operands)
      labels.push_back(operand.name);
    return;
  }
  case Statement::Declaration:
    return declare(*next.variable);
  case Statement::Instruction:
    break;
  }
  program.statements.push_back({next.line, next.text});
  auto decoder = decoders().find(next.name);
  if (decoder == decoders().end())
    fail("unknown instruction '" + next.name + "'");
  decoder->second(*this, next);
  std::vector<Instruction> extensions;
  extensions.swap(after);
  for (const Instruction &extension : extensions)
    emit(extension);
}

void Builder::declare(const Variable &variable) {
  Scope &scope = scopes.back();
  if (variable.space != Variable::Register) {
    // The .param variables of a call are private to the thread, like .local ones.
    Space space = variable.space == Variable::Shared ? Space::Shared : Space::Local;
    if (variable.space == Variable::Global || variable.space == Variable::Constant)
      fail("global variable '" + variable.name + "' inside a function");
    scope.places[variable.name] = {space, space == Space::Shared ? sharedOffset(variable) : place(variable)};
    return;
  }
  if (variable.type == Type::B128)
    fail("128-bit registers are not known");
  uint32_t bytes = variable.type == Type::Pred ? 4 : bytesOf(variable.type) == 8 ? 256 : 128;
  uint32_t first = allocate(bytes);
  for (unsigned i = 1; i < variable.count; ++i)
    allocate(bytes); // one behind the other
  scope.registers.push_back({variable.name, variable.count, first, bytes, variable.type});
}

/// Room in the private memory of a thread: .local variables and the .param variables of calls.
int64_t Builder::place(const Variable &variable) {
  nextLocal = alignUp(nextLocal, variable.align);
  auto offset = static_cast<int64_t>(nextLocal);
  nextLocal += std::max<uint64_t>(variable.bytes, 1);
  return offset;
}

const Variable *Builder::moduleShared(const std::string &name) const {
  for (const Variable &variable : syntax.variables)
    if (variable.space == Variable::Shared && variable.name == name)
      return &variable;
  return nullptr;
}

/// Static variables stand at addresses as badly aligned as their declaration allows; dynamic ones start where the static ones end,
/// which is not known before the last one is met: build() lays out the static ones first.
int64_t Builder::sharedOffset(const Variable &variable) {
  auto found = sharedOffsets.find(variable.name);
  if (found != sharedOffsets.end())
    return found->second;
  nextShared = alignUp(nextShared, variable.align);
  if (variable.align < 16 && nextShared % (2 * variable.align) == 0)
    nextShared += variable.align;
  auto offset = static_cast<int64_t>(nextShared);
  nextShared += variable.bytes;
  return sharedOffsets[variable.name] = offset;
}

} // namespace emulator
