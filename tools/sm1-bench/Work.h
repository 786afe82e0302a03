// How much work a launch is, read from a package's plan.
#ifndef SM1_BENCH_WORK_H
#define SM1_BENCH_WORK_H

#include "sm1rt/Plan.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

struct Work {
  double weightBytes = 0;  ///< weights read, each once a launch; of a table that tokens look up, only the rows looked up
  double readBytes = 0;    ///< arrays and states that a launch reads
  double writtenBytes = 0; ///< arrays and states that it writes
  double flops = 0;        ///< of projections, a multiply-add counting two; all else is small beside them
  double fp8Flops = 0;     ///< those of them that multiply e4m3
  double launches = 0;     ///< of kernels of the plan

  double bytes() const { return weightBytes + readBytes + writtenBytes; }
  void add(const Work &other, double times = 1);
};

/// How much a launch covers.
struct LaunchRows {
  int64_t rows;                        ///< of its row space
  int64_t segments, passRows, longest; ///< as in sm1rt::LaunchTime

  bool operator<(const LaunchRows &other) const {
    return std::tie(rows, segments, passRows, longest) < std::tie(other.rows, other.segments, other.passRows, other.longest);
  }
};

/// Counts work launch by launch. A weight in a launch that looks nothing up and whose tensor is a matrix is multiplied with every
/// row. The plan does not say which arrays a launch writes: its last one, and those just before it that nothing has written yet.
/// An array written anew in the place of an old one may so count as read, in the sum of bytes nothing is missing.
class WorkCounter {
public:
  /// `variants` as in OpenOptions.
  WorkCounter(const sm1rt::Plan &plan, const sm1rt::PlanProgram &program, std::set<std::string> variants = {});

  Work ofLaunch(const sm1rt::PlanLaunch &launch, const LaunchRows &size) const;
  /// One pass over the layers with `rows` rows of `segments` sequences, of which `selected` have their outputs computed.
  Work ofPass(const std::string &entry, int64_t rows, int64_t selected, int64_t segments) const;
  /// A run of `batch` sequences of `time` rows each, outputs of the last ones, in passes of at most `rowsPerPass` rows: each pass
  /// reads the weights again.
  Work ofRun(const std::string &entry, int64_t batch, int64_t time, int64_t rowsPerPass) const;

  const std::string &entryOf(const sm1rt::PlanLaunch &launch) const { return facts.at(&launch).entry; }
  /// The entry whose launches a pass of so many rows takes, in segments of one length.
  std::string variantOf(const std::string &entry, int64_t rows, int64_t segments) const;

private:
  /// What the plan says of a launch once the launches around it are known.
  struct Facts {
    std::string entry;
    std::vector<bool> writes; // of each arg, whether it is a buffer that the launch writes
  };
  void findWrites(const std::string &entry, const std::vector<sm1rt::PlanStep> &steps);

  const sm1rt::Plan &plan;
  const sm1rt::PlanProgram &program;
  std::set<std::string> variants;
  std::map<const sm1rt::PlanLaunch *, Facts> facts;
};

#endif // SM1_BENCH_WORK_H
