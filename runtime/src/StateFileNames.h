// Names in the header of a saved state, for its writer and its reader.
#ifndef SM1RT_SRC_STATEFILENAMES_H
#define SM1RT_SRC_STATEFILENAMES_H

#include <string_view>

namespace sm1rt::stateFile {

constexpr const char *format = "1";
constexpr const char *formatKey = "sm1.state", *modelKey = "sm1.model", *fingerprintKey = "sm1.fingerprint";
constexpr const char *positionKey = "sm1.position", *seedKey = "sm1.seed", *sequenceKey = "sm1.sequence";
constexpr const char *tokensTensor = "tokens";
constexpr std::string_view statePrefix = "state.";

} // namespace sm1rt::stateFile

#endif // SM1RT_SRC_STATEFILENAMES_H
