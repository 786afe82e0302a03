// Ranges of rows, tensor maps and other facts of a program for a GPU; a token's launch is PlanToken's.
#include "PlanGpu.h"

#include "PlanToken.h"

#include <fmt/format.h>

namespace sm1rt {

static constexpr int64_t rowsLimit = int64_t(1) << 31, channelsLimit = int64_t(1) << 24;

static void readRanges(const JsonCursor &at, PlanProgram &program) {
  for (const std::string &variant : at.keys()) {
    JsonCursor range = at[variant.c_str()];
    std::string entry = range["entry"].name();
    int64_t least = range["least_rows"].integer(1, rowsLimit);
    program.ranges.push_back({entry, variant, least, range["most_rows"].integer(least, rowsLimit)});
    for (const std::string &name : {entry, variant})
      if (!at.failed() && program.entries.count(name) == 0)
        range.fail(fmt::format("there is no entry '{}'", name));
    if (!at.failed() && (entry == variant || at.has(entry.c_str())))
      range["entry"].fail(fmt::format("'{}' stands in for another entry itself", entry));
  }
}

int64_t chunkRowsOf(const std::vector<PlanStep> &steps) {
  for (const PlanStep &step : steps)
    for (const PlanLaunch &launch : step.body)
      if (launch.chunks)
        return launch.chunks;
  return 0;
}

std::string_view PlanProgram::variantFor(std::string_view entry, const std::set<std::string> &variants, int64_t rows,
                                         const std::function<int64_t(int64_t)> &chunksOf) const {
  constexpr int64_t part = 7, parts = 8; // of a chunk's rows, on average: what a tile multiplies beside them is for nobody
  std::string_view chosen = entry;
  for (const PlanRange &range : ranges) {
    if (range.entry != entry)
      continue;
    int64_t chunkRows = chunkRowsOf(entries.find(range.variant)->second);
    bool fits = range.leastRows <= rows && rows <= range.mostRows &&
                (chunkRows == 0 || parts * rows >= part * chunkRows * chunksOf(chunkRows));
    if (variants.empty() ? fits : variants.count(range.variant) > 0)
      chosen = range.variant;
  }
  return chosen;
}

/// A pass has one table of chunks.
static void checkChunks(const JsonCursor &at, const PlanProgram &program) {
  for (auto &[name, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body)
        if (int64_t rows = chunkRowsOf(steps); launch.chunks && launch.chunks != rows)
          at.fail(fmt::format("entry '{}' has chunks of {} rows and of {}", name, rows, launch.chunks));
}

void readGpuParts(const JsonCursor &at, const Plan &plan, PlanProgram &program) {
  if (!at.failed() && at.has("token"))
    program.token = readPlanToken(at["token"], plan, program);
  if (at.has("ranges"))
    readRanges(at["ranges"], program);
  checkChunks(at["entries"], program);
  program.overlaps = at.has("overlaps") && at["overlaps"].boolean();
  if (!at.failed() && program.overlaps && program.capability < 90)
    at["overlaps"].fail("kernels that overlap need compute capability 9.0");
}

/// Boxes have at most 256 rows.
void readMap(const JsonCursor &launchAt, const PlanProgram &program, PlanLaunch &launch) {
  if (!launchAt.has("map") || launchAt.failed())
    return;
  JsonCursor at = launchAt["map"];
  PlanMap map{size_t(at["arg"].integer(0, int64_t(launch.args.size()) - 1)), at["rows"].integer(1, 256),
              at.has("row_bytes") ? at["row_bytes"].integer(64, 128) : 64, at["channels"].integer(1, channelsLimit)};
  map.fits = at.has("fits") && at["fits"].boolean();
  map.even = at.has("even") && at["even"].boolean();
  if (at.failed())
    return;
  if (map.rowBytes % 64)
    return at["row_bytes"].fail(fmt::format("{} are neither 64 nor 128", map.rowBytes));
  const PlanArg &arg = launch.args[map.arg];
  map.dtype = arg.kind == PlanArg::Kind::Buffer ? program.buffers[arg.index].dtype : DType::F32;
  if (map.dtype != DType::BF16 && map.dtype != DType::F8E4M3)
    return at["arg"].fail(fmt::format("arg {} is no buffer of bf16 or f8_e4m3", map.arg));
  if (int64_t stride = program.buffers[arg.index].stride; (map.channels + 15) / 16 * 16 != stride)
    return at["channels"].fail(fmt::format("{} do not fill a buffer of stride {}", map.channels, stride));
  launch.map = map;
}

} // namespace sm1rt
