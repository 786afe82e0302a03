// Wrong descriptions, made of right ones: the same for the same seed and number.
#ifndef SM1_TESTS_MUTATOR_H
#define SM1_TESTS_MUTATOR_H

#include <cstdint>
#include <random>
#include <string>
#include <vector>

class Mutator {
public:
  explicit Mutator(const std::vector<std::string> &originals);

  /// Case `number`: one of the originals with one to four changes.
  std::string make(uint64_t seed, uint64_t number) const;

private:
  using Random = std::mt19937_64;
  using Tokens = std::vector<std::string>;

  void change(Tokens &tokens, Random &random) const;
  const std::string &anyWord(Random &random) const;

  std::vector<Tokens> originals;
  std::vector<std::string> words; ///< of all originals, and some that stand in none
};

#endif // SM1_TESTS_MUTATOR_H
