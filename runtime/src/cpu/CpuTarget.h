// Targets of CPU code: what each executes, and which one of a package a machine runs.
#ifndef SM1RT_SRC_CPU_CPUTARGET_H
#define SM1RT_SRC_CPU_CPUTARGET_H

#include "../Platform.h"

#include <string>
#include <vector>

namespace sm1rt {

/// What a target is held against. Tests make their own.
struct CpuMachine {
  std::string name; ///< may be empty
  CpuFeatures features;
  Expected<void> (*useTiles)(); ///< asked before the first target with tiles is taken
};
CpuMachine thisMachine();

/// Of `held` the best target that the machine runs, or `isa` when it is not empty. The errors say what is missing; the caller adds
/// the package.
Expected<std::string> chooseCpuTarget(const std::vector<std::string> &held, const std::string &isa, const CpuMachine &machine);

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_CPUTARGET_H
