// The state behind the driver functions: one device, one primary context, its streams, modules and graphs.
#ifndef EMULATOR_DRIVER_H
#define EMULATOR_DRIVER_H

#include "Cuda.h"
#include "Machine.h"

#include <functional>
#include <set>
#include <thread>

namespace emulator {

/// What the environment asks for; read by cuInit and when the primary context is made.
struct Settings {
  unsigned capability = 90;
  unsigned multiprocessors = 0; // 0: as many as the chip has
  uint64_t memory = 16ull << 30;
  unsigned clock = 0; // kHz
  bool initcheck = false, lazy = false;
  std::string plant, countFile;
  std::string failFunction;
  unsigned failCall = 1; // the n-th call fails
  int failError = 0;     // 0: what fits the function
  Schedule schedule;
};

/// Facts of the chip the emulator pretends to be.
struct Chip {
  unsigned capability, multiprocessors, sharedPerBlock, sharedPerMultiprocessor, threadsPerMultiprocessor, l2Bytes;
};

/// A queued piece of work: 0 or the error it ended with.
using Work = std::function<int()>;

} // namespace emulator

struct EmulatedFunction {
  EmulatedModule *module = nullptr;
  emulator::Function *syntax = nullptr;
  std::unique_ptr<emulator::Program> program; // empty until it is needed; then there is no static shared memory
  unsigned maxDynamicShared = 48 << 10;
};

struct EmulatedModule {
  emulator::Syntax syntax;
  std::map<std::string, EmulatedFunction> functions;
  emulator::Symbols symbols;
  unsigned ptxVersion = 0, target = 0;
};

struct EmulatedGraph {
  std::vector<emulator::Work> work;
};
struct EmulatedGraphExec {
  std::vector<emulator::Work> work;
};

struct EmulatedStream {
  std::vector<emulator::Work> queue;
  EmulatedGraph *capture = nullptr;
  bool captureInvalid = false;
};

struct EmulatedEvent {
  bool recorded = false;
  EmulatedStream *stream = nullptr;
  double time = 0; // seconds
};

struct EmulatedContext {};

namespace emulator {

class Driver {
public:
  /// The driver of this process; it has no context before cuDevicePrimaryCtxRetain.
  static Driver &get();

  void readSettings();
  /// Error of a call that was asked to fail, of the context, or 0. `needsContext`: a context must exist and be healthy.
  int enter(const char *function, bool needsContext);

  /// Queues or captures work on a stream; `nullptr` is the legacy stream.
  int submit(EmulatedStream *stream, Work work);
  /// Runs what is queued.
  int flush(EmulatedStream *stream);
  int flushAll();
  /// Starts running it in another thread, which holds the lock meanwhile: every call but cuStreamQuery waits.
  void flushBeside(EmulatedStream *stream);
  /// Calls that a capture in progress forbids.
  int refuseWhileCapturing();

  void makeContext();
  void dropContext();
  Chip chip() const;
  EmulatedStream *streamOf(EmulatedStream *stream) { return stream ? stream : &legacy; }
  bool isStream(EmulatedStream *stream) const { return !stream || streams.count(stream); }

  std::recursive_mutex mutex;
  bool initialized = false;
  Settings settings;
  unsigned contextUsers = 0;
  int sticky = 0; // the error that a finding left behind
  EmulatedContext context;
  std::unique_ptr<DeviceMemory> memory;
  EmulatedStream legacy;
  std::set<EmulatedStream *> streams;
  std::set<EmulatedEvent *> events;
  std::set<EmulatedModule *> modules;
  std::set<EmulatedGraph *> graphs;
  std::set<EmulatedGraphExec *> graphExecs;
  std::map<uint8_t *, size_t> pinned; // host memory of cuMemAllocHost
  unsigned captures = 0;

  ~Driver();

private:
  std::map<std::string, unsigned> callCounts;
  std::thread beside;
  bool isBesideBusy = false; // it runs, or is about to
};

} // namespace emulator

#define EMULATED extern "C" __attribute__((visibility("default"))) CUresult

/// The first line of every driver function: a lock for its length, and early returns.
#define ENTER(function, needsContext)                                                                                              \
  emulator::Driver &driver = emulator::Driver::get();                                                                              \
  std::lock_guard<std::recursive_mutex> lock(driver.mutex);                                                                        \
  if (int error = driver.enter(#function, needsContext))                                                                           \
  return error

#endif // EMULATOR_DRIVER_H
