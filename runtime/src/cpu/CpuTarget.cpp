// The table of CPU targets, and the choice.
#include "CpuTarget.h"

#include <fmt/format.h>

#include <algorithm>

namespace sm1rt {

namespace {

struct Need {
  const char *name;
  bool CpuFeatures::*has;
};

/// Code of a target executes what it needs and nothing else.
struct CpuTarget {
  const char *name;
  std::vector<Need> needs;
  bool tiles; ///< the system has to grant their registers
};

} // namespace

/// Best first. A new target is a row here and one in compiler/lib/Target.cpp.
static const std::vector<CpuTarget> &table() {
  constexpr Need v3{"AVX2 with FMA, F16C, BMI2", &CpuFeatures::v3}, v4{"AVX-512", &CpuFeatures::v4},
      vnni{"AVX512-VNNI", &CpuFeatures::avx512Vnni}, bf16{"AVX512-BF16", &CpuFeatures::avx512Bf16},
      gfni{"GFNI", &CpuFeatures::gfni}, amxTile{"AMX-TILE", &CpuFeatures::amxTile}, amxBf16{"AMX-BF16", &CpuFeatures::amxBf16},
      amxInt8{"AMX-INT8", &CpuFeatures::amxInt8};
  static const std::vector<CpuTarget> targets{
      {"x86-64-v4-amx", {v4, vnni, bf16, gfni, amxTile, amxBf16, amxInt8}, true},
      {"x86-64-v4-bf16", {v4, vnni, bf16}, false},
      {"x86-64-v4-vnni", {v4, vnni}, false},
      {"x86-64-v4", {v4}, false},
      {"x86-64-v3", {v3}, false},
  };
  return targets;
}

static std::string listed(const std::vector<std::string> &names, const char *none) {
  return names.empty() ? none : fmt::format("{}", fmt::join(names, ", "));
}

/// "AMX-TILE, AMX-BF16"; empty when the machine has it all.
static std::string missing(const CpuTarget &target, const CpuFeatures &features) {
  std::vector<std::string> names;
  for (const Need &need : target.needs)
    if (!(features.*need.has))
      names.push_back(need.name);
  return listed(names, "");
}

static bool contains(const std::vector<std::string> &names, const std::string &name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "this machine (NAME) runs x86-64-v4, x86-64-v3".
static std::string describe(const CpuMachine &machine) {
  std::vector<std::string> runs;
  for (const CpuTarget &target : table())
    if (missing(target, machine.features).empty())
      runs.push_back(target.name);
  return fmt::format("this machine{} runs {}", machine.name.empty() ? "" : " (" + machine.name + ")",
                     listed(runs, "none of the CPU targets"));
}

/// The targets of a package, each with what the machine lacks for it.
static std::string describe(const std::vector<std::string> &held, const CpuMachine &machine) {
  std::vector<std::string> words;
  for (const std::string &name : held) {
    auto row = std::find_if(table().begin(), table().end(), [&](const CpuTarget &target) { return name == target.name; });
    std::string lacks = row == table().end() ? "" : missing(*row, machine.features);
    words.push_back(lacks.empty() ? name : fmt::format("{} (needs {})", name, lacks));
  }
  return listed(words, "no CPU");
}

CpuMachine thisMachine() { return {cpuName(), cpuFeatures(), useTileRegisters}; }

Expected<std::string> chooseCpuTarget(const std::vector<std::string> &held, const std::string &isa, const CpuMachine &machine) {
  if (!isa.empty() && !contains(held, isa))
    return Error{fmt::format("no kernels for '{}', the package holds {}; recompile with --target={} or drop --isa", isa,
                             listed(held, "none"), isa)};
  std::string refused; // why the system grants no tiles
  for (const CpuTarget &target : table()) {
    if (!contains(held, target.name) || (!isa.empty() && isa != target.name) || !missing(target, machine.features).empty())
      continue;
    auto granted = target.tiles ? machine.useTiles() : Expected<void>();
    if (granted)
      return std::string(target.name);
    refused = fmt::format("{}: {}; ", target.name, granted.error().message);
  }
  return Error{fmt::format("{}built for {}, {}; recompile with --target=native{}", refused,
                           describe(isa.empty() ? held : std::vector<std::string>{isa}, machine), describe(machine),
                           isa.empty() ? "" : " or drop --isa")};
}

} // namespace sm1rt
