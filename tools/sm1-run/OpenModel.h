// From the MODEL of a command line to an open model.
#ifndef SM1_TOOLS_OPENMODEL_H
#define SM1_TOOLS_OPENMODEL_H

#include "Options.h"

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

/// Opens a package, or compiles a checkpoint directory (cached) and opens that. Says on standard error when it compiles. A form,
/// storage or compute type that the package was not compiled with is an error.
sm1rt::Expected<sm1rt::Model> openModel(const CommonOptions &options);

/// Where the tokens go in and the logits come out of a whole model.
struct TokenModel {
  int64_t vocabulary;  ///< ids are 0 to this, exclusive
  int64_t logitsWidth; ///< logits of one row
  size_t logitsOutput; ///< index in sm1rt::Outputs
};

/// Refuses packages that are not tokens in, one row of logits out, such as that of a single layer.
sm1rt::Expected<TokenModel> tokenModelOf(const sm1rt::Plan &plan, const std::string &name);

/// Whether a file can be made at `path`, asked before long work rather than after it. Leaves nothing behind. Files and checkpoint
/// directories that are `read` would be lost, so their files are refused.
sm1rt::Expected<void> checkWritable(const std::string &path, const std::vector<std::string> &read = {});

#endif // SM1_TOOLS_OPENMODEL_H
