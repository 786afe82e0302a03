//===- MakePrecise.cpp - make storage types and every rounding explicit ------------------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace sm1 {
#define GEN_PASS_DEF_MAKEPRECISE
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

static FloatType parseType(StringRef name, MLIRContext *context) {
  if (name == "f32")
    return Float32Type::get(context);
  if (name == "bf16")
    return BFloat16Type::get(context);
  return name == "f16" ? FloatType(Float16Type::get(context)) : FloatType();
}

/// Bits of a quantised storage; 0 for another.
static int64_t quantisedBits(StringRef name) { return name == "int8" ? 8 : name == "int4" ? 4 : 0; }

/// What packing rounds the scales of quantised matrices to: a group's costs as much as half a bit of each of its weights.
static FloatType scaleType(int64_t bits, MLIRContext *context) {
  return bits == 8 ? FloatType(Float32Type::get(context)) : FloatType(Float16Type::get(context));
}

/// Columns that share a scale; 0: all of a row.
static int64_t groupOf(int64_t bits) { return bits == 8 ? 0 : 32; }

/// The parameter behind a matrix, now of type `element`.
static void store(Value matrix, FloatType element) {
  if (auto param = matrix.getDefiningOp<ParamOp>())
    matrix.setType(cast<RankedTensorType>(matrix.getType()).clone(element));
}

/// A parameter like `param` of `type`, values or scales.
static ParamOp quantisedParam(IRRewriter &rewriter, ParamOp param, RankedTensorType type, QuantisedAttr quantised) {
  auto made = cast<ParamOp>(rewriter.clone(*param));
  made.getResult().setType(type);
  made.setQuantisedAttr(quantised);
  return made;
}

namespace {
struct MakePrecise : sm1::impl::MakePreciseBase<MakePrecise> {
  using MakePreciseBase::MakePreciseBase;

  void runOnOperation() override {
    bits = quantisedBits(storage);
    int8 = compute == "int8", fp8 = compute == "fp8";
    // What tokens look up stays in bf16 where matrices are quantised.
    storageType = parseType(bits ? "bf16" : storage.getValue(), &getContext());
    computeType = parseType(int8 ? "f32" : fp8 ? "bf16" : compute.getValue(), &getContext());
    if (!storageType || !computeType || computeType.isF16()) {
      getOperation()->emitError("storage must be f32, bf16, f16, int8 or int4 and compute f32, bf16, fp8 or int8, got '")
          << storage << "' and '" << compute << "'";
      return signalPassFailure();
    }
    if (computeType.isBF16() && !storageType.isBF16()) {
      getOperation()->emitError("compute=") << compute << " multiplies what is stored as bf16, got storage=" << storage
                                            << "; store matrices as bf16 too";
      return signalPassFailure();
    }
    if (int8 && !bits) {
      getOperation()->emitError("compute=int8 multiplies integers, got storage=") << storage << "; store matrices as int8 or int4";
      return signalPassFailure();
    }
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](Operation *op) {
      if (auto linear = dyn_cast<LinearOp>(op)) {
        if (linear.getScales()) // as precise as it can be
          return;
        fp8 && !bits && suitsFp8(linear) ? multiplyFp8(rewriter, linear)
        : bits && !computeType.isBF16()  ? quantise(rewriter, linear)
                                         : roundOperands(rewriter, linear);
      }
      if (auto embedding = dyn_cast<EmbeddingOp>(op))
        widenRows(rewriter, embedding);
    });
    if (streams && computeType.isBF16())
      roundStreams(rewriter);
  }

private:
  void roundOperands(IRRewriter &rewriter, LinearOp linear) {
    bits ? coarsen(rewriter, linear) : store(linear.getWeight(), storageType);
    auto x = cast<RankedTensorType>(linear.getX().getType());
    if (x.getElementType() != computeType && x.getElementType().isF32())
      roundX(rewriter, linear, computeType);
  }

  /// Projections of one x share its rounding.
  void roundX(IRRewriter &rewriter, LinearOp linear, FloatType type) {
    Value x = linear.getX();
    Value &rounded = roundings[{x, type}];
    if (!rounded) {
      rewriter.setInsertionPointAfterValue(x);
      auto roundedType = cast<RankedTensorType>(x.getType()).clone(type);
      rounded = arith::TruncFOp::create(rewriter, linear.getLoc(), roundedType, x);
    }
    linear.getXMutable().assign(rounded);
  }

  /// What others than projections read of a norm, and what waits until a convolution's rows are done.
  void roundStreams(IRRewriter &rewriter) {
    getOperation()->walk([&](Operation *op) {
      if (auto norm = dyn_cast<RmsNormOp>(op)) {
        if (Value rounded = roundings.lookup({norm.getResult(), computeType}))
          readRounded(rewriter, norm.getResult(), rounded);
        return;
      }
      auto linear = dyn_cast<LinearOp>(op);
      bool isRounded = linear && llvm::all_of(linear->getUsers(), [](Operation *user) { return isa<arith::TruncFOp>(user); });
      if (!linear || isRounded || !getElementTypeOrSelf(linear.getX()).isBF16() || !isBesideConvolution(linear))
        return;
      rewriter.setInsertionPointAfter(lastBeside(linear));
      auto type = cast<RankedTensorType>(linear.getType()).clone(computeType);
      readRounded(rewriter, linear.getResult(), arith::TruncFOp::create(rewriter, linear.getLoc(), type, linear.getResult()));
    });
  }

  /// Whether a convolution reads a projection of what `linear` multiplies. Those that have been rounded count.
  static bool isBesideConvolution(LinearOp linear) {
    return llvm::any_of(linear.getX().getUsers(), [](Operation *user) {
      auto other = dyn_cast<LinearOp>(user);
      return other && llvm::any_of(readersOf(other.getResult()), [](Operation *reader) { return isa<Conv1dOp>(reader); });
    });
  }

  /// The last projection of what `linear` multiplies before somebody reads `linear`: what stands between projections keeps them
  /// apart.
  static Operation *lastBeside(LinearOp linear) {
    Operation *last = linear;
    for (Operation *user : linear.getX().getUsers()) {
      auto isLater = [&](Operation *reader) { return user->isBeforeInBlock(reader); };
      if (isa<LinearOp>(user) && user->getBlock() == last->getBlock() && last->isBeforeInBlock(user) &&
          llvm::all_of(linear->getUsers(), isLater))
        last = user;
    }
    return last;
  }

  /// Operations that read `value` as it is, or rounded and widened again.
  static SmallVector<Operation *> readersOf(Value value) {
    SmallVector<Operation *> readers;
    for (Operation *user : value.getUsers())
      isa<arith::TruncFOp, arith::ExtFOp>(user) ? readers.append(readersOf(user->getResult(0))) : readers.push_back(user);
    return readers;
  }

  /// Whoever else reads `value` reads `rounded` in its place.
  static void readRounded(IRRewriter &rewriter, Value value, Value rounded) {
    if (value.hasOneUse())
      return;
    rewriter.setInsertionPointAfterValue(rounded);
    Value widened = arith::ExtFOp::create(rewriter, value.getLoc(), value.getType(), rounded);
    rewriter.replaceAllUsesExcept(value, widened, rounded.getDefiningOp());
  }

  /// A norm leaves rows of about the size of its weights, which e4m3 holds as they are: no scale of a row has to be found, stored
  /// and multiplied with. Other inputs, and outputs of a model for rows that somebody selects, few of them, stay bf16.
  static bool suitsFp8(LinearOp linear) {
    auto param = linear.getWeight().getDefiningOp<ParamOp>();
    bool isSelected = llvm::any_of(linear->getUses(), [](OpOperand &use) {
      auto model = dyn_cast<ModelOp>(use.getOwner()->getParentOp());
      return model && isa<ReturnOp>(use.getOwner()) && model.resultIsSelected(use.getOperandNumber());
    });
    return param && !param.getQuantised() && linear.getX().getDefiningOp<RmsNormOp>() && !isSelected;
  }

  /// Both operands become e4m3, the matrix with a scale for each row.
  void multiplyFp8(IRRewriter &rewriter, LinearOp linear) {
    auto param = linear.getWeight().getDefiningOp<ParamOp>();
    auto matrix = cast<RankedTensorType>(param.getType());
    auto quantised = QuantisedAttr::get(&getContext(), /*bits=*/8, /*group=*/0, matrix.getDimSize(1));
    auto scales = RankedTensorType::get({matrix.getDimSize(0), 1}, rewriter.getF32Type());
    auto fp8Type = Float8E4M3FNType::get(&getContext());
    rewriter.setInsertionPoint(linear);
    linear.getWeightMutable().assign(quantisedParam(rewriter, param, matrix.clone(fp8Type), quantised));
    linear.getScalesMutable().assign(quantisedParam(rewriter, param, scales, quantised));
    roundX(rewriter, linear, fp8Type);
    if (param->use_empty())
      rewriter.eraseOp(param);
  }

  /// The matrix becomes what its integers would stand for, as bf16.
  void coarsen(IRRewriter &rewriter, LinearOp linear) {
    auto param = linear.getWeight().getDefiningOp<ParamOp>();
    if (!param || param.getQuantised())
      return;
    auto matrix = cast<RankedTensorType>(param.getType());
    auto quantised = QuantisedAttr::get(&getContext(), bits, groupOf(bits), matrix.getDimSize(1));
    rewriter.setInsertionPoint(linear);
    linear.getWeightMutable().assign(quantisedParam(rewriter, param, matrix.clone(storageType), quantised));
    if (param->use_empty())
      rewriter.eraseOp(param);
  }

  /// The matrix becomes integers and their scales; what it is multiplied with is quantised by the projection itself.
  void quantise(IRRewriter &rewriter, LinearOp linear) {
    auto param = linear.getWeight().getDefiningOp<ParamOp>();
    if (!param)
      return;
    auto matrix = cast<RankedTensorType>(param.getType());
    auto quantised = QuantisedAttr::get(&getContext(), bits, groupOf(bits), matrix.getDimSize(1));
    auto values = RankedTensorType::get(matrix.getShape(), rewriter.getIntegerType(bits));
    auto scales = RankedTensorType::get({matrix.getDimSize(0), quantised.groups()}, scaleType(bits, &getContext()));
    rewriter.setInsertionPoint(linear);
    linear.getWeightMutable().assign(quantisedParam(rewriter, param, values, quantised));
    linear.getScalesMutable().assign(quantisedParam(rewriter, param, scales, quantised));
    linear.setInt8(int8);
    if (param->use_empty())
      rewriter.eraseOp(param);
  }

  /// A stored row is widened where it is read; exact.
  void widenRows(IRRewriter &rewriter, EmbeddingOp embedding) {
    store(embedding.getTable(), storageType);
    auto row = cast<RankedTensorType>(embedding.getType());
    if (!row.getElementType().isF32() || storageType.isF32())
      return;
    embedding.getResult().setType(row.clone(storageType));
    rewriter.setInsertionPointAfter(embedding);
    auto widened = arith::ExtFOp::create(rewriter, embedding.getLoc(), row, embedding.getResult());
    rewriter.replaceAllUsesExcept(embedding.getResult(), widened, widened);
  }

  FloatType storageType, computeType;
  int64_t bits = 0; ///< of a quantised storage
  bool int8 = false, fp8 = false;
  llvm::DenseMap<std::pair<Value, Type>, Value> roundings;
};
} // namespace
