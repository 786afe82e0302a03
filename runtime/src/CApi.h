// What is behind the handles of the C API, and how calls end there: errors as text, nothing thrown across.
#ifndef SM1RT_SRC_CAPI_H
#define SM1RT_SRC_CAPI_H

#include "sm1rt/Call.h"
#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"
#include "sm1rt/sm1rt.h"

#include <cstddef>
#include <exception>
#include <initializer_list>
#include <new>
#include <string>
#include <vector>

struct sm1rt_model {
  sm1rt::Model model;
  std::string deviceName, fingerprint;
  std::vector<const sm1rt::PlanPort *> inputs, outputs; // those with rows
  std::vector<std::vector<int64_t>> stateShapes;        // per state of the plan
};

struct sm1rt_sequence {
  sm1rt::Sequence sequence;
  sm1rt::Conversation loaded; // what load gave its caller
};

struct sm1rt_result {
  std::vector<sm1rt::OutputTensor> tensors;
};

namespace sm1rt::capi {

/// The calling thread's.
std::string &lastError();

inline std::nullptr_t fail(std::string message) {
  lastError() = std::move(message);
  return nullptr;
}

inline int refuse(std::string message) {
  fail(std::move(message));
  return -1;
}

template <typename T> int report(const Expected<T> &done) { return done ? 0 : refuse(done.error().message); }

/// An argument that a call cannot do without, under its name in sm1rt.h.
struct Argument {
  const void *pointer;
  const char *name;
};

/// Runs `body`, which returns a T; its exceptions and null arguments become `failure` with a text.
template <typename T, typename Body> T guardedCall(T failure, std::initializer_list<Argument> needed, Body body) {
  try {
    for (const Argument &argument : needed)
      if (!argument.pointer) {
        lastError() = std::string(argument.name) + ": null, the call needs one";
        return failure;
      }
    return body();
  } catch (const std::bad_alloc &) {
    lastError() = "memory: the machine has no more to give";
  } catch (const std::exception &error) {
    lastError() = error.what();
  }
  return failure;
}

} // namespace sm1rt::capi

#endif // SM1RT_SRC_CAPI_H
