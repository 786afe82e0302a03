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
  int64_t room = 0; ///< rows that buffers of its row space have memory for; none beyond `rows` where it is less
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
  const uint8_t *choices; ///< [rows][choiceRowBytes(count)] in host memory, needed only until sample() returns
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
  /// Prepares the launch that computes whole tokens. The error says why the device, the package or the machine has none.
  virtual Expected<void> prepareTokens(const Package &package, const Weights &weights);
  /// The most sequences of such a launch, 0 where there is none; and whether it takes orders, see orderTokens().
  virtual int64_t tokenSequences() const { return 0; }
  virtual bool takesOrders() const { return false; }
  /// Starts the launch.
  virtual Expected<void> runTokens(const TokenRun &run);
  /// To be called once for each token that an ordered launch computes: `choices`, [sequences][choiceRowBytes], say how the tokens
  /// that follow are chosen. The launch computes those, too, if it `goesOn`; else this was its last order.
  virtual void orderTokens(const uint8_t *choices, bool goesOn);
  /// Waits for what the last order chose: [sequences] of sm1sampling::Chosen, valid until the next order. Null if the order came so
  /// late that the launch had ended; the logits are there then.
  virtual Expected<const uint8_t *> awaitTokens();
  /// The most launches that the device itself can time in a row; 0 if the host has to wait for each to time it. Between
  /// beginTiming() and endTiming(), which returns the seconds of each launch, only launch() may be called, and so many times at
  /// most.
  virtual int64_t timedLaunches() const { return 0; }
  virtual Expected<void> beginTiming() { return {}; }
  virtual Expected<std::vector<double>> endTiming() { return std::vector<double>(); }
  /// Starts a launch; returns the number of tasks it was cut into.
  virtual Expected<int64_t> launch(const DeviceLaunch &launch) = 0;
  /// sample() starts a choice of tokens, one at a time; awaitSample() waits for it, not for what was started later, and returns
  /// [rows] of sm1sampling::Chosen, valid until the next choice.
  virtual Expected<void> sample(const SampleLaunch &launch) = 0;
  virtual Expected<const uint8_t *> awaitSample() = 0;
  /// Whether work that was started goes on while the host does something else.
  virtual bool runsAhead() const = 0;

  /// Waits for everything that was started.
  virtual Expected<void> synchronize() = 0;

  /// Does `work`, which may only launch, move and copy on the device. A device that can record does so at the first call with a key
  /// and repeats the recording from then on, so equal keys must mean the same launches with the same addresses. With `records`
  /// false nothing new is recorded.
  virtual Expected<void> replay(const ReplayKey &key, const std::function<Expected<void>()> &work, bool records = true) {
    (void)key, (void)records;
    return work();
  }
  /// sample(), then replay(); recorded together where the device can.
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
