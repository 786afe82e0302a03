// Planted bugs: one barrier or wait less, one access one off. Mutation tests loop over them and expect each to be noticed.
#ifndef EMULATOR_PLANT_H
#define EMULATOR_PLANT_H

#include "Syntax.h"

namespace emulator {

/// Whether `plant` has the form "barrier:<function>:3", "wait:<function>:0" or "index:<function>:17".
bool isPlant(const std::string &plant);

/// Marks the statement that `plant` names if it is one of `function`, counted from 0 in text order. A number past the last one
/// plants nothing.
void plantBug(Function &function, const std::string &plant);

/// One line per place where a bug can be planted: "barrier 3 <function> <line> <statement>".
std::string plantableBugs(const Syntax &syntax);

} // namespace emulator

#endif // EMULATOR_PLANT_H
