//===- CpuEntries.cpp - give every kernel function the entry that the runtime calls ------------------------------===//
//
// Kernels get their ranges from the task, so no size of a buffer is needed.

#include "BufferArguments.h"
#include "sm1c/Codegen/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_CPUENTRIES
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Position of `scratch` among the arguments of a task.
static constexpr unsigned scratchArgument = 3;

static LogicalResult checkSignature(func::FuncOp function) {
  if (function.getNumResults() != 0)
    return function.emitError("kernel function must return nothing");
  if (function.getNumArguments() < numTaskArguments)
    return function.emitError("kernel function must end with the ")
           << numTaskArguments << " arguments of a task, got " << function.getNumArguments();
  unsigned firstIndex = function.getNumArguments() - 4;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
    if (index < firstIndex ? !isDenseBuffer(type) : !type.isIndex())
      return function.emitError("argument ") << index << " of a kernel function must be "
                                             << (index < firstIndex ? "a dense buffer with at most its first size dynamic"
                                                                    : "an index")
                                             << ", got " << type;
  return success();
}

namespace {
/// Rewrites one function; holds what its steps share.
class EntryBuilder {
public:
  EntryBuilder(func::FuncOp function)
      : function(function), builder(function), loc(function.getLoc()), pointer(LLVM::LLVMPointerType::get(function.getContext())) {}

  void run() {
    buildEntry(makeBody());
    function.erase();
  }

private:
  LLVM::LLVMFuncOp makeBody();
  void buildEntry(LLVM::LLVMFuncOp body);
  Value loadAt(Value base, int64_t byte, Type type) {
    Value address = LLVM::GEPOp::create(builder, loc, pointer, builder.getI8Type(), base, ArrayRef<LLVM::GEPArg>{int32_t(byte)});
    return LLVM::LoadOp::create(builder, loc, type, address);
  }

  func::FuncOp function;
  OpBuilder builder;
  Location loc;
  Type pointer;
};
} // namespace

/// The function's body, to be inlined into the entry.
LLVM::LLVMFuncOp EntryBuilder::makeBody() {
  LLVM::LLVMFuncOp body = moveBody(builder, function, LLVM::Linkage::Internal);
  body.setAlwaysInline(true);
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    if (function.getArgAttr(index, "llvm.noalias"))
      body.setArgAttr(index, "llvm.noalias", builder.getUnitAttr());
  // A task's scratch is its own.
  body.setArgAttr(function.getNumArguments() - numTaskArguments + scratchArgument, "llvm.noalias", builder.getUnitAttr());
  return body;
}

/// Loads the task and calls `body`.
void EntryBuilder::buildEntry(LLVM::LLVMFuncOp body) {
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), {pointer});
  auto entry = LLVM::LLVMFuncOp::create(builder, loc, (function.getName() + entrySuffix).str(), type, LLVM::Linkage::External,
                                        /*dsoLocal=*/true, LLVM::CConv::Win64);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(entry.addEntryBlock(builder));
  Value task = entry.getArgument(0), buffers = loadAt(task, 0, pointer);
  unsigned numBuffers = body.getNumArguments() - numTaskArguments;
  SmallVector<Value> values;
  for (auto [index, type] : llvm::enumerate(body.getArgumentTypes()))
    values.push_back(index < numBuffers ? loadAt(buffers, 8 * index, type) : loadAt(task, 8 * (index - numBuffers + 1), type));
  LLVM::CallOp::create(builder, loc, body, values);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

namespace {
struct CpuEntries : sm1::impl::CpuEntriesBase<CpuEntries> {
  void runOnOperation() override {
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (function.isExternal() || function.isPrivate())
        continue;
      if (failed(checkSignature(function)))
        return signalPassFailure();
      EntryBuilder(function).run();
    }
  }
};
} // namespace
