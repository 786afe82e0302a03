// What a model needs of a device: memory, copies, a program, launches. The CPU is one; another joins by implementing this.
#ifndef SM1RT_SRC_DEVICE_H
#define SM1RT_SRC_DEVICE_H

#include "sm1rt/Error.h"
#include "sm1rt/Package.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sm1rt {

class Weights;
struct OpenOptions;

/// Memory of a device, freed with its last owner, before the device. `address` is the device's: only a device may look behind it.
class DeviceBuffer {
public:
  virtual ~DeviceBuffer() = default;
  uint8_t *address = nullptr;
  uint64_t bytes = 0;
};

/// `height` pieces of `width` bytes, `toPitch` and `fromPitch` bytes apart.
struct StridedCopy {
  uint8_t *to;
  uint64_t toPitch;
  const uint8_t *from;
  uint64_t fromPitch;
  uint64_t width, height;
};

/// Row tables of a run, in device memory; see Sm1CpuTask.
struct RowTables {
  const int32_t *rowSegment = nullptr, *segmentStart = nullptr, *selected = nullptr;
  const int32_t *chunks = nullptr; ///< [chunkCount][chunkWords], of launches that ask for them; see PackageFormat.h
  int64_t chunkCount = 0;
};

/// One launch of the plan with its pointers resolved.
struct DeviceLaunch {
  const PlanLaunch *plan;
  void *const *args; ///< device addresses, one per arg of the launch; valid until launch() returns
  int64_t rows;      ///< of the launch's row space, at least 1
  RowTables tables;
  int64_t segments; ///< of the pass
  int64_t longest;  ///< rows of its longest segment
  int64_t passRows; ///< of all its segments
};

/// A layer of a state in the blocks of a pass, [segment][bytes] at `block`, and in a sequence's memory, at `offset`. Addresses and
/// sizes are multiples of 64. Devices and their kernels read this: three fields of 8 bytes.
struct StatePart {
  uint64_t block, offset, bytes;
};

/// Moves states between the memory of sequences and the blocks of a pass. Both tables are in device memory.
struct StateMove {
  const StatePart *parts;
  int64_t partCount;
  const uint64_t *sequences; ///< [segments] address of each sequence's memory; 0: left alone
  int64_t segments;
  bool gather; ///< into the blocks; else out of them
};

/// Choosing the next token of every row of logits; kernels/sampling.h describes choices and results. All addresses but that of the
/// choices are the device's.
struct SampleLaunch {
  const float *logits; ///< [rows][stride]
  int64_t stride, count, rows;
  const uint8_t *choices; ///< [rows][choiceRowBytes(count)] of the host, not looked at any more when the choice has been started
  int32_t *tokens;        ///< [rows] takes the tokens as input of the next step; may be null
  uint64_t *sequences;    ///< [rows] table of a StateMove: becomes 0 for a sequence that does not go on; may be null
};

/// Whole tokens of a batch in one launch. All addresses are the device's.
struct TokenRun {
  const uint64_t *sequences; ///< [sequenceCount] address of each sequence's states; 0: left alone
  const int32_t *tokens;     ///< [sequenceCount]
  float *logits;             ///< [sequenceCount][logitsStride] of the last token
  int64_t logitsStride, sequenceCount;
  bool ordered = false; ///< Device::orderTokens says how the next tokens are chosen, and whether the launch goes on with them
};

/// What makes a piece of work the same as an earlier one: rows, segments, selected rows, the most rows of a segment (0: it is a
/// step), and where its states are.
using ReplayKey = std::array<int64_t, 5>;

/// Calls are made from one thread at a time, and take effect in the order of the calls.
class Device {
public:
  virtual ~Device() = default;

  /// e.g. "cpu (x86-64-v4, 2 threads)".
  virtual std::string name() const = 0;
  /// e.g. "cpu".
  virtual std::string shortName() const = 0;

  /// Zeroed, on a multiple of 64 bytes.
  virtual Expected<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) = 0;
  /// Memory of the host as device memory where the two are one; null where they are not. `data` must outlive the buffer.
  virtual std::unique_ptr<DeviceBuffer> borrow(const void *data, uint64_t bytes) = 0;
  /// The host's pointer to a buffer's memory, null when the host cannot reach it.
  virtual uint8_t *hostAddress(const DeviceBuffer &buffer) = 0;
  virtual Expected<void> clear(const DeviceBuffer &buffer) = 0; ///< all zero
  virtual Expected<void> upload(const StridedCopy &copy) = 0;   ///< host to device; done with `from` on return, need not wait
  virtual Expected<void> download(const StridedCopy &copy) = 0; ///< device to host, waits
  virtual Expected<void> copy(const StridedCopy &copy) = 0;     ///< device to device

  virtual Expected<void> move(const StateMove &move) = 0; ///< every part of every sequence

  /// Rows that one pass over the layers handles at most unless the options say otherwise. After load().
  virtual int64_t rowsPerPass() const = 0;

  /// Makes the kernels of a target of the package callable. The target's program outlives the device; `package` need not.
  virtual Expected<void> load(const Package &package, const std::string &target) = 0;
  /// Puts the user's kernels that the options name in place of those of the loaded program.
  virtual Expected<void> replaceKernels(const Package &package, const Weights &weights, const OpenOptions &options);
  /// Makes ready what computes whole tokens in one launch. An error says why the device, the package or the machine cannot.
  virtual Expected<void> prepareTokens(const Package &package, const Weights &weights);
  /// Sequences that such a launch takes at most; 0: there is none. Whether it can be ordered.
  virtual int64_t tokenSequences() const { return 0; }
  virtual bool takesOrders() const { return false; }
  /// Starts it.
  virtual Expected<void> runTokens(const TokenRun &run);
  /// While an ordered launch computes a token of each sequence: how the next ones are chosen, [sequences][choiceRowBytes], and
  /// whether it computes these, too. An order for each token, the last one says that it is the last.
  virtual void orderTokens(const uint8_t *choices, bool goesOn);
  /// Waits for what the last order chose: [sequences] of sm1sampling::Chosen, good until the next order. Null: it came so late that
  /// the launch has ended without it, and left the logits.
  virtual Expected<const uint8_t *> awaitTokens();
  /// Launches that the device times by itself, one after the other without a wait between; 0: who wants to know has to wait for
  /// each. Nothing but launch() may be called between beginTiming(), so many launches at most, and endTiming(): the seconds of
  /// each.
  virtual int64_t timedLaunches() const { return 0; }
  virtual Expected<void> beginTiming() { return {}; }
  virtual Expected<std::vector<double>> endTiming() { return std::vector<double>(); }
  /// Starts a launch; the number of tasks it was cut into.
  virtual Expected<int64_t> launch(const DeviceLaunch &launch) = 0;
  /// Starts the choice of tokens / waits for it and for nothing that was started after it: [rows] of sm1sampling::Chosen, good
  /// until the next one. One at a time.
  virtual Expected<void> sample(const SampleLaunch &launch) = 0;
  virtual Expected<const uint8_t *> awaitSample() = 0;
  /// Whether work that was started goes on while the host does something else.
  virtual bool runsAhead() const = 0;

  /// Waits for everything that was started.
  virtual Expected<void> synchronize() = 0;

  /// Does `work`, which only launches, moves and copies on the device. A device that can record does it once for a key and repeats
  /// what it recorded from then on: equal keys must mean the same launches with the same addresses. Without `records` only what has
  /// been recorded before is repeated.
  virtual Expected<void> replay(const ReplayKey &key, const std::function<Expected<void>()> &work, bool records = true) {
    (void)key, (void)records;
    return work();
  }
  /// Both, one behind the other; recorded together where that can be.
  virtual Expected<void> sampleAndReplay(const SampleLaunch &launch, const ReplayKey &key,
                                         const std::function<Expected<void>()> &work) {
    if (auto started = sample(launch); !started)
      return started;
    return replay(key, work);
  }
  /// Memory that recorded work uses is about to move.
  virtual void forgetRecordings() {}
};

/// The device that the options ask for, and the target it takes from the package. `auto` is CUDA where a driver, a device and a
/// fitting target are there, else the CPU.
struct OpenedDevice {
  std::unique_ptr<Device> device;
  std::string target;
};

Expected<OpenedDevice> openDevice(const Package &package, const OpenOptions &options);

} // namespace sm1rt

#endif // SM1RT_SRC_DEVICE_H
