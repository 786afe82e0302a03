//===- FuseNormHalves.cpp - divide a norm between the projections before it and those after it -----------------------===//

#include "KernelMerge.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSENORMHALVES
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Projections of one x in memory, bf16 by bf16: what tiles on tensor cores are made for, which alone know the halves of a norm.
static bool isTileProjection(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  if (linears.empty() || kernel->hasAttr(keepApartAttr))
    return false;
  Value x = (*linears.begin()).getX();
  return isa<BlockArgument>(x) && llvm::all_of(linears, [&](LinearOp linear) {
           return linear.getX() == x && getElementTypeOrSelf(x).isBF16() && getElementTypeOrSelf(linear.getWeight()).isBF16();
         });
}

/// Whether `value` is what `norm` makes, rounded or not.
static bool isNormed(Value value, RmsNormOp norm) {
  auto rounding = value.getDefiningOp<arith::TruncFOp>();
  return value == norm.getResult() || (rounding && rounding.getIn() == norm.getResult());
}

/// A row's factor goes through a projection, and through nothing else that the kernel does with the norm.
static bool onlyRoundsAndYields(RmsNormOp norm) {
  return llvm::all_of(norm->getUsers(), [](Operation *user) {
    return isa<YieldOp>(user) ||
           (isa<arith::TruncFOp>(user) && llvm::all_of(user->getUsers(), [](Operation *next) { return isa<YieldOp>(next); }));
  });
}

/// Whether `kernel` reads `result`, a normed row, only where it can be scaled: as what its projections multiply, or in f32.
static bool canScale(Operation *user, KernelOp kernel, Value result) {
  auto consumer = dyn_cast<KernelOp>(user);
  if (!consumer || !isTileProjection(consumer) || consumer.getSelected() != kernel.getSelected())
    return false;
  return getElementTypeOrSelf(result).isF32() ||
         llvm::all_of(argumentFor(consumer, result).getUsers(), [](Operation *op) { return isa<LinearOp>(op); });
}

/// Why the norm of `kernel` stays whole; nullptr if it can be divided, nothing where this pass is not about the kernel.
static std::optional<const char *> whyNot(KernelOp kernel, bool step) {
  KernelContents contents = contentsOf(kernel);
  if (contents.norms != 1 || contents.linears || contents.scans || contents.lookups || contents.others)
    return std::nullopt;
  SmallVector<KernelOp> producers = producersOf(kernel);
  if (producers.size() != 1 || !isTileProjection(producers.front()))
    return std::nullopt;
  KernelOp producer = producers.front();
  RmsNormOp norm = *kernel.getBlock().getOps<RmsNormOp>().begin();
  if (contents.convs && !step)
    return "a convolution over time looks back on rows of other tiles";
  if (!onlyRoundsAndYields(norm))
    return "the normed row is used in its own kernel";
  if (widthOf(producer) != widthOf(kernel) || channels(norm.getType()) != widthOf(kernel))
    return "the projection has another width";
  if (!producer.getBlock().getOps<PanelSquaresOp>().empty())
    return "the projection makes the squares of another norm";
  for (auto [result, yielded] : llvm::zip(kernel.getResults(), kernel.yielded()))
    if (isNormed(yielded, norm) &&
        !llvm::all_of(result.getUsers(), [&, result = result](Operation *user) { return canScale(user, kernel, result); }))
      return "its result is used by more than projections";
  return whyNotMerge(producer, kernel);
}

/// `kernel` with a row multiplied by the norm's weight alone, and one more result, the squares.
static KernelOp withoutNorm(IRRewriter &rewriter, KernelOp kernel, RmsNormOp norm) {
  Location loc = norm.getLoc();
  rewriter.setInsertionPoint(norm);
  auto weight = BroadcastOp::create(rewriter, loc, norm.getType(), norm.getWeight());
  auto weighted = arith::MulFOp::create(rewriter, loc, norm.getX(), weight);
  auto squares = PanelSquaresOp::create(rewriter, loc, norm.getX());
  rewriter.replaceOp(norm, weighted);
  Operation *yield = kernel.getBlock().getTerminator();
  yield->insertOperands(yield->getNumOperands(), squares.getResult());
  SmallVector<Type> types(kernel.getResultTypes());
  types.push_back(squares.getType());
  rewriter.setInsertionPoint(kernel);
  auto made = KernelOp::create(rewriter, kernel.getLoc(), types, kernel.getKernelName(), kernel.getInputs(), ScheduleAttr(),
                               BlockScheduleAttr(), kernel.getSelected());
  made.getBody().takeBody(kernel.getBody());
  rewriter.replaceAllUsesWith(kernel.getResults(), made.getResults().drop_back());
  rewriter.eraseOp(kernel);
  return made;
}

/// Lets `consumer` read the squares, and scale with them what came normed until now: `normed`, results of another kernel.
static void scaleIn(IRRewriter &rewriter, KernelOp consumer, ArrayRef<Value> normed, Value squares, int64_t width, FloatAttr eps) {
  SmallVector<BlockArgument> arguments;
  for (Value value : normed)
    if (llvm::is_contained(consumer.getInputs(), value))
      arguments.push_back(argumentFor(consumer, value));
  consumer.getInputsMutable().append(squares);
  BlockArgument given = consumer.getBlock().addArgument(squares.getType(), squares.getLoc());
  auto scale = [&](Value x) {
    auto scaled = RmsScaleOp::create(rewriter, x.getLoc(), x, given, rewriter.getI64IntegerAttr(width), eps);
    rewriter.replaceAllUsesExcept(x, scaled, scaled);
  };
  for (BlockArgument argument : arguments) {
    for (Operation *user : llvm::make_early_inc_range(argument.getUsers()))
      if (auto linear = dyn_cast<LinearOp>(user)) {
        rewriter.setInsertionPointAfter(linear);
        scale(linear.getResult());
      }
    rewriter.setInsertionPointToStart(&consumer.getBlock());
    if (getElementTypeOrSelf(argument).isF32())
      scale(argument);
  }
}

static void split(IRRewriter &rewriter, KernelOp kernel) {
  RmsNormOp norm = *kernel.getBlock().getOps<RmsNormOp>().begin();
  KernelOp producer = producersOf(kernel).front();
  int64_t width = channels(norm.getType());
  FloatAttr eps = norm.getEpsAttr();
  SmallVector<unsigned> numbers;
  for (auto [number, yielded] : llvm::enumerate(kernel.yielded()))
    if (isNormed(yielded, norm))
      numbers.push_back(number);
  remark::passed(kernel.getLoc(), remark::RemarkOpts::name("FuseNormHalves").category("fusion").subCategory(kernel.getKernelName()))
      << (kernel.getKernelName() + " is divided between " + producer.getKernelName() + " and what it feeds").str();
  KernelOp weighted = withoutNorm(rewriter, kernel, norm);
  SmallVector<Value> normed = llvm::map_to_vector(numbers, [&](unsigned number) -> Value { return weighted.getResult(number); });
  llvm::SetVector<Operation *> consumers;
  for (Value value : normed)
    consumers.insert(value.getUsers().begin(), value.getUsers().end());
  for (Operation *consumer : consumers)
    scaleIn(rewriter, cast<KernelOp>(consumer), normed, weighted.getResults().back(), width, eps);
  mergeKernels(rewriter, producer, weighted, producer);
}

namespace {
struct FuseNormHalves : sm1::impl::FuseNormHalvesBase<FuseNormHalves> {
  using FuseNormHalvesBase::FuseNormHalvesBase;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<std::pair<KernelOp, const char *>> whole;
    auto splitOne = [&] {
      KernelOp found;
      whole.clear();
      getOperation()->walk([&](KernelOp kernel) {
        std::optional<const char *> reason = whyNot(kernel, step);
        if (reason && *reason)
          whole.push_back({kernel, *reason});
        if (!reason || *reason)
          return WalkResult::advance();
        found = kernel;
        return WalkResult::interrupt();
      });
      if (found)
        split(rewriter, found);
      return bool(found);
    };
    while (splitOne())
      ;
    for (auto &[kernel, reason] : whole)
      remark::missed(kernel.getLoc(),
                     remark::RemarkOpts::name("FuseNormHalves").category("fusion").subCategory(kernel.getKernelName()))
          << "the norm stays whole: " + std::string(reason);
  }
};
} // namespace
