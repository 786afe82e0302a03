// Pieces in the making, side by side in one batch, and the options of how they are made.
#ifndef SM1_TOOLS_VOICES_H
#define SM1_TOOLS_VOICES_H

#include "OpenModel.h"

#include "sm1rt/music/Continuation.h"

#include <functional>
#include <vector>

/// One piece with the model's memory of it.
struct Voice {
  sm1rt::Sequence sequence;
  sm1rt::Continuation continuation;
};

/// What a call made, for the summary.
struct Made {
  int64_t tokens = 0;
  double seconds = 0;
};

/// The vocabulary of a whole model of music, which the command line calls `name`; an error for any other model.
sm1rt::Expected<sm1rt::Vocabulary> vocabularyOf(const sm1rt::Model &model, const std::string &name);

/// Adds the options of how tokens are chosen and where a piece is cut.
void addContinuationOptions(CLI::App &app, sm1rt::ContinuationOptions &options);

/// Appends tokens to every voice until all are done; voices that are done no longer cost time. `afterStep` is called whenever each
/// of the others has got a token.
sm1rt::Expected<Made> continueAll(sm1rt::Model &model, std::vector<Voice> &voices, const std::function<void()> &afterStep);

#endif // SM1_TOOLS_VOICES_H
