//===- FuseNormHalves.cpp - divide a norm between the projections before it and those after it -----------------------===//

#include "BlockForms.h"
#include "KernelMerge.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
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

/// Number of the value that layers carry and that `kernel`, a layer's, norms without reading anything else of a sequence; nothing
/// where it reads more. The maker of the row is in the layer before.
static std::optional<unsigned> carriedRow(KernelOp kernel) {
  auto layers = dyn_cast<LayersOp>(kernel->getParentOp());
  std::optional<unsigned> found;
  for (Value input : kernel.getInputs()) {
    auto argument = dyn_cast<BlockArgument>(input);
    if (!argument ? !input.getDefiningOp<ParamOp>() : found || argument.getArgNumber() >= layers.getCarried().size())
      return std::nullopt;
    if (argument)
      found = argument.getArgNumber();
  }
  return found;
}

/// What a layer leaves to the next one as carried value `index`.
static Value yieldedByLayer(LayersOp layers, unsigned index) { return layers.getBody().front().getTerminator()->getOperand(index); }

/// The projection that makes what `kernel` norms: in its own layer, or in the one before. Null where there is none.
static KernelOp makerOfRow(KernelOp kernel) {
  SmallVector<KernelOp> producers = producersOf(kernel);
  KernelOp maker = producers.size() == 1 ? producers.front() : KernelOp();
  if (auto index = isa<LayersOp>(kernel->getParentOp()) && producers.empty() ? carriedRow(kernel) : std::nullopt)
    maker = definingKernel(yieldedByLayer(cast<LayersOp>(kernel->getParentOp()), *index));
  return maker && isTileProjection(maker) ? maker : KernelOp();
}

/// Why the first half of `kernel`, which norms what `maker` makes in the layer before, cannot go there; nullptr if it can.
static const char *whyNotCarry(KernelOp maker, KernelOp kernel) {
  if (cast<LayersOp>(kernel->getParentOp()).getCount() == 1)
    return "there is no layer before";
  if (kernel->hasAttr(keepApartAttr))
    return "the schedule keeps it apart";
  if (!llvm::all_of(kernel.yielded(), [&](Value value) { return isNormed(value, *kernel.getBlock().getOps<RmsNormOp>().begin()); }))
    return "it makes more than the normed row";
  if (!llvm::all_of(maker->getUsers(), [](Operation *user) { return isa<YieldOp>(user); }))
    return "a result is needed before the layer's end";
  // Its rows would be written over while other blocks read them.
  if (llvm::is_contained(kernel->getUsers(), maker))
    return "what makes the row multiplies it, too";
  return maker.getSelected() != kernel.getSelected() ? "one runs over all rows and the other over selected rows" : nullptr;
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
static std::optional<const char *> whyNot(KernelOp kernel, bool step, bool tiles) {
  KernelContents contents = contentsOf(kernel);
  if (contents.norms != 1 || contents.linears || contents.scans || contents.lookups || contents.others)
    return std::nullopt;
  KernelOp producer = makerOfRow(kernel);
  if (!producer)
    return std::nullopt;
  RmsNormOp norm = *kernel.getBlock().getOps<RmsNormOp>().begin();
  if (contents.convs && !step)
    return "a convolution over time looks back on rows of other tiles";
  if (!onlyRoundsAndYields(norm))
    return "the normed row is used in its own kernel";
  if (widthOf(producer) != widthOf(kernel) || channels(norm.getType()) != widthOf(kernel))
    return "the projection has another width";
  if (tiles && !partsOfSquares(panelsOf(widthOf(kernel))))
    return "no tile divides the panels of its rows";
  if (!producer.getBlock().getOps<PanelSquaresOp>().empty())
    return "the projection makes the squares of another norm";
  for (auto [result, yielded] : llvm::zip(kernel.getResults(), kernel.yielded()))
    if (isNormed(yielded, norm) &&
        !llvm::all_of(result.getUsers(), [&, result = result](Operation *user) { return canScale(user, kernel, result); }))
      return "its result is used by more than projections";
  return producersOf(kernel).empty() ? whyNotCarry(producer, kernel) : whyNotMerge(producer, kernel);
}

/// `kernel` with a row multiplied by the norm's weight alone, and one more result, the squares.
static KernelOp withoutNorm(IRRewriter &rewriter, KernelOp kernel, RmsNormOp norm, bool tiles) {
  Location loc = norm.getLoc();
  rewriter.setInsertionPoint(norm);
  auto weight = BroadcastOp::create(rewriter, loc, norm.getType(), norm.getWeight());
  auto weighted = arith::MulFOp::create(rewriter, loc, norm.getX(), weight);
  IntegerAttr parts = tiles ? rewriter.getI64IntegerAttr(partsOfSquares(panelsOf(widthOf(kernel)))) : IntegerAttr();
  auto squares = PanelSquaresOp::create(rewriter, loc, norm.getX(), parts);
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

/// Lets `layers` carry `first` as well, of which each layer reads what it had in `own`, and leaves `later` to the next.
static void carry(IRRewriter &rewriter, LayersOp layers, ValueRange first, ValueRange own, ValueRange later) {
  size_t place = layers.getCarried().size();
  SmallVector<Value> carried(layers.getCarried());
  llvm::append_range(carried, first);
  SmallVector<Type> types(ValueRange(carried).getTypes());
  llvm::append_range(types, layers.getStates().getTypes());
  rewriter.setInsertionPoint(layers);
  auto made = LayersOp::create(rewriter, layers.getLoc(), types, layers.getCount(), carried, layers.getStates());
  made.getBody().takeBody(layers.getBody());
  made.getBody().front().getTerminator()->insertOperands(place, later);
  for (auto [number, value] : llvm::enumerate(own))
    rewriter.replaceAllUsesWith(value, made.getBody().insertArgument(place + number, value.getType(), value.getLoc()));
  for (auto [number, result] : llvm::enumerate(layers.getResults()))
    rewriter.replaceAllUsesWith(result, made.getResult(number < place ? number : number + first.size()));
  rewriter.eraseOp(layers);
}

/// Moves `weighted` to the end of the layer before its own; what it does for the first layer is done before the layers, by the
/// lookup that makes the row where one does.
static KernelOp moveToLayerBefore(IRRewriter &rewriter, KernelOp weighted) {
  auto layers = cast<LayersOp>(weighted->getParentOp());
  unsigned index = *carriedRow(weighted);
  auto copyTo = [&](Operation *place, Value row) {
    rewriter.setInsertionPoint(place);
    IRMapping mapping;
    for (Value input : weighted.getInputs()) {
      Value read = row;
      if (auto param = input.getDefiningOp<ParamOp>()) {
        auto next = cast<ParamOp>(rewriter.clone(*param));
        next->setAttr(nextLayerAttr, rewriter.getUnitAttr());
        read = next.getValue();
      }
      mapping.map(input, read);
    }
    return cast<KernelOp>(rewriter.clone(*weighted, mapping));
  };
  KernelOp first = copyTo(layers, layers.getCarried()[index]);
  KernelOp later = copyTo(layers.getBody().front().getTerminator(), yieldedByLayer(layers, index));
  carry(rewriter, layers, first.getResults(), weighted.getResults(), later.getResults());
  rewriter.eraseOp(weighted);
  SmallVector<KernelOp> makers = producersOf(first);
  if (makers.size() == 1 && contentsOf(makers.front()).isLookup() && !whyNotMerge(makers.front(), first))
    mergeKernels(rewriter, makers.front(), first, makers.front());
  return later;
}

static void split(IRRewriter &rewriter, KernelOp kernel, bool tiles) {
  RmsNormOp norm = *kernel.getBlock().getOps<RmsNormOp>().begin();
  KernelOp producer = makerOfRow(kernel);
  int64_t width = channels(norm.getType());
  FloatAttr eps = norm.getEpsAttr();
  SmallVector<unsigned> numbers;
  for (auto [number, yielded] : llvm::enumerate(kernel.yielded()))
    if (isNormed(yielded, norm))
      numbers.push_back(number);
  remark::passed(kernel.getLoc(), remark::RemarkOpts::name("FuseNormHalves").category("fusion").subCategory(kernel.getKernelName()))
      << (kernel.getKernelName() + " is divided between " + producer.getKernelName() + " and what it feeds").str();
  KernelOp weighted = withoutNorm(rewriter, kernel, norm, tiles);
  SmallVector<Value> normed = llvm::map_to_vector(numbers, [&](unsigned number) -> Value { return weighted.getResult(number); });
  llvm::SetVector<Operation *> consumers;
  for (Value value : normed)
    consumers.insert(value.getUsers().begin(), value.getUsers().end());
  for (Operation *consumer : consumers)
    scaleIn(rewriter, cast<KernelOp>(consumer), normed, weighted.getResults().back(), width, eps);
  if (producersOf(weighted).empty())
    weighted = moveToLayerBefore(rewriter, weighted);
  mergeKernels(rewriter, producer, weighted, producer);
}

/// Lets a norm that stays read its rows where they are selected from; null where it is not such a norm.
static KernelOp selectInNorm(IRRewriter &rewriter, KernelOp kernel) {
  KernelContents contents = contentsOf(kernel);
  SmallVector<KernelOp> makers = producersOf(kernel);
  if (!contents.hasRowNorm || contents.linears || contents.scans || contents.convs || contents.others || makers.size() != 1)
    return {};
  KernelOp maker = makers.front();
  bool selects = llvm::all_of(maker.getBlock().without_terminator(), [](Operation &op) { return isa<SelectRowsOp>(op); });
  return selects && onlyUsedBy(maker, kernel) && !whyNotMerge(maker, kernel) ? mergeKernels(rewriter, maker, kernel, kernel)
                                                                             : KernelOp();
}

//===-- Behind the layers ---------------------------------------------------------------------------------------------------===//

namespace {
/// Halves of the next layer's first norm, as a layer leaves them: numbers of carried values, and the parameter.
struct CarriedHalves {
  unsigned row, squares;
  ParamOp weight;
};
} // namespace

/// Number of the carried value that `maker`, a layer's, yields as `yielded`.
static std::optional<unsigned> carriedAs(LayersOp layers, KernelOp maker, Value yielded) {
  for (auto [result, value] : llvm::zip(maker.getResults(), maker.yielded()))
    for (unsigned index = 0; value == yielded && index < layers.getCarried().size(); ++index)
      if (yieldedByLayer(layers, index) == result)
        return index;
  return std::nullopt;
}

/// Those of carried value `index`.
static std::optional<CarriedHalves> carriedHalves(LayersOp layers, unsigned index) {
  KernelOp maker = definingKernel(yieldedByLayer(layers, index));
  if (!maker)
    return std::nullopt;
  Value row = maker.yielded()[cast<OpResult>(yieldedByLayer(layers, index)).getResultNumber()];
  for (auto squares : maker.getBlock().getOps<PanelSquaresOp>())
    for (auto rounded : maker.getBlock().getOps<arith::TruncFOp>()) {
      auto weighted = rounded.getIn().getDefiningOp<arith::MulFOp>();
      auto factor = weighted ? weighted.getRhs().getDefiningOp<BroadcastOp>() : BroadcastOp();
      auto argument = factor ? dyn_cast<BlockArgument>(factor.getValue()) : BlockArgument();
      auto weight = argument ? maker.getInputs()[argument.getArgNumber()].getDefiningOp<ParamOp>() : ParamOp();
      if (!weight || !weight->hasAttr(nextLayerAttr) || weighted.getLhs() != row || squares.getX() != row)
        continue;
      auto place = carriedAs(layers, maker, rounded), placeOfSquares = carriedAs(layers, maker, squares);
      if (place && placeOfSquares)
        return CarriedHalves{*place, *placeOfSquares, weight};
    }
  return std::nullopt;
}

/// Divides `kernel`, the norm of selected rows behind the layers: the last layer multiplies its row by that norm's weight where
/// others have the next layer's. For steps, where all rows are selected.
static void splitBehindLayers(IRRewriter &rewriter, KernelOp kernel) {
  RmsNormOp norm = *kernel.getBlock().getOps<RmsNormOp>().begin();
  auto select = norm.getX().getDefiningOp<SelectRowsOp>();
  auto inputOf = [&](Value argument) {
    return isa<BlockArgument>(argument) ? kernel.getInputs()[cast<BlockArgument>(argument).getArgNumber()] : Value();
  };
  Value row = select ? inputOf(select.getX()) : Value();
  auto layers = row ? row.getDefiningOp<LayersOp>() : LayersOp();
  auto halves = layers ? carriedHalves(layers, cast<OpResult>(row).getResultNumber()) : std::nullopt;
  if (!halves || kernel->getNumResults() != 1 || !isNormed(kernel.yielded().front(), norm) || !onlyRoundsAndYields(norm))
    return;
  Value normed = kernel->getResult(0), weighted = layers->getResult(halves->row), squares = layers->getResult(halves->squares);
  auto weight = inputOf(norm.getWeight()).getDefiningOp<ParamOp>();
  if (!weight || weight.getType() != halves->weight.getType() || normed.getType() != weighted.getType() ||
      !llvm::all_of(normed.getUsers(), [&](Operation *user) { return canScale(user, kernel, normed); }))
    return;
  remark::passed(kernel.getLoc(), remark::RemarkOpts::name("FuseNormHalves").category("fusion").subCategory(kernel.getKernelName()))
      << (kernel.getKernelName() + " is divided between the last layer and what it feeds").str();
  halves->weight->setAttr(nextLayerAttr, weight.getTensorAttr());
  llvm::SetVector<Operation *> consumers(normed.getUsers().begin(), normed.getUsers().end());
  rewriter.replaceAllUsesWith(normed, weighted);
  for (Operation *consumer : consumers)
    scaleIn(rewriter, cast<KernelOp>(consumer), weighted, squares, channels(norm.getType()), norm.getEpsAttr());
  rewriter.eraseOp(kernel);
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
        std::optional<const char *> reason = whyNot(kernel, step, tiles);
        if (reason && *reason)
          whole.push_back({kernel, *reason});
        if (!reason || *reason)
          return WalkResult::advance();
        found = kernel;
        return WalkResult::interrupt();
      });
      if (found)
        split(rewriter, found, tiles);
      return bool(found);
    };
    while (splitOne())
      ;
    for (auto &[kernel, reason] : whole)
      remark::missed(kernel.getLoc(),
                     remark::RemarkOpts::name("FuseNormHalves").category("fusion").subCategory(kernel.getKernelName()))
          << "the norm stays whole: " + std::string(reason);
    SmallVector<KernelOp> kernels;
    if (step)
      getOperation()->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    for (KernelOp kernel : kernels)
      if (KernelOp selected = selectInNorm(rewriter, kernel))
        splitBehindLayers(rewriter, selected);
  }
};
} // namespace
