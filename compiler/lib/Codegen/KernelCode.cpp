//===- KernelCode.cpp - kernels of one target, lowered together and compiled one by one ---------------------------===//
//
// LLVM takes most of the time, and a context of it is for one thread. So each distinct kernel of a GPU is a module in a context of
// its own, and their PTX is one text again at the end. Kernels of a CPU share an object, and with lines a GPU's share tables of
// files: these are one module.

#include "sm1c/Codegen.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// Lowering
//===----------------------------------------------------------------------===//

/// What entries share, a norm of rows, is made once.
LogicalResult KernelCode::addEntry(ModuleOp module, llvm::StringMap<Kernel> &known) {
  llvm::StringMap<BlockScheduleAttr> blocks;
  module.walk([&](DispatchOp dispatch) { blocks[dispatch.getCallee()] = dispatch.getBlocksAttr(); });
  SmallVector<Operation *> wanted;
  for (Operation &op : *module.getBody()) {
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function) {
      wanted.push_back(&op);
      continue;
    }
    Kernel kernel{function, blocks.lookup(function.getName())};
    auto [place, isNew] = known.try_emplace(function.getName(), kernel);
    if (isNew)
      wanted.push_back(&op);
    else if (place->second.blocks != kernel.blocks ||
             !OperationEquivalence::isEquivalentTo(place->second.function, &op, OperationEquivalence::IgnoreLocations))
      return op.emitError("prefill and step have different kernels called ") << function.getName();
  }
  OwningOpRef<ModuleOp> entry = kernelEntries(module, wanted, target);
  if (!entry)
    return failure();
  if (!kernels) {
    kernels = std::move(entry);
    return success();
  }
  SymbolTable symbols(*kernels);
  for (Operation &op : llvm::make_early_inc_range(*entry->getBody()))
    if (!symbols.lookup(cast<SymbolOpInterface>(op).getName())) // the memory that blocks share is there already
      op.moveBefore(kernels->getBody(), kernels->getBody()->end());
  return success();
}

LogicalResult KernelCode::lower(ArrayRef<ModuleOp> modules, bool lineInfo) {
  llvm::StringMap<Kernel> known;
  for (ModuleOp module : modules)
    if (failed(addEntry(module, known)))
      return failure();
  if (target.isGpu() && !lineInfo)
    dropTwins();
  if (failed(lowerToLlvm(*kernels, target)) || (lineInfo && failed(addLineInfo(*kernels))))
    return failure();
  if (target.isGpu() && !lineInfo)
    split();
  else
    parts.push_back(std::make_unique<Part>(std::move(kernels)));
  return success();
}

/// Whether two kernels differ in their names alone.
static bool areTwins(LLVM::LLVMFuncOp a, LLVM::LLVMFuncOp b) {
  auto traits = [](LLVM::LLVMFuncOp kernel) {
    NamedAttrList attributes(kernel->getAttrs());
    attributes.erase(SymbolTable::getSymbolAttrName());
    return attributes.getDictionary(kernel.getContext());
  };
  return traits(a) == traits(b) &&
         OperationEquivalence::isRegionEquivalentTo(&a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

/// Projections with the tiles of another entry, norms of one width: a fifth of the code of SM1 is there twice.
void KernelCode::dropTwins() {
  std::vector<std::pair<size_t, LLVM::LLVMFuncOp>> seen;
  for (auto kernel : llvm::make_early_inc_range(kernels->getOps<LLVM::LLVMFuncOp>())) {
    size_t size = 0;
    kernel.walk([&](Operation *) { ++size; });
    auto twin = llvm::find_if(seen, [&](auto &other) { return other.first == size && areTwins(other.second, kernel); });
    names.push_back({kernel.getName().str(), twin == seen.end() ? kernel.getName().str() : twin->second.getName().str()});
    if (twin == seen.end())
      seen.push_back({size, kernel});
    else
      kernel.erase();
  }
}

/// Each kernel with what all of them see.
void KernelCode::split() {
  SmallVector<Operation *> shared;
  for (Operation &op : *kernels->getBody())
    if (!isa<LLVM::LLVMFuncOp>(op))
      shared.push_back(&op);
  for (auto kernel : llvm::make_early_inc_range(kernels->getOps<LLVM::LLVMFuncOp>())) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernels->getLoc());
    for (Operation *op : shared)
      module->push_back(op->clone());
    kernel->moveBefore(module->getBody(), module->getBody()->end());
    parts.push_back(std::make_unique<Part>(std::move(module)));
    partOf[kernel.getName()] = parts.back().get();
  }
}

//===----------------------------------------------------------------------===//
// LLVM's part
//===----------------------------------------------------------------------===//

KernelCode::Part::Part(OwningOpRef<ModuleOp> module) : lowered(std::move(module)), context(std::make_unique<llvm::LLVMContext>()) {
  lowered->walk([&](Operation *) { ++operations; });
  context->setDiagnosticHandlerCallBack(
      [](const llvm::DiagnosticInfo *info, void *error) {
        if (info->getSeverity() != llvm::DS_Error)
          return;
        llvm::raw_string_ostream stream(*static_cast<std::string *>(error));
        llvm::DiagnosticPrinterRawOStream printer(stream);
        info->print(printer);
      },
      &error);
}

KernelCode::Part::~Part() = default;

/// Parts become one text: what is a kernel's own has to have a name of its own.
static void nameGlobals(llvm::Module &module) {
  for (const llvm::Function &function : module)
    if (!function.isDeclaration())
      for (llvm::GlobalVariable &global : module.globals())
        if (global.hasLocalLinkage())
          global.setName(function.getName() + "_" + global.getName());
}

void KernelCode::compile(Part &part, const CodeWish &wish) const {
  auto fail = [&](llvm::Error error) { part.error = llvm::toString(std::move(error)); };
  auto machine = createTargetMachine(target);
  if (!machine)
    return fail(machine.takeError());
  part.machine = std::move(*machine);
  part.ir = translateToLlvmIr(*part.lowered, *part.context, target, *part.machine);
  if (!part.ir) {
    if (part.error.empty())
      part.error = "no LLVM IR can be made of its kernels";
    return;
  }
  optimize(*part.ir, *part.machine);
  if (!names.empty())
    nameGlobals(*part.ir);
  if (!wish.code)
    return;
  if (wish.text || target.isGpu()) {
    auto text = emitAssembly(*part.ir, *part.machine);
    if (!text)
      return fail(text.takeError());
    part.text = std::move(*text);
  }
  if (target.isGpu())
    return;
  if (wish.ir)
    part.irText = printed(*part.ir); // objects use the module up
  auto object = emitObject(*part.ir, *part.machine);
  if (!object)
    return fail(object.takeError());
  auto flat = flatten(*object);
  if (!flat)
    return fail(flat.takeError());
  part.flat = std::move(*flat);
}

std::vector<CodeTask> KernelCode::tasks(const CodeWish &wish) {
  std::vector<CodeTask> tasks;
  for (auto &part : parts)
    tasks.push_back({part->operations, [this, &part = *part, wish] { compile(part, wish); }});
  return tasks;
}

//===----------------------------------------------------------------------===//
// One again
//===----------------------------------------------------------------------===//

std::string KernelCode::printed(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream(text) << module;
  return text;
}

/// The modules of all parts as one, which they leave through bitcode: each has a context of its own.
llvm::Expected<std::string> KernelCode::linkedIr() const {
  if (names.empty())
    return parts.front()->irText.empty() ? printed(*parts.front()->ir) : parts.front()->irText;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> whole;
  for (auto &[name, made] : names) {
    const llvm::Module &ir = *partOf.lookup(made)->ir;
    llvm::SmallVector<char, 0> bitcode;
    llvm::raw_svector_ostream stream(bitcode);
    llvm::WriteBitcodeToFile(ir, stream);
    auto module = llvm::parseBitcodeFile({{bitcode.data(), bitcode.size()}, ir.getName()}, context);
    if (!module)
      return module.takeError();
    (*module)->getFunction(made)->setName(name);
    if (!whole)
      whole = std::move(*module);
    else if (llvm::Linker::linkModules(*whole, std::move(*module)))
      return llvm::createStringError("two kernels define the same symbol");
  }
  return printed(*whole);
}

/// Appends the PTX of the kernel `made` as that of `name`.
static void appendRenamed(std::string &whole, llvm::StringRef text, llvm::StringRef made, llvm::StringRef name) {
  auto isOfName = [](char c) { return llvm::isAlnum(c) || c == '_' || c == '$' || c == '%'; };
  for (size_t place; name != made && (place = text.find(made)) != llvm::StringRef::npos;) {
    llvm::StringRef rest = text.drop_front(place + made.size());
    bool isWhole =
        (place == 0 || !isOfName(text[place - 1])) && (rest.empty() || !isOfName(rest.front()) || rest.starts_with("_param_"));
    (whole += text.take_front(place)) += isWhole ? name : made;
    text = rest;
  }
  whole += text;
}

/// Labels of a module's only kernel with the number of a kernel of a larger one.
static std::string withLabels(llvm::StringRef text, size_t number) {
  static constexpr llvm::StringLiteral first = "$L__BB0_";
  std::string own = "$L__BB" + std::to_string(number) + "_", made;
  for (size_t place; (place = text.find(first)) != llvm::StringRef::npos; text = text.drop_front(place + first.size()))
    (made += text.take_front(place)) += own;
  return made += text;
}

/// Texts of PTX behind each other under one heading, with what several declare said once: the text that one module would have
/// given.
std::string KernelCode::joinedPtx() const {
  static constexpr llvm::StringLiteral headingEnd = ".address_size 64\n";
  std::string whole;
  llvm::StringSet<> declared;
  for (auto [number, kernel] : llvm::enumerate(names)) {
    auto &[name, made] = kernel;
    llvm::StringRef text = partOf.lookup(made)->text;
    size_t body = text.find(headingEnd) + headingEnd.size();
    if (whole.empty())
      whole = text.take_front(body);
    for (text = text.drop_front(body); text.starts_with("\n") || text.starts_with("\t// .globl") || text.starts_with(".extern ");) {
      auto [line, rest] = text.split('\n');
      bool isDeclaration = line.starts_with(".extern "), isNew = isDeclaration && declared.insert(line).second;
      if (isDeclaration ? isNew : !line.empty() || number == 0)
        appendRenamed(whole, (line + (isNew && number ? "\n\n" : "\n")).str(), made, name);
      text = rest;
    }
    appendRenamed(whole, withLabels(text, number), made, name);
  }
  return whole;
}

/// The PTX of a target is the oldest that knows it; mma.sync of e4m3 is younger than sm_89 and sm_90.
static void raiseVersion(std::string &text) {
  static constexpr llvm::StringLiteral heading = ".version ", needed = "8.4";
  size_t place = text.find(heading);
  if (place == std::string::npos || text.find("mma.sync.aligned.m16n8k32.row.col.f32.e4m3") == std::string::npos)
    return;
  if (text.compare(place + heading.size(), needed.size(), needed) < 0)
    text.replace(place + heading.size(), needed.size(), needed);
}

llvm::Error KernelCode::finish(const CodeWish &wish) {
  for (auto &part : parts)
    if (!part->error.empty())
      return llvm::createStringError(part->error);
  if (wish.ir) {
    auto text = linkedIr();
    if (!text)
      return text.takeError();
    ir = std::move(*text);
  }
  if (!wish.code)
    return llvm::Error::success();
  if (!target.isGpu()) {
    assembly = std::move(parts.front()->text);
    code = std::move(parts.front()->flat);
    return llvm::Error::success();
  }
  assembly = names.empty() ? parts.front()->text : joinedPtx();
  raiseVersion(assembly);
  code.bytes.assign(assembly.begin(), assembly.end());
  code.bytes.push_back(0);
  for (auto &[name, made] : names)
    code.kernels.push_back({name, 0});
  for (const llvm::Function &function : *parts.front()->ir) // of all, where there is one part
    if (names.empty() && !function.isDeclaration())
      code.kernels.push_back({function.getName().str(), 0});
  llvm::sort(code.kernels, [](auto &a, auto &b) { return a.name < b.name; });
  return wish.assembled ? assemblePtx(code, target) : llvm::Error::success();
}
