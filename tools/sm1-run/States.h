// Saved states on the command line: --state-in and --state-out.
#ifndef SM1_TOOLS_STATES_H
#define SM1_TOOLS_STATES_H

#include "Voices.h"

#include <string>
#include <vector>

struct StateOptions {
  std::vector<std::string> in; ///< files to go on from; empty: from the start
  std::string out;             ///< empty: nothing is saved
};

/// Adds --state-in and --state-out.
void addStateOptions(CLI::App &app, StateOptions &options);

/// Voices that go on from saved conversations, one for each file; with one file and a `batch` above 1 as many as that, of which the
/// first goes on as the saved one would have. Seeds are those of the files unless `ownSeed`: then that of `options`. Refuses a
/// state of another model, one without its tokens, and what Continuation::start refuses.
sm1rt::Expected<std::vector<Voice>> resumeVoices(sm1rt::Model &model, const sm1rt::Vocabulary &vocabulary,
                                                 const sm1rt::ContinuationOptions &options, const StateOptions &states,
                                                 int64_t batch, bool ownSeed);

/// Writes the conversation of every voice; several as NAME-0, NAME-1, ... Says what it wrote.
sm1rt::Expected<void> saveVoices(const std::vector<Voice> &voices, const std::string &out);

#endif // SM1_TOOLS_STATES_H
