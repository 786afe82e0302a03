//===- FlatCode.cpp - an ELF object as one piece of position-independent code ------------------------------------===//
//
// Kernels need no loader beyond "map and jump": their sections are laid out one after the other, code first, and every reference
// between them is relative, so it can be resolved here for good.

#include "sm1c/Codegen.h"
#include "sm1c/Codegen/Passes.h"

#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <map>

using namespace llvm;
using namespace llvm::object;
using namespace sm1;

namespace {
class Flattener {
public:
  explicit Flattener(const ELF64LEObjectFile &object) : object(object) {}
  Expected<FlatCode> run();

private:
  Error placeSections(bool executable);
  Error applyRelocations(const SectionRef &relocations);
  Error apply(const RelocationRef &relocation, uint64_t sectionStart, uint64_t sectionBytes);
  Expected<uint64_t> addressOf(const ELFSymbolRef &symbol);
  Error collectKernels();

  const ELF64LEObjectFile &object;
  /// Where each section starts in the flat code.
  std::map<SectionRef, uint64_t> starts;
  FlatCode flat;
};
} // namespace

/// What code generation writes beside code and constants, of no use at run time.
static bool isDropped(StringRef name) { return name == ".eh_frame" || name.starts_with(".note"); }

/// Appends the sections that hold code, or those that hold constants.
Error Flattener::placeSections(bool executable) {
  for (const SectionRef &section : object.sections()) {
    uint64_t flags = ELFSectionRef(section).getFlags();
    StringRef name = cantFail(section.getName());
    if (!(flags & ELF::SHF_ALLOC) || section.getSize() == 0 || isDropped(name) || bool(flags & ELF::SHF_EXECINSTR) != executable)
      continue;
    if (flags & ELF::SHF_WRITE)
      return createStringError("kernel code has writable data in section " + name +
                               "; kernels keep what they write in buffers and scratch");
    auto contents = section.getContents();
    if (!contents)
      return contents.takeError();
    flat.bytes.resize(alignTo(flat.bytes.size(), section.getAlignment()));
    starts[section] = flat.bytes.size();
    flat.bytes.insert(flat.bytes.end(), contents->bytes_begin(), contents->bytes_end());
  }
  return Error::success();
}

/// Place of a symbol in the flat code.
Expected<uint64_t> Flattener::addressOf(const ELFSymbolRef &symbol) {
  StringRef name = cantFail(symbol.getName());
  section_iterator section = cantFail(symbol.getSection());
  if (section == object.section_end())
    return createStringError("no CPU form for " + name + ": kernel code needs this function, and packages call no library");
  auto start = starts.find(*section);
  if (start == starts.end())
    return createStringError("kernel code refers to " + name + " in section " + cantFail(section->getName()) +
                             ", which is not part of it");
  return start->second + cantFail(symbol.getValue());
}

/// Writes target + addend - place over `relocation`; other kinds of references are refused.
Error Flattener::apply(const RelocationRef &relocation, uint64_t sectionStart, uint64_t sectionBytes) {
  ELFSymbolRef symbol(*relocation.getSymbol());
  auto target = addressOf(symbol);
  if (!target)
    return target.takeError();
  uint64_t type = relocation.getType(), place = sectionStart + relocation.getOffset();
  bool isWide = type == ELF::R_X86_64_PC64;
  if (!isWide && type != ELF::R_X86_64_PC32 && type != ELF::R_X86_64_PLT32)
    return createStringError("kernel code refers to " + cantFail(symbol.getName()) + " by " +
                             getELFRelocationTypeName(ELF::EM_X86_64, type) + ", which depends on where it is loaded");
  if (relocation.getOffset() + (isWide ? 8 : 4) > sectionBytes)
    return createStringError("reference to " + cantFail(symbol.getName()) + " lies outside its section");
  int64_t value = int64_t(*target) + cantFail(ELFRelocationRef(relocation).getAddend()) - int64_t(place);
  if (isWide)
    support::endian::write64le(&flat.bytes[place], value);
  else if (isInt<32>(value))
    support::endian::write32le(&flat.bytes[place], value);
  else
    return createStringError("kernel code of " + Twine(flat.bytes.size()) + " bytes is too large for 32-bit references");
  return Error::success();
}

/// Applies one relocation section, if it is about a section that is part of the code.
Error Flattener::applyRelocations(const SectionRef &relocations) {
  auto relocated = relocations.getRelocatedSection();
  if (!relocated)
    return relocated.takeError();
  if (*relocated == object.section_end())
    return Error::success();
  auto start = starts.find(**relocated);
  if (start == starts.end())
    return Error::success();
  for (const RelocationRef &relocation : relocations.relocations())
    if (Error error = apply(relocation, start->second, (*relocated)->getSize()))
      return error;
  return Error::success();
}

/// Entries are the global functions; their suffix goes.
Error Flattener::collectKernels() {
  std::map<std::string, uint64_t> offsets;
  for (const ELFSymbolRef &symbol : object.symbols()) {
    StringRef name = cantFail(symbol.getName());
    if (symbol.getELFType() != ELF::STT_FUNC || symbol.getBinding() != ELF::STB_GLOBAL || !name.consume_back(entrySuffix))
      continue;
    auto address = addressOf(symbol);
    if (!address)
      return address.takeError();
    offsets[name.str()] = *address;
  }
  for (auto &[name, offset] : offsets)
    flat.kernels.push_back({name, offset});
  return Error::success();
}

Expected<FlatCode> Flattener::run() {
  if (Error error = placeSections(/*executable=*/true))
    return error;
  if (Error error = placeSections(/*executable=*/false))
    return error;
  for (const SectionRef &section : object.sections())
    if (Error error = applyRelocations(section))
      return error;
  if (Error error = collectKernels())
    return error;
  return std::move(flat);
}

Expected<FlatCode> sm1::flatten(ArrayRef<char> object) {
  auto parsed = ObjectFile::createELFObjectFile(MemoryBufferRef(StringRef(object.data(), object.size()), "kernels"));
  if (!parsed)
    return parsed.takeError();
  auto *elf = dyn_cast<ELF64LEObjectFile>(parsed->get());
  if (!elf || elf->getArch() != Triple::x86_64)
    return createStringError("kernel code is not an x86-64 ELF object");
  return Flattener(*elf).run();
}
