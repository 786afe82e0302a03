// The border between library code that may throw (allocation, thread creation) and an API that returns errors.
#ifndef SM1RT_SRC_GUARD_H
#define SM1RT_SRC_GUARD_H

#include "sm1rt/Error.h"

#include <new>
#include <stdexcept>
#include <system_error>

namespace sm1rt {

/// Calls `body`, which returns an Expected; what it throws comes back as that type's error.
template <typename Body> auto guarded(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return Error{"memory: the machine has no more to give"};
  } catch (const std::length_error &) {
    return Error{"memory: an array would be larger than any machine holds"};
  } catch (const std::system_error &error) {
    return Error{std::string("system: ") + error.what()};
  }
}

} // namespace sm1rt

#endif // SM1RT_SRC_GUARD_H
