// Length and form of a piece as asked for on the command line.
#ifndef SM1_TOOLS_FORM_H
#define SM1_TOOLS_FORM_H

#include "sm1rt/music/Continuation.h"

#include <string>

namespace CLI {
class App;
}

struct FormOptions {
  int64_t bars = 0;     ///< 0: as the model likes
  std::string sections; ///< NAME[:BARS],...; empty: as the model likes
};

/// Adds --bars and --sections.
void addFormOptions(CLI::App &app, FormOptions &options);

/// Puts bars and sections into `continuation`. Sections with bars of their own make up the length; sections without share that of
/// --bars, the first of them a bar more where it does not divide.
sm1rt::Expected<void> setForm(const FormOptions &options, sm1rt::ContinuationOptions &continuation);

#endif // SM1_TOOLS_FORM_H
