// How programs with words of their own begin: GoogleTest, the words, and a skip that ctest shows where the device is not there.
#ifndef SM1_TESTS_CONFORMANCE_TESTPROGRAM_H
#define SM1_TESTS_CONFORMANCE_TESTPROGRAM_H

#include "sm1rt/Model.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

/// The words behind the program's name; ends it where they are not as many as `usage` has.
inline std::vector<std::string> wordsOf(int argc, char **argv, std::string_view usage) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != std::count(usage.begin(), usage.end(), ' ') + 1) {
    fmt::print(stderr, "usage: {}\n", usage);
    std::exit(2);
  }
  return {argv + 1, argv + argc};
}

/// Ends the program with SKIP_RETURN_CODE of its test.
[[noreturn]] inline void skipAll(const std::string &why) {
  fmt::print("skipped: {}\n", why);
  std::exit(77);
}

inline void skipWithout(const std::string &device) {
  if (auto there = sm1rt::targetsFor(device); !there)
    skipAll(there.error().message);
}

#endif
