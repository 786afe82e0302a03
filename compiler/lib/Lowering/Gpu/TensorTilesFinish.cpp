//===- TensorTilesFinish.cpp - what follows the sums of tiles by mma.sync -----------------------------------------===//

#include "TensorTilesBuilder.h"

#include "GpuOps.h"
#include "NormHalves.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

bool TensorTilesBuilder::storesWide() const {
  auto isOf16Bits = [](Type type) { return isStream(type) && getElementTypeOrSelf(type).getIntOrFloatBitWidth() == 16; };
  return group > 1 && !storedSquares(block.kernel) && llvm::all_of(block.kernel->getResultTypes(), isOf16Bits);
}

void TensorTilesBuilder::exchangeHalves(SmallVector<Value> &sums, int64_t firstOfGroup, int64_t first, int64_t count) {
  constexpr int32_t away = lanesOfWarp / 2; // the lane whose channels stand between this one's halves
  Value isUpper = block.less(block.constant(away - 1), lane);
  auto choose = [&](Value upper, Value lower) {
    return arith::SelectOp::create(block.builder, block.loc, isUpper, upper, lower).getResult();
  };
  for (size_t linear = 0; linear < linears.size(); ++linear)
    for (int64_t i = 0; i < group; ++i)
      for (int64_t j = first; j < first + count; ++j) {
        int64_t at = (int64_t(linear) * warpPanels + firstOfGroup + i) * 4 + j;
        Value &low = sums[at], &high = sums[at + 2];
        Value got = cuda::shuffleXor(block.builder, block.loc, choose(low, high), away);
        low = choose(got, low), high = choose(high, got);
      }
}

SmallVector<Value> TensorTilesBuilder::finishRows(ArrayRef<Value> sums, int64_t first, int64_t count, Value row, Value rowEnd) {
  OpBuilder &builder = block.builder;
  PanelSquaresOp stored = storedSquares(block.kernel);
  SmallVector<Value> squares;
  Value owner = block.div(lane, 4);
  int64_t kernelPanels = strideOf(widthOf(block.kernel)) / panelWidth;
  bool isWide = storesWide();
  int64_t halves = isWide ? 1 : 2, width = isWide ? 2 * group : group;
  auto vectorType = VectorType::get({width}, builder.getF32Type());
  for (int64_t firstOfGroup = 0; firstOfGroup < warpPanels; firstOfGroup += group) {
    Value panel = panelOfGroup(firstOfGroup);
    SmallVector<Value> own(sums);
    if (isWide)
      exchangeHalves(own, firstOfGroup, first, count);
    auto channelsOf = [&](size_t linear, int64_t half, int64_t j) {
      SmallVector<Value> channels;
      for (int64_t part = half; part < half + (isWide ? 2 : 1); ++part)
        for (int64_t i = 0; i < group; ++i)
          channels.push_back(own[(linear * warpPanels + firstOfGroup + i) * 4 + 2 * part + j]);
      return channels;
    };
    auto evaluateHalves = [&] {
      SmallVector<Value> parts;
      for (int64_t half = 0; half < halves; ++half) {
        Value unit =
            block.add(block.add(block.mul(panel, panelWidth / width), block.div(owner, group)), block.constant(half * 8 / width));
        TileEvaluator evaluator(builder, block.kernel, block.buffers, {row, unit, count, 1, width, rowEnd});
        for (auto [l, linear] : llvm::enumerate(linears)) {
          SmallVector<Value> vectors;
          Value scales = linear.getScales()
                             ? evaluator.loadVector(block.buffers.inputs.lookup(linear.getScales()), evaluator.column(0))
                             : Value();
          for (int64_t j = first; j < first + count; ++j) {
            vectors.push_back(vector::FromElementsOp::create(builder, block.loc, vectorType, channelsOf(l, half, j)));
            if (scales)
              vectors.back() = arith::MulFOp::create(builder, block.loc, vectors.back(), scales);
          }
          evaluator.define(linear.getResult(), vectors);
        }
        if (takesStream())
          giveStream(evaluator, firstOfGroup, half, first, count);
        evaluator.evaluate(block.mainOps());
        block.storeResults(evaluator);
        for (int64_t j = 0; stored && j < count; ++j) {
          Value part = evaluator.at(stored.getResult(), j, 0);
          if (half)
            parts[j] = arith::AddFOp::create(builder, block.loc, parts[j], part);
          else
            parts.push_back(part);
        }
      }
      return parts;
    };
    llvm::append_range(squares, kernelPanels % panels ? numbersWhen(block, block.less(panel, block.constant(kernelPanels)),
                                                                    stored ? count : 0, evaluateHalves)
                                                      : evaluateHalves());
  }
  return squares;
}

/// A lane's neighbours with the same row and panel are those of the other channels.
void TensorTilesBuilder::storeSquares(ArrayRef<Value> squares, int64_t count, Value row) {
  SmallVector<int32_t> distances;
  for (int32_t distance = 4 * group; distance < lanesOfWarp; distance *= 2)
    distances.push_back(distance);
  Value isFirst = block.less(block.div(lane, 4), block.constant(group));
  for (size_t index = 0; index < squares.size(); ++index)
    sm1::storeSquares(block, squares[index], distances, isFirst, block.add(row, block.constant(index % count)),
                      panelOfGroup(index / count * group));
}

void TensorTilesBuilder::finish(ArrayRef<Value> sums, Value tile) {
  Value row = block.add(block.add(firstRow, warpRow), block.add(block.mul(tile, rowsOfTile), block.mul(block.rem(lane, 4), 2)));
  // Rows past the last can be computed as that one, so that loads need no branch, unless a state would be written twice.
  if (llvm::none_of(block.kernel.getBlock(), [](Operation &op) { return isa<ScanOp, SelectiveScanOp, Conv1dOp>(op); }))
    return storeSquares(finishRows(sums, 0, 2, row, block.count), 2, row);
  for (int64_t j = 0; j < 2; ++j) {
    Value own = block.add(row, block.constant(j));
    SmallVector<Value> squares =
        numbersWhen(block, block.less(own, block.count), storedSquares(block.kernel) ? warpPanels / group : 0,
                    [&] { return finishRows(sums, j, 1, own, {}); });
    storeSquares(squares, 1, own);
  }
}

SmallVector<Value> TensorTilesBuilder::sumsOfTile(ArrayRef<Value> sums, int64_t tile) const {
  SmallVector<Value> own;
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel)
      llvm::append_range(own, sums.slice(sumIndex(l, panel, tile), 4));
  return own;
}

void TensorTilesBuilder::finishParts(ArrayRef<Value> sums) {
  int64_t sliceWarps = threads / lanesOfWarp / slices, tileSums = int64_t(linears.size()) * warpPanels * 4;
  // As many tiles at once as there was memory for stages, and at least one for each group of warps.
  int64_t tileMemory = threads * tileSums * 4, together = stages * slices * (rowSliceBytes + weightSliceBytes) / tileMemory;
  together = std::min(std::max(together / slices, int64_t(1)) * slices, tiles);
  Value parts = block.shared({slices, sliceWarps, together, tileSums, lanesOfWarp}, block.builder.getF32Type());
  for (int64_t first = 0; first < tiles; first += together) {
    int64_t count = std::min(together, tiles - first);
    block.barrier(); // what lay there before has been read; no copy is under way any more
    for (int64_t tile = 0; tile < count; ++tile)
      for (auto [index, sum] : llvm::enumerate(sumsOfTile(sums, first + tile)))
        block.storeScalar(sum, parts, {slice, warp, block.constant(tile), block.constant(int64_t(index)), lane});
    block.barrier();
    block.loop(slice, block.constant(count), slices, [&](Value tile) {
      Value number = block.add(tile, block.constant(first));
      Value tileRow = block.add(block.add(firstRow, warpRow), block.mul(number, rowsOfTile));
      block.when(block.less(tileRow, block.count), [&] {
        SmallVector<Value> totals;
        for (int64_t index = 0; index < tileSums; ++index) {
          Value total;
          for (int64_t part = 0; part < slices; ++part) {
            Value one = block.loadScalar(parts, {block.constant(part), warp, tile, block.constant(index), lane});
            total = total ? arith::AddFOp::create(block.builder, block.loc, total, one) : one;
          }
          totals.push_back(total);
        }
        finish(totals, number);
      });
    });
  }
}
