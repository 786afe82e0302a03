// Watches token lists grow.
#include "Follow.h"

#include "sm1rt/music/BarText.h"

#include <fmt/format.h>

#include <cstdio>

using namespace sm1rt;

Follower::Follower(const Vocabulary &vocabulary, const std::vector<Voice> &voices) : vocabulary(vocabulary), places(voices.size()) {
  update(voices);
}

void Follower::update(const std::vector<Voice> &voices) {
  for (size_t index = 0; index < voices.size(); ++index) {
    const Continuation &piece = voices[index].continuation;
    const std::vector<int32_t> &tokens = piece.tokens();
    Place &place = places[index];
    if (place.read == tokens.size())
      continue;
    for (; place.read < tokens.size(); ++place.read) {
      if (tokens[place.read] != vocabulary.token(Field::Bar))
        continue;
      finishBar(voices[index], index, place.read);
      place.barBegin = place.read;
      ++place.bar;
    }
    if (piece.done())
      finishBar(voices[index], index, tokens.size());
  }
  std::fflush(stdout); // also where standard output is no terminal: whoever reads wants it now
}

void Follower::finishBar(const Voice &voice, size_t index, size_t end) const {
  const std::vector<int32_t> &tokens = voice.continuation.tokens();
  size_t promptSize = tokens.size() - size_t(voice.continuation.newTokens());
  const Place &place = places[index];
  if (place.bar == 0 || end <= promptSize)
    return;
  std::vector<int32_t> bar(tokens.begin() + ptrdiff_t(place.barBegin), tokens.begin() + ptrdiff_t(end));
  std::string piece = places.size() == 1 ? "" : fmt::format("piece {:<3} ", index);
  fmt::print("{}bar {:<4} {}\n", piece, place.bar, describeBar(bar, vocabulary));
}
