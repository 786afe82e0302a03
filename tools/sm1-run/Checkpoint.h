// Checkpoint directories: compiled by sm1c as a child process, the package kept in the user's cache.
#ifndef SM1_TOOLS_CHECKPOINT_H
#define SM1_TOOLS_CHECKPOINT_H

#include "Options.h"

/// Path of an external package for the checkpoint directory `options.model`, compiled now unless the cache has a sound one for the
/// same configuration, tensor list, options and compiler. A compiler that crashes is an error like any other.
sm1rt::Expected<std::string> compiledPackage(const CommonOptions &options);

#endif // SM1_TOOLS_CHECKPOINT_H
