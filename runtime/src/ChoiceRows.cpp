// Choosing a token on the host, as kernels/sample.cu does on a GPU: the same keys, weights and sums in the same order.
#include "ChoiceRows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

namespace sm1rt {

using namespace sm1sampling;

//===-- Sets and rows -------------------------------------------------------------------------------------------------------===//

void TokenSet::add(int32_t token) {
  size_t word = size_t(token) / 32;
  if (bits.size() <= word)
    bits.resize(word + 1);
  bits[word] |= 1u << (token % 32);
}

void TokenSet::add(int32_t begin, int32_t end) {
  for (int32_t token = begin; token < end; ++token)
    add(token);
}

bool TokenSet::contains(int32_t token) const {
  size_t word = size_t(token) / 32;
  return word < bits.size() && (bits[word] >> (token % 32) & 1);
}

static uint64_t setWords(int64_t count) { return uint64_t(count + 31) / 32; }

uint64_t choiceRowBytes(int64_t count) { return (sizeof(Choice) + 2 * setWords(count) * 4 + 15) / 16 * 16; }

static void writeSet(uint8_t *to, const TokenSet &set, int64_t count) {
  uint64_t words = std::min<uint64_t>(set.words().size(), setWords(count));
  if (words > 0)
    std::memcpy(to, set.words().data(), words * 4);
}

void appendChoiceRow(std::vector<uint8_t> &rows, const TokenChoice *choice, int64_t count) {
  size_t begin = rows.size();
  rows.resize(begin + choiceRowBytes(count)); // zeros: empty sets
  Choice head = {1, 1, 0, 1, -1, -1, -1, skipped};
  if (choice) {
    // A pair that is not whole is none.
    bool merges = choice->kept >= 0 && choice->dropped >= 0 && choice->kept < count && choice->dropped < count;
    head = {choice->temperature,
            choice->topP,
            choice->draw,
            choice->penalty,
            merges ? choice->kept : -1,
            merges ? choice->dropped : -1,
            choice->end,
            (choice->greedy ? greedy : 0) | (choice->last ? stops : 0)};
    writeSet(&rows[begin + sizeof(Choice)], choice->penalised, count);
    writeSet(&rows[begin + sizeof(Choice) + setWords(count) * 4], choice->barred, count);
  }
  std::memcpy(&rows[begin], &head, sizeof(head));
}

//===-- Choosing ------------------------------------------------------------------------------------------------------------===//

/// Prefix sums in the order that sampling.h states; backwards, so that an element is read before it changes.
static void prefixSums(std::vector<double> &values) {
  for (size_t distance = 1; distance < values.size(); distance *= 2)
    for (size_t i = values.size(); i-- > distance;)
      values[i] += values[i - distance];
}

static int32_t drawn(const Choice &choice, std::vector<Key> &keys, std::vector<double> &sums) {
  std::sort(keys.begin(), keys.end(), std::greater<Key>());
  sums.clear();
  double best = logitOf(keys.front());
  for (Key key : keys)
    sums.push_back(expOfNegative((logitOf(key) - best) / choice.temperature));
  prefixSums(sums);
  double most = choice.topP * sums.back();
  size_t kept = 1;
  while (kept < keys.size() && sums[kept - 1] <= most)
    ++kept;
  double target = choice.draw * sums[kept - 1];
  size_t place = 0;
  while (place + 1 < kept && sums[place] <= target)
    ++place;
  return tokenOf(keys[place]);
}

Chosen chooseByRow(const float *logits, int64_t count, const uint8_t *row, ChoiceScratch &scratch) {
  Choice choice;
  std::memcpy(&choice, row, sizeof(choice));
  auto *penalisedSet = reinterpret_cast<const unsigned *>(row + sizeof(Choice)), *barredSet = penalisedSet + setWords(count);
  std::vector<Key> &keys = scratch.keys;
  keys.clear();
  scratch.reserve(count);
  for (int64_t token = 0; token < count; ++token) {
    float logit = weighed(choice, logits, penalisedSet, barredSet, token);
    if (isDamaged(logit))
      return {int(token), damaged, logit, 0};
    if (!isBarred(logit))
      keys.push_back(rankKey(logit, int(token)));
  }
  if (keys.empty())
    return {0, nothingLeft, 0, 0};
  if (choice.flags & greedy)
    return {tokenOf(*std::max_element(keys.begin(), keys.end())), chosen, 0, 0};
  return {drawn(choice, keys, scratch.sums), chosen, 0, 0};
}

Expected<int32_t> chosenToken(const Chosen &result) {
  if (result.status == damaged)
    return Error{fmt::format("logits: token {} has {}; the model's weights or state are damaged", result.token, result.value)};
  if (result.status == nothingLeft)
    return Error{"logits: no token may come next"};
  return result.token;
}

Expected<int32_t> chooseToken(const float *logits, int64_t count, const TokenChoice &choice) {
  std::vector<uint8_t> row;
  appendChoiceRow(row, &choice, count);
  ChoiceScratch scratch;
  return chosenToken(chooseByRow(logits, count, row.data(), scratch));
}

} // namespace sm1rt
