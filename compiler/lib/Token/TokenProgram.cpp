//===- TokenProgram.cpp - which projections share a phase, and what is known after it -----------------------------===//

#include "TokenProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

/// kernels/token.h: partitionsLimit, phasesLimit, statesLimit.
static constexpr unsigned partitionsLimit = 8, phasesLimit = 16, statesLimit = 8;
/// Matrix warps: more leave too few registers for each, and 11 divide the columns of SM1.
static constexpr int64_t mostWarps = 11, leastWarps = 4;

Value sm1::unrounded(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::TruncFOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

int64_t TokenProgram::partitionOf(Value value) const {
  return llvm::find(partitions, channels(value.getType())) - partitions.begin();
}

namespace {
class Finder {
public:
  Finder(ModelOp model, std::string &why) : why(why) { program.model = model; }
  std::optional<TokenProgram> run();

private:
  bool refuse(const Twine &reason) {
    if (why.empty())
      why = reason.str();
    return false;
  }
  bool findParts();
  bool addLinear(LinearOp linear);
  bool addScales(ParamOp weight, TokenPhase &phase);
  bool collectPhases();
  bool rankLayer();
  std::optional<int> rankOfOp(Operation *op);
  bool checkVectors();
  bool checkLogits();
  bool chooseWarps();
  int64_t partition(int64_t width);

  std::string &why;
  TokenProgram program;
};
} // namespace

/// The embedding, the layers and one projection to logits.
bool Finder::findParts() {
  Block &body = program.model.getBody().front();
  auto layers = llvm::to_vector(body.getOps<LayersOp>());
  auto embeddings = llvm::to_vector(body.getOps<EmbeddingOp>());
  if (layers.size() != 1 || embeddings.size() != 1)
    return refuse("it is not one embedding, one loop over layers and one projection");
  program.layers = layers.front();
  program.embedding = embeddings.front();
  if (program.layers.getCarried().size() != 1 || unrounded(program.layers.getCarried().front()) != program.embedding.getResult())
    return refuse("the layers do not start from rows of the embedding");
  if (program.layers->getNumOperands() - 1 > statesLimit)
    return refuse("it has more than " + Twine(statesLimit) + " states");
  for (Operation &op : body)
    if (!isa<ParamOp, EmbeddingOp, LayersOp, RmsNormOp, LinearOp, ReturnOp, arith::ExtFOp, arith::TruncFOp>(op))
      return refuse("it computes " + op.getName().getStringRef() + " outside of the layers");
  return true;
}

int64_t Finder::partition(int64_t width) {
  auto found = llvm::find(program.partitions, width);
  if (found == program.partitions.end())
    program.partitions.push_back(width), found = program.partitions.end() - 1;
  return found - program.partitions.begin();
}

/// A matrix that was rounded to multiples of scales is read as integers.
bool Finder::addScales(ParamOp weight, TokenPhase &phase) {
  auto quantised = weight.getQuantised();
  int64_t bits = quantised ? quantised->getBits() : 16;
  if (program.phases.size() == 1 && program.phases.front().linears.size() == 1)
    program.bits = bits;
  if (program.bits != bits)
    return refuse("matrices have different widths in bits");
  if (!quantised)
    return true;
  OpBuilder builder(weight);
  auto scales = cast<ParamOp>(builder.clone(*weight));
  FloatType type = bits == 8 ? FloatType(builder.getF32Type()) : FloatType(builder.getF16Type());
  auto matrix = cast<RankedTensorType>(weight.getType());
  scales.getResult().setType(RankedTensorType::get({matrix.getDimSize(0), quantised->groups()}, type));
  phase.scales.push_back(scales);
  return true;
}

bool Finder::addLinear(LinearOp linear) {
  auto weight = linear.getWeight().getDefiningOp<ParamOp>();
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  if (!weight || !type.getElementType().isBF16())
    return refuse("it multiplies matrices of " + llvm::formatv("{0}", type.getElementType()).str());
  Value vector = unrounded(linear.getX());
  auto norm = vector.getDefiningOp<RmsNormOp>();
  if (norm)
    vector = unrounded(norm.getX());
  auto same = llvm::find_if(program.phases, [&](TokenPhase &phase) {
    return phase.vector == vector && phase.norm == norm && phase.linears.front()->getBlock() == linear->getBlock();
  });
  if (same == program.phases.end()) {
    program.phases.push_back({vector, norm, {}, {}, type.getDimSize(1), partition(type.getDimSize(0))});
    same = program.phases.end() - 1;
  }
  if (program.partitions[same->partition] != type.getDimSize(0))
    return refuse("projections of one vector have different widths");
  same->linears.push_back(linear);
  return addScales(weight, *same);
}

bool Finder::collectPhases() {
  for (LinearOp linear : program.layers.getBody().front().getOps<LinearOp>())
    if (!addLinear(linear))
      return false;
  size_t ofLayer = program.phases.size();
  for (LinearOp linear : program.model.getBody().front().getOps<LinearOp>())
    if (!addLinear(linear))
      return false;
  if (ofLayer == 0 || program.phases.size() != ofLayer + 1 || program.phases.back().linears.size() != 1)
    return refuse("it is not one embedding, one loop over layers and one projection");
  partition(channels(program.layers.getBody().getArgument(0).getType())); // owners of what layers carry
  if (program.phases.size() > phasesLimit || program.partitions.size() > partitionsLimit)
    return refuse("a layer has more than " + Twine(phasesLimit) + " phases or " + Twine(partitionsLimit) + " widths");
  return true;
}

/// The phase after which the results of `op` are known.
std::optional<int> Finder::rankOfOp(Operation *op) {
  if (auto linear = dyn_cast<LinearOp>(op))
    return llvm::find_if(program.phases, [&](TokenPhase &phase) { return llvm::is_contained(phase.linears, linear); }) -
           program.phases.begin();
  // A norm's sum comes with the products of the phase that reads it.
  if (auto norm = dyn_cast<RmsNormOp>(op)) {
    auto reader = llvm::find_if(program.phases, [&](TokenPhase &phase) { return phase.norm == norm; });
    if (reader == program.phases.end())
      return refuse("no projection reads the result of a norm"), std::nullopt;
    return reader - program.phases.begin();
  }
  if (auto scan = dyn_cast<ScanOp>(op); scan && scan.getForm() != ScanForm::Exact)
    return refuse("its scan has the published form"), std::nullopt;
  if (!OpTrait::hasElementwiseMappableTraits(op) && !isa<ScanOp, Conv1dOp, BroadcastOp, ParamOp>(op) &&
      !op->hasTrait<OpTrait::ConstantLike>())
    return refuse("it computes " + op->getName().getStringRef()), std::nullopt;
  int rank = -1;
  for (Value operand : op->getOperands())
    rank = std::max(rank, program.ranks.lookup(operand));
  return rank;
}

bool Finder::rankLayer() {
  Block &body = program.layers.getBody().front();
  for (Value argument : body.getArguments())
    program.ranks[argument] = -1;
  for (Operation &op : body.without_terminator()) {
    auto rank = rankOfOp(&op);
    if (!rank)
      return false;
    for (Value result : op.getResults()) {
      program.ranks[result] = *rank;
      if (isStream(result.getType()) && *rank >= 0 && !llvm::is_contained(program.partitions, channels(result.getType())))
        return refuse("channels of a width that no projection has");
    }
  }
  return true;
}

/// A phase's vector is made in time: the first phase reads what layers carry, the others what was made since.
bool Finder::checkVectors() {
  Value carried = program.layers.getBody().getArgument(0);
  for (auto [index, phase] : llvm::enumerate(program.phases)) {
    bool isLogits = index == program.layerPhases();
    if (isLogits ? phase.vector != program.layers.getResult(0) : index == 0 && phase.vector != carried)
      return refuse("the first or the last projection does not read what layers carry");
    if (isLogits || index == 0)
      continue;
    if (phase.vector == carried || program.rankOf(phase.vector) >= int(index) || program.rankOf(phase.vector) < 0)
      return refuse("a projection reads a vector that is not made by the phases before it");
  }
  Value next = program.layers.getBody().front().getTerminator()->getOperand(0);
  if (program.rankOf(next) != int(program.layerPhases()) - 1)
    return refuse("what layers carry is not made by a layer's last projection");
  for (Value yielded : program.layers.getBody().front().getTerminator()->getOperands().drop_front())
    if (!yielded.getDefiningOp<ScanOp>() && !yielded.getDefiningOp<Conv1dOp>())
      return refuse("a state is neither of a scan nor of a convolution");
  return true;
}

bool Finder::checkLogits() {
  unsigned results = 0;
  for (auto [index, value] : llvm::enumerate(program.model.getBody().front().getTerminator()->getOperands())) {
    if (!program.model.resultState(index).empty())
      continue;
    ++results;
    if (value != program.phases.back().linears.front().getResult() || !program.model.resultIsSelected(index))
      return refuse("its result is not the logits of selected rows");
  }
  return results == 1 || refuse("it has more results than logits");
}

/// As many as divide the columns best: what counts is the warp that has most of them.
bool Finder::chooseWarps() {
  auto unitsOf = [](const TokenPhase &phase) { return (phase.width + 31) / 32; };
  int64_t least = INT64_MAX, bestCost = INT64_MAX;
  for (const TokenPhase &phase : program.phases)
    least = std::min(least, unitsOf(phase));
  for (int64_t warps = std::min(mostWarps, least); warps >= std::min(leastWarps, least); --warps) {
    int64_t cost = 0;
    for (const TokenPhase &phase : program.phases)
      cost += (unitsOf(phase) + warps - 1) / warps * int64_t(phase.linears.size());
    if (cost < bestCost)
      bestCost = cost, program.warps = warps;
  }
  return true;
}

std::optional<TokenProgram> Finder::run() {
  if (!findParts() || !collectPhases() || !rankLayer() || !checkVectors() || !checkLogits() || !chooseWarps())
    return std::nullopt;
  return std::move(program);
}

std::optional<TokenProgram> sm1::findTokenProgram(ModelOp model, std::string &why) {
  why.clear();
  return Finder(model, why).run();
}
