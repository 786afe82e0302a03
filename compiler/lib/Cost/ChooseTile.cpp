//===- ChooseTile.cpp - tiles of projections by predicted cycles -------------------------------------------------===//

#include "sm1c/Cost.h"

using namespace sm1;
using sm1rt::CoreFacts;
using sm1rt::TileWork;

static TileWork workOf(const TileProblem &problem, TileShape shape) {
  TileWork work{double(shape.rows), double(shape.panels), double(problem.projections), problem.weightBytes, problem.unpackOps};
  work.rowOps = problem.rowOps;
  work.chains = double(problem.chains);
  work.apart = shape.apart;
  if (problem.madds)
    work.takeMadds(problem.grouped);
  return work;
}

/// More streams than these gain nothing where it was measured. int8 in pairs of 16 bits loses by more than four with AVX2.
static int64_t enoughStreams(const CoreFacts &core, const TileProblem &problem) {
  return problem.madds && !problem.grouped && core.lanes < 16 ? 4 : 8;
}

int64_t sm1::chooseSingleRowPanels(const CoreFacts &core, const TileProblem &problem) {
  // What a single row computes hides behind its weights, so that a chain more may spill.
  TileProblem oneChain = problem;
  oneChain.chains = 1;
  auto fits = [&](int64_t panels) {
    return panels <= problem.panels && tileRegisters(core, workOf(oneChain, {1, panels})) <= core.registers;
  };
  int64_t panels = 1;
  while (2 * panels * problem.projections < enoughStreams(core, problem) && fits(2 * panels))
    panels *= 2;
  return panels;
}

std::vector<TileShape> sm1::candidateTiles(const CoreFacts &core, const TileProblem &problem) {
  std::vector<TileShape> shapes;
  auto fits = [&](TileShape shape) { return tileRegisters(core, workOf(problem, shape)) <= core.registers; };
  int64_t together = chooseSingleRowPanels(core, problem);
  for (bool apart : {false, true})
    for (int64_t panels = 1; panels <= together && (problem.projections > 1 || !apart); panels *= 2)
      for (int64_t rows = 1; fits({rows, panels, apart}); ++rows)
        shapes.push_back({rows, panels, apart});
  if (shapes.empty())
    shapes.push_back({1, 1});
  return shapes;
}

/// Predictions that are as near as this are equal: six tiles within it took 2.57 to 2.66 s, in no order that a second run kept.
static constexpr double indistinct = 1.02;

TileShape sm1::chooseTile(const CoreFacts &core, const TileProblem &problem) {
  double together = double(chooseSingleRowPanels(core, problem));
  auto cyclesOfRow = [&](TileShape shape, double rows, bool widened) {
    TileWork work = workOf(problem, shape);
    if (widened)
      work.unpackOps = 0, work.weightBytes = 4;
    return coverCycles(core, work, together, rows, double(problem.panels)) / rows;
  };
  std::vector<TileShape> shapes = candidateTiles(core, problem);
  auto best = [&](auto cost) { return cost(pickBest(shapes, cost)); };
  auto few = [&](TileShape shape) { return cyclesOfRow(shape, 8, false); };
  auto many = [&](TileShape shape) { return cyclesOfRow(shape, 256, problem.widens); };
  double leastFew = best(few), leastMany = best(many);
  auto both = [&](TileShape shape) { return few(shape) / leastFew + many(shape) / leastMany; };
  double limit = indistinct * best(both);
  return pickBest(shapes, [&](TileShape shape) {
    bool isNear = both(shape) <= limit;
    return std::tuple(!isNear, shape.rows < sm1rt::smallTileRows, shape.apart, few(shape), many(shape));
  });
}
