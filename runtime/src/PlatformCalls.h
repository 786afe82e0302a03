// What the files behind Platform.h share: how a call's failure is said, and descriptors that are closed.
#ifndef SM1RT_SRC_PLATFORMCALLS_H
#define SM1RT_SRC_PLATFORMCALLS_H

#include "sm1rt/Error.h"

#include <string>

#include <unistd.h>

namespace sm1rt {

/// "path: no such file or directory", of an errno.
Error systemError(const std::string &where, int code);

/// Closes a descriptor at the end of a scope.
struct Descriptor {
  int handle;
  ~Descriptor() {
    if (handle >= 0)
      ::close(handle);
  }
};

} // namespace sm1rt

#endif // SM1RT_SRC_PLATFORMCALLS_H
