//===- TextDiff.h - the difference of two texts, line by line ----------------------------------------------------===//

#ifndef SM1C_LIB_DRIVER_TEXTDIFF_H
#define SM1C_LIB_DRIVER_TEXTDIFF_H

#include <string>
#include <vector>

namespace sm1 {

/// The difference as `diff -u` prints it, without dates; empty where there is none. Shortest for texts of some thousand lines;
/// longer ones that have little in common are taken as all different from the first line that differs to the last.
std::vector<std::string> unifiedDiff(const std::string &before, const std::string &after, const std::string &beforeName,
                                     const std::string &afterName);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_TEXTDIFF_H
