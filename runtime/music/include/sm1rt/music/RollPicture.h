// A piano roll as an SVG picture.
#ifndef SM1RT_MUSIC_ROLLPICTURE_H
#define SM1RT_MUSIC_ROLLPICTURE_H

#include "sm1rt/Error.h"
#include "sm1rt/music/PianoRoll.h"

#include <string>

namespace sm1rt {

struct PictureOptions {
  std::string title;
  int64_t firstBar = 1;   ///< from 1
  int64_t bars = 0;       ///< 0: all from there on
  int64_t barsPerRow = 0; ///< 0: as many as there are, at most 16
};

/// Most bars of one picture.
constexpr int64_t maxPictureBars = 2048;

/// Time runs to the right in rows of bars, as in a score; pitch runs upwards, a line and a name for every C. A colour for each
/// voice, named in a legend; louder notes are denser. The picture has a fixed width and is as high as its rows. Errors: bars that
/// the roll has not, more than maxPictureBars.
Expected<std::string> drawRoll(const PianoRoll &roll, const PictureOptions &options);

} // namespace sm1rt

#endif // SM1RT_MUSIC_ROLLPICTURE_H
