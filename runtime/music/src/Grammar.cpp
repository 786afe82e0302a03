// The grammar as a table of what may follow what; the only context beside the last token is the position inside the bar.
#include "sm1rt/music/Grammar.h"

#include <fmt/format.h>

#include <limits>

namespace sm1rt {

bool Grammar::allowsField(Field field) const {
  switch (field) {
  case Field::Conditioning:
  case Field::Bos:
    return place == Place::Start;
  case Field::Pad:
    return false;
  case Field::Bar:
    return place == Place::Bos || barMayEnd();
  case Field::Eos:
  case Field::Position:
    return barMayEnd();
  case Field::Section:
    return place == Place::Bar;
  case Field::Tempo:
    return place == Place::Section;
  case Field::Track:
    return place == Place::Position;
  case Field::Pitch:
    return place == Place::Track || place == Place::Velocity;
  case Field::Duration:
    return place == Place::Pitch;
  case Field::Velocity:
    return place == Place::Duration;
  }
  return false;
}

bool Grammar::allows(int32_t token) const {
  TokenMeaning meaning = vocabulary.meaning(token);
  return allowsField(meaning.field) && (meaning.field != Field::Position || meaning.value >= lastPosition);
}

Expected<void> Grammar::accept(int32_t token) {
  if (token < 0 || token >= vocabulary.size())
    return Error{fmt::format("token {}: id {}, the vocabulary has 0 to {}", tokensRead, token, vocabulary.size() - 1)};
  if (!allows(token))
    return Error{fmt::format("token {}: {} (id {}) cannot come here in a piece", tokensRead, vocabulary.name(token), token)};
  advance(token);
  return {};
}

void Grammar::advance(int32_t token) {
  ++tokensRead;
  TokenMeaning meaning = vocabulary.meaning(token);
  switch (meaning.field) {
  case Field::Conditioning:
  case Field::Pad:
    break;
  case Field::Bos:
    place = Place::Bos;
    break;
  case Field::Eos:
    place = Place::End;
    break;
  case Field::Bar:
    place = Place::Bar;
    lastPosition = 0;
    break;
  case Field::Position:
    place = Place::Position;
    lastPosition = meaning.value;
    break;
  case Field::Track:
    place = Place::Track;
    break;
  case Field::Pitch:
    place = Place::Pitch;
    break;
  case Field::Duration:
    place = Place::Duration;
    break;
  case Field::Velocity:
    place = Place::Velocity;
    break;
  case Field::Tempo:
    place = Place::Tempo;
    break;
  case Field::Section:
    place = Place::Section;
    break;
  }
}

void Grammar::mask(float *logits, bool mayEnd) const {
  constexpr float never = -std::numeric_limits<float>::infinity();
  for (int32_t token = 0; token < vocabulary.size(); ++token)
    if (!allows(token))
      logits[token] = never;
  if (!mayEnd)
    logits[vocabulary.token(Field::Eos)] = never;
}

} // namespace sm1rt
