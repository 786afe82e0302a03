// Runs a fuzz target without libFuzzer: inputs are made from the target's seeds by random changes, all of which follow from one
// number, so that a run repeats everywhere.
//
//   sm1-fuzz-NAME [INPUTS [SEED]]      that many inputs; the default is what the tests run
//   sm1-fuzz-NAME --file FILE...       these inputs, e.g. what a fuzzer found
//   sm1-fuzz-NAME --write-seeds DIR    the seeds as files, for libFuzzer to start from
//
// An input that ends the process is left in crash-input in the current folder.
#include "FuzzTarget.h"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>

using namespace sm1fuzz;

namespace {

constexpr size_t longestInput = 1 << 16;
constexpr const char *crashFile = "crash-input";

/// Numbers at which readers go wrong, as text and as bytes.
constexpr const char *textNumbers[] = {"0",
                                       "-1",
                                       "1",
                                       "16",
                                       "255",
                                       "65536",
                                       "2147483648",
                                       "4294967296",
                                       "9223372036854775807",
                                       "18446744073709551615",
                                       "-9223372036854775808",
                                       "1e999",
                                       "0.5",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"\""};
constexpr unsigned char hardBytes[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '}', '[', ']', ',', ':', '-', '9', '\n'};

class Mutator {
public:
  Mutator(std::vector<std::string> seeds, uint64_t seed) : seeds(std::move(seeds)), random(seed) {}

  std::string next() {
    std::string input = seeds[below(seeds.size())];
    for (size_t changes = below(6) + 1; changes > 0; --changes)
      change(input);
    input.resize(std::min(input.size(), longestInput));
    return input;
  }

private:
  size_t below(size_t limit) { return limit ? size_t(random() % limit) : 0; }

  void change(std::string &input) {
    size_t at = below(input.size() + 1), count = std::min(input.size() - at, below(4) ? below(8) + 1 : below(input.size()));
    switch (below(8)) {
    case 0:
      if (at < input.size())
        input[at] = char(input[at] ^ 1 << below(8));
      break;
    case 1:
      if (at < input.size())
        input[at] = char(hardBytes[below(sizeof(hardBytes))]);
      break;
    case 2:
      input.erase(at, count);
      break;
    case 3:
      input.insert(at, input.substr(at, count));
      break;
    case 4:
      input.insert(at, 1, char(hardBytes[below(sizeof(hardBytes))]));
      break;
    case 5:
      splice(input, at, count);
      break;
    case 6:
      replaceNumber(input, at);
      break;
    default:
      replaceWord(input, at);
    }
  }

  /// A part of another seed, or of the same.
  void splice(std::string &input, size_t at, size_t count) {
    const std::string &other = seeds[below(seeds.size())];
    input.replace(at, count, other.substr(below(other.size()), below(64)));
  }

  /// The next number written in digits becomes another.
  void replaceNumber(std::string &input, size_t at) {
    size_t begin = input.find_first_of("0123456789", at);
    if (begin == std::string::npos)
      return;
    size_t end = std::min(input.find_first_not_of("0123456789", begin), input.size());
    input.replace(begin, end - begin, textNumbers[below(std::size(textNumbers))]);
  }

  /// Two or four bytes become all zeros, all ones, or a small number at either end.
  void replaceWord(std::string &input, size_t at) {
    std::string word(below(2) ? 2 : 4, below(2) ? '\0' : '\xff');
    word[below(2) ? 0 : word.size() - 1] = char(below(256));
    if (at + word.size() <= input.size())
      input.replace(at, word.size(), word);
  }

  std::vector<std::string> seeds;
  std::mt19937_64 random;
};

const std::string *running = nullptr; ///< for the signal handler

/// An input that ended the process is what the person needs; the process ends anyway.
void keepInput(int signal) {
  if (running) {
    if (FILE *file = std::fopen(crashFile, "wb")) {
      std::fwrite(running->data(), 1, running->size(), file);
      std::fclose(file);
    }
    std::fprintf(stderr, "signal %d; the input is in %s\n", signal, crashFile);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string &input) {
  running = &input;
  // A block of its own size, so that a read past the end is seen.
  std::vector<uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  running = nullptr;
}

std::string readFile(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int writeSeeds(const std::string &folder) {
  std::vector<std::string> all = seeds();
  for (size_t index = 0; index < all.size(); ++index) {
    std::ofstream file(folder + "/seed-" + std::to_string(index), std::ios::binary);
    if (!file.write(all[index].data(), std::streamsize(all[index].size())))
      return std::fprintf(stderr, "%s: cannot be written\n", folder.c_str()), 1;
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    std::signal(signal, keepInput);
  std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--write-seeds" && argc == 3)
    return writeSeeds(argv[2]);
  if (first == "--file") {
    for (int index = 2; index < argc; ++index)
      run(readFile(argv[index]));
    return 0;
  }
  uint64_t inputs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20'000,
           seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  std::vector<std::string> all = seeds();
  for (const std::string &input : all)
    run(input);
  Mutator mutator(all, seed);
  for (uint64_t count = 0; count < inputs; ++count)
    run(mutator.next());
  std::printf("%zu seeds and %llu inputs, no finding\n", all.size(), (unsigned long long)inputs);
  return inputs == 0;
}
