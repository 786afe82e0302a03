// What the cost model expects of a package on a card that need not be here. Nothing is run, nothing is measured.
#ifndef SM1_BENCH_PROJECTION_H
#define SM1_BENCH_PROJECTION_H

#include "Runner.h"

#include "sm1rt/Error.h"

#include <string>
#include <vector>

struct ProjectionOptions {
  std::string package;
  std::vector<std::string> cards; ///< none: all
  std::vector<RunShape> shapes;   ///< decodes and prefills
  bool json = false;
};

/// Prints each kernel of each shape on each card. Errors: no such package or card, no code or costs for a card.
sm1rt::Expected<void> printProjection(const ProjectionOptions &options);

#endif // SM1_BENCH_PROJECTION_H
