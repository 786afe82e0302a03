// Sequences that go on by themselves: the model gives logits, the caller says how tokens are chosen, and only tokens travel. On a
// GPU the next token's layers are already under way while the caller is told of the last one.
#ifndef SM1RT_GENERATION_H
#define SM1RT_GENERATION_H

#include "sm1rt/TokenChoice.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace sm1rt {

/// The caller's side of Model::generate. Its functions are called from inside and must not use the model or its sequences.
struct Generation {
  /// How the next token of piece `index` is chosen, after all tokens that it was told of.
  std::function<TokenChoice(size_t index)> choose;
  /// The next token of piece `index`; returns whether another one is wanted. One that was `last` or `end` is the last in any case.
  std::function<Expected<bool>(size_t index, int32_t token)> take;
  /// May be empty: called whenever each piece that goes on has got a token.
  std::function<void()> stepped;
};

} // namespace sm1rt

#endif // SM1RT_GENERATION_H
