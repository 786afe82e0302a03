//===- ChooseTile.cpp - tiles of projections by predicted cycles -------------------------------------------------===//

#include "sm1c/Cost.h"

using namespace sm1;
using sm1rt::CoreFacts;
using sm1rt::TileWork;

static TileWork workOf(const TileProblem &problem, TileShape shape) {
  return {double(shape.rows), double(shape.panels), double(problem.projections), problem.weightBytes, problem.unpackOps};
}

std::vector<TileShape> sm1::candidateTiles(const CoreFacts &core, const TileProblem &problem) {
  std::vector<TileShape> shapes;
  auto fits = [&](int64_t rows, int64_t panels) { return tileRegisters(core, workOf(problem, {rows, panels})) <= core.registers; };
  for (int64_t panels = 1; panels <= problem.panels && fits(1, panels); ++panels)
    for (int64_t rows = 1; fits(rows, panels); ++rows)
      shapes.push_back({rows, panels});
  if (shapes.empty())
    shapes.push_back({1, 1});
  return shapes;
}

TileShape sm1::chooseTile(const CoreFacts &core, const TileProblem &problem) {
  return pickBest(candidateTiles(core, problem), [&](TileShape shape) {
    // Rows that fill no tile read four streams.
    int64_t singleRowPanels = shape.panels * std::max<int64_t>(4 / problem.projections / shape.panels, 1);
    return coverCycles(core, workOf(problem, shape), double(singleRowPanels), double(problem.rows), double(problem.panels));
  });
}

/// More streams than this gain nothing where it was measured.
static constexpr int64_t enoughStreams = 8;

int64_t sm1::chooseSingleRowPanels(const CoreFacts &core, const TileProblem &problem, int64_t panelTile, bool ahead) {
  auto fits = [&](int64_t panels) {
    return panels <= problem.panels && tileRegisters(core, workOf(problem, {1, panels})) <= core.registers;
  };
  int64_t panels = panelTile;
  while (panels * problem.projections * (ahead ? 2 : 1) < enoughStreams && fits(panels + panelTile))
    panels += panelTile;
  return panels;
}
