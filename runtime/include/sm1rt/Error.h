// Errors as values: every call that can go wrong returns Expected<T>; no exception leaves the runtime.
#ifndef SM1RT_ERROR_H
#define SM1RT_ERROR_H

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sm1rt {

/// One sentence for a person: where, what, both values, the way out; lower case, no full stop.
struct Error {
  std::string message;

  /// The same error seen from one layer further up: "where: message".
  Error in(std::string_view where) const { return {std::string(where) + ": " + message}; }
};

/// A T or an Error. Test with `if (!value)`, then read `*value` or `value.error()`.
template <typename T> class [[nodiscard]] Expected {
public:
  Expected(T value) : content(std::move(value)) {}
  Expected(Error error) : content(std::move(error)) {}

  explicit operator bool() const { return std::holds_alternative<T>(content); }
  T &operator*() { return std::get<T>(content); }
  const T &operator*() const { return std::get<T>(content); }
  T *operator->() { return &std::get<T>(content); }
  const T *operator->() const { return &std::get<T>(content); }
  const Error &error() const { return std::get<Error>(content); }

private:
  std::variant<T, Error> content;
};

/// Expected<void>: success, or an Error.
template <> class [[nodiscard]] Expected<void> {
public:
  Expected() = default;
  Expected(Error error) : failure(std::move(error)), failed(true) {}

  explicit operator bool() const { return !failed; }
  const Error &error() const {
    assert(failed);
    return failure;
  }

private:
  Error failure;
  bool failed = false;
};

} // namespace sm1rt

#endif // SM1RT_ERROR_H
