//===- Models.h - the models that a config.json may stand for ----------------------------------------------------===//
//
// Each is read and written in a file of its own. Descriptions are written as text, not built as operations: they are read by people
// first, and names, comments and type aliases do not survive printing.

#ifndef SM1C_IMPORT_MODELS_H
#define SM1C_IMPORT_MODELS_H

#include "FieldReader.h"
#include "sm1c/Import.h"

namespace sm1 {

/// Sizes and other words of a description by the names that stand for them in its text, without the $.
using TextValues = llvm::ArrayRef<std::pair<llvm::StringRef, std::string>>;

/// `text` with each $NAME, the longest that fits, replaced by its value.
std::string substitute(llvm::StringRef text, TextValues values);

/// The model's fields, with defaults filled in, as its description. After a mistake, which `reader` has, the result means nothing.
ImportedModel importSm1(FieldReader &reader);
/// Mamba-1 as MambaForCausalLM of Hugging Face transformers saves it.
ImportedModel importMamba(FieldReader &reader);

} // namespace sm1

#endif // SM1C_IMPORT_MODELS_H
