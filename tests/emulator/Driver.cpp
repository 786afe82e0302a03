// Settings, errors that were asked for, queues of streams.
#include "Driver.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace emulator {

namespace {

const Chip kChips[] = {{80, 108, 163 << 10, 164 << 10, 2048, 40u << 20},   {86, 36, 99 << 10, 100 << 10, 1536, 4u << 20},
                       {89, 76, 99 << 10, 100 << 10, 1536, 48u << 20},     {90, 132, 227 << 10, 228 << 10, 2048, 50u << 20},
                       {100, 148, 227 << 10, 228 << 10, 2048, 126u << 20}, {120, 36, 99 << 10, 100 << 10, 1536, 48u << 20}};

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

/// A setting that nobody understands must not look like a run without it.
[[noreturn]] void refuse(const char *name, const std::string &value) {
  std::fprintf(stderr, "sm1 emulator: %s=%s is not understood; see tests/emulator/README.md\n", name, value.c_str());
  std::abort();
}

uint64_t number(const char *name, uint64_t otherwise) {
  std::string text = environment(name);
  if (text.empty())
    return otherwise;
  char *end;
  uint64_t value = std::strtoull(text.c_str(), &end, 10);
  if (*end)
    refuse(name, text);
  return value;
}

void readSchedule(Schedule &schedule) {
  std::string text = environment("SM1_EMULATOR_SCHEDULE");
  if (text.empty() || text == "warps")
    schedule.order = Order::Warps;
  else if (text == "warps-reversed")
    schedule.order = Order::WarpsReversed;
  else if (text == "threads")
    schedule.order = Order::Threads;
  else if (text.rfind("shuffled", 0) == 0) {
    schedule.order = Order::Shuffled;
    schedule.seed = text.size() > 9 ? static_cast<unsigned>(std::strtoul(text.c_str() + 9, nullptr, 10)) : 0;
  } else
    refuse("SM1_EMULATOR_SCHEDULE", text);
  schedule.hostThreads = static_cast<unsigned>(number("SM1_EMULATOR_THREADS", 1));
  schedule.residents = static_cast<unsigned>(number("SM1_EMULATOR_RESIDENTS", 1));
  schedule.racecheck = number("SM1_EMULATOR_RACECHECK", 1) != 0;
  schedule.stepLimit = number("SM1_EMULATOR_STEPS", 1000000000);
  schedule.pollLimit = number("SM1_EMULATOR_POLLS", 20000);
}

void readFailure(Settings &settings) {
  std::string text = environment("SM1_EMULATOR_FAIL");
  size_t colon = text.find(':');
  settings.failFunction = text.substr(0, colon);
  settings.failCall = 1;
  settings.failError = 0;
  if (colon == std::string::npos)
    return;
  char *end;
  settings.failCall = static_cast<unsigned>(std::strtoul(text.c_str() + colon + 1, &end, 10));
  if (*end == ':')
    settings.failError = static_cast<int>(std::strtol(end + 1, &end, 10));
  if (*end || !settings.failCall)
    refuse("SM1_EMULATOR_FAIL", text);
}

bool sameFunction(const std::string &wanted, const std::string &name) {
  return wanted == name || (name.size() == wanted.size() + 3 && name.compare(0, wanted.size(), wanted) == 0 &&
                            name.compare(wanted.size(), 3, "_v2") == 0);
}

} // namespace

Driver &Driver::get() {
  static Driver driver;
  return driver;
}

void Driver::readSettings() {
  std::string text = environment("SM1_EMULATOR_CAPABILITY");
  settings.capability = 90;
  if (!text.empty())
    settings.capability = static_cast<unsigned>(std::strtod(text.c_str(), nullptr) * 10 + 0.5);
  bool known = false;
  for (const Chip &entry : kChips)
    known |= entry.capability == settings.capability;
  if (!known)
    refuse("SM1_EMULATOR_CAPABILITY", text);
  settings.multiprocessors = static_cast<unsigned>(number("SM1_EMULATOR_SMS", 0));
  if (settings.multiprocessors > 1024)
    refuse("SM1_EMULATOR_SMS", environment("SM1_EMULATOR_SMS"));
  settings.memory = number("SM1_EMULATOR_MEMORY", 16ull << 30);
  settings.clock = static_cast<unsigned>(number("SM1_EMULATOR_CLOCK", 0));
  settings.initcheck = number("SM1_EMULATOR_INITCHECK", 0) != 0;
  settings.lazy = number("SM1_EMULATOR_LAZY", 0) != 0;
  settings.plant = environment("SM1_EMULATOR_PLANT");
  settings.countFile = environment("SM1_EMULATOR_COUNT");
  readFailure(settings);
  readSchedule(settings.schedule);
  callCounts.clear();
}

Chip Driver::chip() const {
  Chip chip = kChips[3];
  for (const Chip &entry : kChips)
    if (entry.capability == settings.capability)
      chip = entry;
  if (settings.multiprocessors)
    chip.multiprocessors = settings.multiprocessors;
  return chip;
}

int Driver::enter(const char *function, bool needsContext) {
  if (!settings.failFunction.empty() && sameFunction(settings.failFunction, function) &&
      ++callCounts[function] == settings.failCall) {
    bool allocates = std::strstr(function, "Alloc");
    return settings.failError ? settings.failError : allocates ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
  }
  if (!initialized)
    return CUDA_ERROR_NOT_INITIALIZED;
  if (needsContext && !contextUsers)
    return CUDA_ERROR_INVALID_CONTEXT;
  return needsContext ? sticky : 0;
}

void Driver::makeContext() {
  readSettings();
  sticky = 0;
  memory = std::make_unique<DeviceMemory>(settings.memory, settings.initcheck);
}

void Driver::dropContext() {
  for (EmulatedStream *stream : streams)
    delete stream;
  for (EmulatedEvent *event : events)
    delete event;
  for (EmulatedModule *module : modules)
    delete module;
  for (EmulatedGraph *graph : graphs)
    delete graph;
  for (EmulatedGraphExec *graph : graphExecs)
    delete graph;
  for (auto &range : pinned)
    std::free(range.first);
  streams.clear();
  events.clear();
  modules.clear();
  graphs.clear();
  graphExecs.clear();
  pinned.clear();
  legacy = EmulatedStream();
  captures = 0;
  sticky = 0;
  memory.reset();
}

int Driver::submit(EmulatedStream *stream, Work work) {
  if (!isStream(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  EmulatedStream *target = streamOf(stream);
  if (target->captureInvalid)
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (target->capture) {
    target->capture->work.push_back(std::move(work));
    return 0;
  }
  if (!stream && captures)
    return refuseWhileCapturing() ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT : 0;
  // The legacy stream waits for all others, and they for it.
  if (int error = stream ? flush(nullptr) : flushAll())
    return error;
  target->queue.push_back(std::move(work));
  return 0;
}

int Driver::flush(EmulatedStream *stream) {
  std::vector<Work> queue;
  queue.swap(streamOf(stream)->queue);
  for (Work &work : queue) {
    if (sticky)
      return sticky;
    if (int error = work())
      sticky = error;
  }
  return sticky;
}

int Driver::flushAll() {
  flush(nullptr);
  for (EmulatedStream *stream : streams)
    flush(stream);
  return sticky;
}

void Driver::flushBeside(EmulatedStream *stream) {
  if (isBesideBusy)
    return;
  if (beside.joinable())
    beside.join(); // it needs the lock no more
  isBesideBusy = true;
  beside = std::thread([this, stream] {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (isStream(stream))
      flush(stream);
    isBesideBusy = false;
  });
}

Driver::~Driver() {
  if (beside.joinable())
    beside.join();
}

int Driver::refuseWhileCapturing() {
  if (!captures)
    return 0;
  for (EmulatedStream *stream : streams)
    stream->captureInvalid |= stream->capture != nullptr;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

} // namespace emulator
