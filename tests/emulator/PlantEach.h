// For tests whose kernel has to be noticed when anything is wrong with it.
#ifndef EMULATOR_PLANTEACH_H
#define EMULATOR_PLANTEACH_H

#include "EmulatorTest.h"

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

namespace emulator {

/// Plants every bug there is in the one function that `goesRight` runs, one at a time, and expects it to go wrong; how many there
/// are of each kind. `name` is this test's alone.
template <class Run> std::map<std::string, unsigned> plantEach(const std::string &name, Run goesRight) {
  std::string file = testing::TempDir() + "sm1-emulator-" + name + ".txt";
  std::remove(file.c_str());
  {
    Environment environment("SM1_EMULATOR_COUNT", file);
    EXPECT_TRUE(goesRight());
  }
  std::ifstream lines(file);
  std::map<std::string, unsigned> counts;
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string kind, number, function;
    words >> kind >> number >> function;
    EXPECT_EQ(number, std::to_string(counts[kind]++)) << line;
    Environment environment("SM1_EMULATOR_PLANT", kind + ":" + function + ":" + number);
    EXPECT_FALSE(goesRight()) << "not caught: " << line;
  }
  std::remove(file.c_str());
  return counts;
}

} // namespace emulator

#endif // EMULATOR_PLANTEACH_H
