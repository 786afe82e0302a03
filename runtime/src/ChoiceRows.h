// Token choices as devices read them, and the choice itself on the host; kernels/sampling.h holds the arithmetic, which GPUs share.
#ifndef SM1RT_SRC_CHOICEROWS_H
#define SM1RT_SRC_CHOICEROWS_H

#include "sampling.h"
#include "sm1rt/TokenChoice.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

/// Bytes of a row for `count` tokens: a sm1sampling::Choice and two bit sets, a multiple of 16.
uint64_t choiceRowBytes(int64_t count);

/// Appends a row. A null choice is skipped: nothing is chosen, the result is left alone.
void appendChoiceRow(std::vector<uint8_t> &rows, const TokenChoice *choice, int64_t count);

/// Memory of chooseByRow, kept from one choice to the next. One thread at a time.
struct ChoiceScratch {
  std::vector<sm1sampling::Key> keys;
  std::vector<double> sums;

  /// Choices among `count` tokens allocate nothing from here on.
  void reserve(int64_t count) {
    keys.reserve(size_t(count));
    sums.reserve(size_t(count));
  }
};

/// What `row` says about `count` logits. Needs host memory.
sm1sampling::Chosen chooseByRow(const float *logits, int64_t count, const uint8_t *row, ChoiceScratch &scratch);

/// The token, or the error.
Expected<int32_t> chosenToken(const sm1sampling::Chosen &chosen);

} // namespace sm1rt

#endif // SM1RT_SRC_CHOICEROWS_H
