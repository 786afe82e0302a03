// Token lists in JSON: [[1, 3, 158, …], …].
#ifndef SM1RT_MUSIC_TOKENFILE_H
#define SM1RT_MUSIC_TOKENFILE_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sm1rt {

using TokenLists = std::vector<std::vector<int32_t>>;

struct TokenFileLimits {
  int64_t vocabulary; ///< ids are 0 to this, exclusive
  size_t lists = 1'000'000;
  size_t tokens = 500'000'000; ///< of all lists together
};

/// Reads a list of token lists, or a single token list as one list. Every list has at least one token. An error names the list and
/// the place in it, both counted from 0, or the byte where the JSON breaks.
Expected<TokenLists> readTokenFile(const std::string &path, const TokenFileLimits &limits);

/// The same from text; `name` stands for the path in errors.
Expected<TokenLists> parseTokenLists(const std::string &text, const std::string &name, const TokenFileLimits &limits);

/// Writes a list of token lists, one list a line, whole or not at all.
Expected<void> writeTokenFile(const std::string &path, const TokenLists &lists);

/// Where the tokens of a token file come from. Kept beside it (tokens.json: tokens.info.json), so that the lists stay plain lists.
struct TokenInfo {
  std::string tokenizer;            ///< "v0" or "v1"
  int64_t vocabulary = 0;           ///< size of the vocabulary, conditioning ids included
  std::vector<std::string> sources; ///< the file that each list was made of
};

std::string tokenInfoPath(const std::string &tokenFile);
Expected<void> writeTokenInfo(const std::string &tokenFile, const TokenInfo &info);
/// Nothing where a token file has no information beside it; an error where it is not of this form.
Expected<std::optional<TokenInfo>> readTokenInfo(const std::string &tokenFile);

} // namespace sm1rt

#endif // SM1RT_MUSIC_TOKENFILE_H
