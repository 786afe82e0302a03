// Planted bugs: one barrier or wait less, one access one off. Mutation tests loop over them and expect each to be noticed.
#ifndef EMULATOR_PLANT_H
#define EMULATOR_PLANT_H

#include "Syntax.h"

namespace emulator {

/// Marks the statement that `plant` ("barrier:3", "wait:0", "index:17"; empty: none) names in `syntax`, counted from 0 in text
/// order. False if `plant` is malformed; a number past the last one plants nothing.
bool plantBug(Syntax &syntax, const std::string &plant);

/// One line per place where a bug can be planted: "barrier 3 <function> <line> <statement>".
std::string plantableBugs(const Syntax &syntax);

} // namespace emulator

#endif // EMULATOR_PLANT_H
