//===- GpuEntries.cpp - functions of a GPU to kernels that a driver launches -------------------------------------===//
//
// The parameters are those of PackageFormat.h: one pointer per buffer, the row tables, two numbers. Shared memory is no parameter:
// it is the block's dynamic memory, one external array of no size. (gpu.dynamic_shared_memory makes a static array of one byte of
// it, which other arrays may then lie on top of.)

#include "../Transforms/BlockForms.h"
#include "BufferArguments.h"
#include "sm1/IR/Sm1.h"
#include "sm1c/Codegen/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_GPUENTRIES
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

static constexpr llvm::StringLiteral sharedSymbol = "sm1_shared";
static constexpr unsigned sharedSpace = 3;
/// Arguments of a GPU function before shared memory that are no buffers: the row tables.
static constexpr unsigned rowTables = 3;

static LLVM::GlobalOp makeShared(ModuleOp module) {
  auto builder = OpBuilder::atBlockBegin(module.getBody());
  auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  // ldmatrix and asynchronous copies want 16 bytes; 128 keep rows of 32 banks together; a swizzle goes from multiples of 1,024 on.
  return LLVM::GlobalOp::create(builder, module.getLoc(), type, /*isConstant=*/false, LLVM::Linkage::External, sharedSymbol,
                                Attribute(),
                                /*alignment=*/1024, sharedSpace);
}

/// Takes the argument for shared memory out of the function's head.
static void useShared(LLVM::LLVMFuncOp kernel, unsigned index, LLVM::GlobalOp shared) {
  auto builder = OpBuilder::atBlockBegin(&kernel.getBody().front());
  Value address = LLVM::AddressOfOp::create(builder, kernel.getLoc(), shared);
  kernel.getArgument(index).replaceAllUsesWith(address);
  kernel.getBody().front().eraseArgument(index);
  auto type = kernel.getFunctionType();
  auto parameters = llvm::to_vector(type.getParams());
  parameters.erase(parameters.begin() + index);
  kernel.setFunctionType(LLVM::LLVMFunctionType::get(type.getReturnType(), parameters));
}

/// The last argument is a tensor map: passed as a whole, and read where it lies.
static void passMap(LLVM::LLVMFuncOp kernel) {
  Builder builder(kernel.getContext());
  unsigned last = kernel.getNumArguments() - 1;
  kernel.setArgAttr(last, "llvm.byval", TypeAttr::get(LLVM::LLVMArrayType::get(builder.getI8Type(), tensorMapBytes)));
  kernel.setArgAttr(last, "llvm.align", builder.getI64IntegerAttr(64));
  kernel.setArgAttr(last, "nvvm.grid_constant", builder.getUnitAttr());
}

/// Arguments that no other argument points into: buffers of the workspace, which a dispatch never writes under two names,
/// parameters and row tables. States may be updated in place. Blocks that walk make nothing of it: ptxas would move all loads of
/// what follows the sums to its beginning, and spill.
static SmallVector<bool> unaliased(DispatchOp dispatch) {
  bool walks = walksTiles(dispatch.getBlocksAttr());
  auto own = [walks](Type type) { return !walks && classify(type) != TensorClass::State; };
  SmallVector<bool> flags = llvm::map_to_vector(dispatch.getOperandTypes(), own);
  llvm::append_range(flags, llvm::map_range(dispatch.getResultTypes(), own));
  flags.append(3, true);
  return flags;
}

/// True if `dispatch` has several states a channel: it reads a matrix by channels, what they decay at.
static bool isSelectiveScan(DispatchOp dispatch) {
  return dispatch.getBlocksAttr().getForm() == BlockForm::Scan && llvm::any_of(dispatch.getInputs(), [](Value input) {
           auto param = input.getDefiningOp<ParamOp>();
           return param && isParam(param.getType(), 2) && param.getLayout().value_or("") == "channels";
         });
}

/// Blocks of a kernel that a multiprocessor has room for at the least; 0: as ptxas likes. Left alone, ptxas aims at more blocks
/// with 64 registers a thread and spills what a loop needs; three projections at once need more than two blocks leave.
static int32_t residentBlocks(DispatchOp dispatch) {
  BlockForm form = dispatch.getBlocksAttr().getForm();
  if (isTensorTiles(form))
    return 1;
  if (isSelectiveScan(dispatch))
    return 2;
  if (hasRowBands(dispatch.getBlocksAttr())) // 33 warps of a multiprocessor, 56 registers: with fewer memory idles
    return std::max<int32_t>(1056 / dispatch.getBlocksAttr().getThreads(), 1);
  if (cutsTime(dispatch.getBlocksAttr()))
    return int32_t(blocksAtOnce(dispatch.getBlocksAttr()));
  if (form != BlockForm::Step && form != BlockForm::Tiles && form != BlockForm::TensorStep)
    return 0;
  auto matrices = llvm::count_if(dispatch.getInputs(), [](Value input) {
    auto param = input.getDefiningOp<ParamOp>();
    StringRef layout = param ? param.getLayout().value_or("") : "";
    return layout == "panels" || layout == "fragments";
  });
  return form == BlockForm::Step || matrices > 2 ? 1 : 2;
}

namespace {
struct GpuEntries : sm1::impl::GpuEntriesBase<GpuEntries> {
  void runOnOperation() override {
    llvm::StringMap<DispatchOp> dispatches;
    getOperation().walk([&](DispatchOp dispatch) { dispatches[dispatch.getCallee()] = dispatch; });
    LLVM::GlobalOp shared = makeShared(getOperation());
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      auto dispatch = dispatches.lookup(function.getName());
      if (!dispatch || !dispatch.getBlocks()) {
        function.emitError("no dispatch says how many threads this function runs on");
        return signalPassFailure();
      }
      OpBuilder builder(function);
      LLVM::LLVMFuncOp kernel = moveBody(builder, function, LLVM::Linkage::External);
      useShared(kernel, dispatch->getNumOperands() + dispatch->getNumResults() + rowTables, shared);
      kernel->setAttr("nvvm.kernel", builder.getUnitAttr());
      kernel->setAttr("nvvm.reqntid", builder.getDenseI32ArrayAttr({int32_t(dispatch.getBlocksAttr().getThreads())}));
      if (auto blocks = int32_t(blocksOfCluster(dispatch.getBlocksAttr())); blocks > 1)
        kernel->setAttr("nvvm.cluster_dim", builder.getDenseI32ArrayAttr({1, 1, blocks}));
      else if (dispatch->hasAttr(pairsAttr))
        kernel->setAttr("nvvm.cluster_dim", builder.getDenseI32ArrayAttr({1, 2, 1}));
      if (int32_t resident = residentBlocks(dispatch))
        kernel->setAttr("nvvm.minctasm", builder.getI32IntegerAttr(resident));
      for (auto [index, alone] : llvm::enumerate(unaliased(dispatch)))
        if (alone)
          kernel.setArgAttr(index, "llvm.noalias", builder.getUnitAttr());
      for (auto [index, input] : llvm::enumerate(dispatch.getInputs()))
        if (input.getDefiningOp<ParamOp>()) // which nobody writes
          kernel.setArgAttr(index, "llvm.readonly", builder.getUnitAttr());
      if (dispatch.getMapped())
        passMap(kernel);
      function.erase();
    }
    for (auto model : llvm::make_early_inc_range(getOperation().getOps<ModelOp>()))
      model.erase();
  }
};
} // namespace
