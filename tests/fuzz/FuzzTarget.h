// What a fuzz target is: one reader of files nobody vouches for, inputs to start from, and what has to hold of everything it
// accepts. A crash, a sanitizer's report or a broken promise ends the process; a refused input is no finding.
#ifndef SM1_TESTS_FUZZ_FUZZTARGET_H
#define SM1_TESTS_FUZZ_FUZZTARGET_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

/// Runs one input. The name is libFuzzer's; always 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace sm1fuzz {

/// Good inputs, small, which between them use everything the format has.
std::vector<std::string> seeds();

/// A promise of the reader.
inline void require(bool holds, const char *promise) {
  if (holds)
    return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

} // namespace sm1fuzz

#endif // SM1_TESTS_FUZZ_FUZZTARGET_H
