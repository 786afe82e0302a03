//===- KernelMerge.cpp - what kernels contain, and moving one into another ---------------------------------------===//

#include "KernelMerge.h"

#include "BlockForms.h"
#include "sm1/IR/Sm1NormHalves.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace sm1;

bool sm1::isRowInvariant(Operation *op) {
  if (op->hasTrait<OpTrait::ConstantLike>() || isa<BroadcastOp>(op))
    return true;
  return OpTrait::hasElementwiseMappableTraits(op) && llvm::all_of(op->getResultTypes(), [](Type type) {
           return !isa<RankedTensorType>(type) || classify(type) == TensorClass::Param;
         });
}

bool sm1::onlyFeedsProjections(Value value) {
  return llvm::all_of(value.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    if (auto linear = dyn_cast<LinearOp>(user))
      return use.get() == linear.getX();
    return OpTrait::hasElementwiseMappableTraits(user) && user->getNumResults() == 1 && onlyFeedsProjections(user->getResult(0));
  });
}

/// Whatever the layers are called.
std::string sm1::stemOfWeight(Value weight) {
  auto param = weight.getDefiningOp<ParamOp>();
  if (!param)
    return "";
  StringRef name = param.getTensor();
  if (size_t layer = name.find(layerPlaceholder); layer != StringRef::npos)
    name = name.drop_front(layer + layerPlaceholder.size()).ltrim('.');
  name.consume_back(".weight");
  std::string stem = name.str();
  std::replace_if(
      stem.begin(), stem.end(), [](char c) { return !llvm::isAlnum(c); }, '_');
  return stem;
}

KernelContents sm1::contentsOf(KernelOp kernel) {
  KernelContents contents;
  for (Operation &op : kernel.getBlock().without_terminator()) {
    if (isRowInvariant(&op))
      continue;
    if (auto linear = dyn_cast<LinearOp>(op)) {
      ++contents.linears;
      contents.hasPrologue |= linear.getInt8() || linear.getX().getDefiningOp();
    } else if (isa<ScanOp, SelectiveScanOp>(op))
      ++contents.scans;
    else if (isa<EmbeddingOp>(op))
      ++contents.lookups;
    else if (isa<Conv1dOp>(op))
      ++contents.convs;
    else if (auto norm = dyn_cast<RmsNormOp>(op)) {
      ++contents.norms;
      contents.hasRowNorm |= !onlyFeedsProjections(norm);
    } else if (isa<PanelSquaresOp, RmsScaleOp>(op)) {
      continue; // the halves of a norm go with projections, and ask for no more
    } else if (OpTrait::hasElementwiseMappableTraits(&op))
      ++contents.elementwise;
    else
      ++contents.others;
  }
  return contents;
}

bool sm1::onlyRounds(KernelOp kernel) {
  return llvm::all_of(kernel.getBlock().without_terminator(), [](Operation &op) { return isa<arith::TruncFOp>(op); });
}

LinearOp sm1::projectionBehind(Value yielded) {
  if (auto rounding = yielded.getDefiningOp<arith::TruncFOp>())
    yielded = rounding.getIn();
  if (auto scale = yielded.getDefiningOp<RmsScaleOp>())
    yielded = scale.getX();
  return yielded.getDefiningOp<LinearOp>();
}

bool sm1::storesSums(KernelOp kernel) {
  auto yielded = kernel.yielded();
  llvm::SmallPtrSet<Operation *, 4> stored;
  for (Value value : yielded)
    if (LinearOp linear = projectionBehind(value); linear && value.getType() == yielded.front().getType())
      stored.insert(linear);
  return stored.size() == yielded.size() && stored.size() == contentsOf(kernel).linears;
}

int64_t sm1::projectionsOfBlock(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t linears = contentsOf(kernel).linears;
  bool isOfOne = kernel->hasAttr(ofOneAttr) || wgmmaSums(blocks, linears) > mostWgmmaSums;
  return blocks.getForm() == BlockForm::WgmmaTiles && isOfOne ? 1 : linears;
}

bool sm1::endsInScan(KernelOp kernel) { return contentsOf(kernel).linears && !kernel.getBlock().getOps<ScanOp>().empty(); }

bool sm1::goesIntoScanAlone(Value value) {
  return llvm::all_of(value.getUsers(), [](Operation *user) {
    return isa<ScanOp>(user) || (user->getNumResults() && llvm::all_of(user->getResults(), goesIntoScanAlone));
  });
}

int64_t sm1::sharedBehindSums(KernelOp kernel, BlockScheduleAttr blocks) {
  constexpr int64_t line = 128; // arrays lie on lines
  int64_t width = blocks.getPanelSplit() * 16, groups = groupsOfScan(blocks.getPanelSplit());
  return contentsOf(kernel).linears * blocks.getRowSplit() * width * 2 + (2 * groups + 1) * width * 4 + 4 * line;
}

int64_t sm1::widthOf(KernelOp kernel) { return channels(kernel.getResultTypes().front()); }

KernelOp sm1::definingKernel(Value value) { return value.getDefiningOp<KernelOp>(); }

SmallVector<KernelOp> sm1::producersOf(KernelOp kernel) {
  SmallVector<KernelOp> producers;
  for (Value input : kernel.getInputs())
    if (KernelOp producer = definingKernel(input))
      if (!llvm::is_contained(producers, producer))
        producers.push_back(producer);
  return producers;
}

bool sm1::onlyUsedBy(KernelOp producer, KernelOp consumer) {
  return llvm::all_of(producer->getUsers(), [&](Operation *user) { return user == consumer; });
}

BlockArgument sm1::argumentFor(KernelOp consumer, Value result) {
  auto inputs = consumer.getInputs();
  return consumer.getBlock().getArgument(std::distance(inputs.begin(), llvm::find(inputs, result)));
}

bool sm1::feedsProjection(KernelOp producer, KernelOp consumer) {
  return llvm::any_of(producer.getResults(), [&](Value result) {
    if (!llvm::is_contained(consumer.getInputs(), result))
      return false;
    return llvm::any_of(argumentFor(consumer, result).getUsers(), [](Operation *user) {
      return isa<LinearOp>(user) || (user->getNumResults() == 1 && onlyFeedsProjections(user->getResult(0)));
    });
  });
}

bool sm1::isReadByIndex(KernelOp producer, KernelOp consumer) {
  return llvm::any_of(consumer.getBlock().getOps<SelectiveScanOp>(), [&](SelectiveScanOp scan) {
    return llvm::any_of(ValueRange{scan.getB(), scan.getC()}, [&](Value weights) {
      auto argument = dyn_cast<BlockArgument>(weights);
      return argument && definingKernel(consumer.getInputs()[argument.getArgNumber()]) == producer;
    });
  });
}

const char *sm1::whyNotMerge(KernelOp first, KernelOp second) {
  if (first->getBlock() != second->getBlock())
    return "one is inside sm1.layers and the other is not";
  if (first.getSelected() != second.getSelected())
    return "one runs over all rows and the other over selected rows";
  if (first->hasAttr(keepApartAttr) || second->hasAttr(keepApartAttr))
    return "the schedule keeps it apart";
  if (first.getSchedule() || second.getSchedule() || first.getBlocks() || second.getBlocks())
    return "a kernel is already scheduled";
  for (Operation *user : first->getUsers())
    if (user != second && user->isBeforeInBlock(second))
      return "a result is needed before the other kernel";
  return nullptr;
}

KernelOp sm1::mergeKernels(RewriterBase &rewriter, KernelOp first, KernelOp second, KernelOp named) {
  // Operands: those of both, each once, without what becomes internal. Block arguments follow.
  llvm::SetVector<Value> inputs;
  inputs.insert_range(first.getInputs());
  for (Value input : second.getInputs())
    if (definingKernel(input) != first)
      inputs.insert(input);

  // Results: those that somebody outside still uses.
  SmallVector<Value> results;
  for (Value result : first.getResults())
    if (llvm::any_of(result.getUsers(), [&](Operation *user) { return user != second; }))
      results.push_back(result);
  llvm::append_range(results, llvm::make_filter_range(second.getResults(), [](Value result) { return !result.use_empty(); }));

  rewriter.setInsertionPoint(second);
  auto merged = KernelOp::create(rewriter, rewriter.getFusedLoc({named.getLoc(), (named == first ? second : first).getLoc()}),
                                 TypeRange(ValueRange(results)), named.getKernelName(), inputs.getArrayRef(), ScheduleAttr(),
                                 BlockScheduleAttr(), second.getSelected());
  Block *block = rewriter.createBlock(&merged.getBody());
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, block->addArgument(input.getType(), input.getLoc()));

  for (KernelOp part : {first, second}) {
    for (auto [argument, input] : llvm::zip(part.getBlock().getArguments(), part.getInputs()))
      mapping.map(argument, mapping.lookup(input));
    for (Operation &op : part.getBlock().without_terminator())
      rewriter.clone(op, mapping);
    for (auto [result, yielded] : llvm::zip(part.getResults(), part.yielded()))
      mapping.map(result, mapping.lookup(yielded));
  }
  SmallVector<Value> yielded = llvm::map_to_vector(results, [&](Value result) { return mapping.lookup(result); });
  YieldOp::create(rewriter, merged.getLoc(), yielded);
  for (auto [result, replacement] : llvm::zip(results, merged.getResults()))
    rewriter.replaceUsesWithIf(result, replacement, [&](OpOperand &use) { return use.getOwner() != second; });
  rewriter.eraseOp(second);
  rewriter.eraseOp(first);
  return merged;
}

/// The kernels under `root`, in order.
static SmallVector<KernelOp> kernelsUnder(Operation *root) {
  SmallVector<KernelOp> kernels;
  root->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
  return kernels;
}

void sm1::fusePairs(Operation *root, StringRef passName, bool keepProducerName,
                    llvm::function_ref<std::optional<const char *>(KernelOp, KernelOp)> why) {
  IRRewriter rewriter(root->getContext());
  auto options = [&](KernelOp kernel) {
    return remark::RemarkOpts::name(passName).category("fusion").subCategory(kernel.getKernelName());
  };
  // Nothing: not this pass's business. nullptr: they become one.
  auto decide = [&](KernelOp producer, KernelOp consumer) -> std::optional<const char *> {
    std::optional<const char *> reason = why(producer, consumer);
    return reason && !*reason ? whyNotMerge(producer, consumer) : reason;
  };
  auto fuseOne = [&](KernelOp consumer) {
    for (KernelOp producer : producersOf(consumer)) {
      std::optional<const char *> reason = decide(producer, consumer);
      if (!reason || *reason)
        continue;
      remark::passed(consumer.getLoc(), options(consumer))
          << (producer.getKernelName() + " and " + consumer.getKernelName() + " are one kernel").str();
      mergeKernels(rewriter, producer, consumer, keepProducerName ? producer : consumer);
      return true;
    }
    return false;
  };
  // A merge invalidates the walk; start again until nothing merges. Models have tens of kernels, so this is not worth being clever.
  while (llvm::any_of(llvm::reverse(kernelsUnder(root)), fuseOne))
    ;
  for (KernelOp consumer : kernelsUnder(root))
    for (KernelOp producer : producersOf(consumer))
      if (std::optional<const char *> reason = decide(producer, consumer); reason && *reason)
        remark::missed(consumer.getLoc(), options(consumer))
            << (producer.getKernelName() + " stays outside " + consumer.getKernelName() + ": " + *reason).str();
}
