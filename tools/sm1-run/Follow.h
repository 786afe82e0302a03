// Pieces as text while they are made, a line for every bar.
#ifndef SM1_TOOLS_FOLLOW_H
#define SM1_TOOLS_FOLLOW_H

#include "Voices.h"

/// Prints each bar with new tokens on standard output once it is whole. Bars are counted from the start of the prompt.
class Follower {
public:
  Follower(const sm1rt::Vocabulary &vocabulary, const std::vector<Voice> &voices);

  /// Prints the bars that became whole since the last call.
  void update(const std::vector<Voice> &voices);

private:
  struct Place {
    size_t read = 0;     ///< tokens looked at
    size_t barBegin = 0; ///< its BAR; nothing before the first
    int64_t bar = 0;     ///< its number, from 1; 0: none yet
  };

  void finishBar(const Voice &voice, size_t index, size_t end) const;

  sm1rt::Vocabulary vocabulary;
  std::vector<Place> places;
};

#endif // SM1_TOOLS_FOLLOW_H
