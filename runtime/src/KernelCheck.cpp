// One trial: host copies of every array that a launch touches, sent to the device once for each of the two kernels.
#include "KernelCheck.h"

#include "StateLayout.h"
#include "Workspace.h"
#include "sm1rt/PackageFormat.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

namespace sm1rt {

namespace {
/// An array that a launch reads or writes, but for weights.
struct TrialArray {
  std::string name; ///< "argument 3", for errors
  DType dtype = DType::F32;
  int64_t rows = 0, stride = 0, width = 0; ///< elements; channels from width on are padding
  int32_t limit = 0;                       ///< I32: values are below
  std::vector<uint8_t> given, expected, got;
  std::unique_ptr<DeviceBuffer> memory, otherMemory; ///< of the two devices, where they are two

  uint64_t bytes() const { return uint64_t(rows * stride) * dtypeBytes(dtype); }
};

class Trial {
public:
  Trial(const KernelCheck &check, const PlanLaunch &launch, const PlanLaunch &other, std::vector<int64_t> lengths, int64_t layer)
      : check(check), launch(launch), other(other), lengths(std::move(lengths)), layer(layer), layout(check.expected.package.plan),
        random(1) {}
  Expected<void> run();

private:
  void makeTables();
  void addArray(size_t position);
  void addTable(const char *name, const std::vector<int32_t> &values);
  int64_t widthOf(int64_t stride) const;
  void fill(TrialArray &array);
  Expected<void> allocate();
  Expected<void> launchOnce(bool second);
  Expected<void> compare(const TrialArray &array) const;
  Expected<void> compareRow(const TrialArray &array, int64_t row) const;
  std::string shape() const;

  const KernelCheck &check;
  const PlanLaunch &launch, &other; ///< of the trusted kernel and of the other
  std::vector<int64_t> lengths;     ///< rows of each segment
  int64_t layer;
  StateLayout layout;
  std::mt19937 random;
  std::vector<int32_t> rowSegment, segmentStart = {0}, selected, chunks;
  std::vector<TrialArray> arrays;
  std::map<std::pair<int, size_t>, size_t> places; ///< kind and index of an argument -> array
};
} // namespace

/// Bytes behind an array that no kernel may touch.
static constexpr uint64_t guardBytes = 256;

//===-- Arrays --------------------------------------------------------------------------------------------------------------===//

void Trial::makeTables() {
  for (size_t segment = 0; segment < lengths.size(); ++segment) {
    rowSegment.insert(rowSegment.end(), size_t(lengths[segment]), int32_t(segment));
    segmentStart.push_back(int32_t(rowSegment.size()));
  }
  for (int32_t row = 0; row < int32_t(rowSegment.size()); row += 3)
    selected.push_back(row);
  listChunks(segmentStart, launch.chunks ? launch.chunks : leastChunkRows, chunks);
}

static int64_t padded(int64_t channels) { return (channels + SM1_PANEL - 1) / SM1_PANEL * SM1_PANEL; }

/// Channels of a row of `stride` elements, as states and parameters of the launch tell them; where none does, all count.
int64_t Trial::widthOf(int64_t stride) const {
  const Plan &plan = check.expected.package.plan;
  int64_t width = 0;
  for (auto [kind, index, next, last] : launch.args) {
    if (kind == PlanArg::Kind::Buffer)
      continue;
    const auto &shape = kind == PlanArg::Kind::Weight ? plan.params[plan.weights[index].param].shape : plan.states[index].shape;
    for (int64_t size : shape)
      if (padded(size) == stride)
        width = std::max(width, size);
  }
  return width ? width : stride;
}

void Trial::fill(TrialArray &array) {
  array.given.resize(array.bytes() + guardBytes);
  uint64_t elements = array.given.size() / dtypeBytes(array.dtype);
  if (array.dtype == DType::I32) {
    std::vector<int32_t> values(elements);
    for (int32_t &value : values)
      value = int32_t(random() % uint32_t(std::max(array.limit, 1)));
    std::memcpy(array.given.data(), values.data(), array.given.size());
    return;
  }
  std::vector<float> values(elements);
  for (float &value : values) // below 1, so that a recurrence stays finite
    value = float(int32_t(random())) / 2147483648.0f;
  convertElements(DType::F32, values.data(), array.dtype, array.given.data(), elements);
}

void Trial::addArray(size_t position) {
  auto [kind, index, next, last] = launch.args[position];
  if (kind == PlanArg::Kind::Weight || !places.emplace(std::pair(int(kind), index), arrays.size()).second)
    return;
  TrialArray array;
  array.name = fmt::format("argument {}", position);
  if (kind == PlanArg::Kind::Buffer) {
    const PlanBuffer &buffer = check.expected.program.buffers[index];
    array.dtype = buffer.dtype;
    array.rows = int64_t(buffer.rows == RowSpace::All ? rowSegment.size() : selected.size());
    array.stride = buffer.stride;
    array.width = array.stride == 1 ? 1 : widthOf(array.stride);
    for (const PlanPort &input : check.expected.package.plan.inputs)
      array.limit = std::max(array.limit, int32_t(input.limit));
  } else {
    const StatePlace &place = layout.places[index];
    array.name += fmt::format(" (state {})", check.expected.package.plan.states[index].name);
    array.rows = int64_t(lengths.size()) * place.extra;
    array.stride = place.stride;
    array.width = place.channels;
  }
  fill(array);
  arrays.push_back(std::move(array));
}

void Trial::addTable(const char *name, const std::vector<int32_t> &values) {
  TrialArray array;
  array.name = name;
  array.dtype = DType::I32;
  array.rows = int64_t(values.size());
  array.stride = array.width = 1;
  fill(array);
  std::memcpy(array.given.data(), values.data(), array.bytes());
  arrays.push_back(std::move(array));
}

//===-- Running -------------------------------------------------------------------------------------------------------------===//

Expected<void> Trial::launchOnce(bool second) {
  const KernelHost &host = second ? check.got : check.expected;
  const PlanLaunch &own = second ? other : launch;
  auto memoryOf = [&](TrialArray &array) { return (second && array.otherMemory ? array.otherMemory : array.memory)->address; };
  for (TrialArray &array : arrays) {
    uint64_t bytes = array.given.size();
    if (auto sent = host.device.upload({memoryOf(array), bytes, array.given.data(), bytes, bytes, 1}); !sent)
      return sent;
  }
  std::vector<void *> args;
  for (size_t position = 0; position < launch.args.size(); ++position) {
    const PlanArg &arg = launch.args[position];
    args.push_back(arg.kind == PlanArg::Kind::Weight ? host.weights.address(own.args[position], layer)
                                                     : memoryOf(arrays[places.at({int(arg.kind), arg.index})]));
  }
  auto table = [&](size_t fromEnd) { return reinterpret_cast<const int32_t *>(memoryOf(arrays[arrays.size() - fromEnd])); };
  int64_t segments = int64_t(lengths.size());
  int64_t rows = own.rows == RowSpace::All        ? int64_t(rowSegment.size())
                 : own.rows == RowSpace::Selected ? int64_t(selected.size())
                                                  : segments;
  if (check.choose)
    check.choose(second);
  auto launched = host.device.launch({&own,
                                      args.data(),
                                      rows,
                                      {table(4), table(3), table(2), table(1), int64_t(chunks.size() / chunkWords)},
                                      segments,
                                      *std::max_element(lengths.begin(), lengths.end()),
                                      int64_t(rowSegment.size())});
  if (!launched)
    return launched.error();
  for (TrialArray &array : arrays) {
    std::vector<uint8_t> &result = second ? array.got : array.expected;
    uint64_t bytes = array.given.size();
    result.resize(bytes);
    if (auto read = host.device.download({result.data(), bytes, memoryOf(array), bytes, bytes, 1}); !read)
      return read;
  }
  return {};
}

Expected<void> Trial::allocate() {
  for (TrialArray &array : arrays) {
    auto allocated = check.expected.device.allocate(array.given.size());
    if (!allocated)
      return allocated.error();
    array.memory = std::move(*allocated);
    if (&check.got.device == &check.expected.device)
      continue;
    auto second = check.got.device.allocate(array.given.size());
    if (!second)
      return second.error();
    array.otherMemory = std::move(*second);
  }
  return {};
}

Expected<void> Trial::run() {
  makeTables();
  for (size_t position = 0; position < launch.args.size(); ++position)
    addArray(position);
  addTable("rowSegment", rowSegment);
  addTable("segmentStart", segmentStart);
  addTable("selected", selected);
  addTable("chunks", chunks);
  if (auto allocated = allocate(); !allocated)
    return allocated;
  for (bool second : {false, true})
    if (auto done = launchOnce(second); !done)
      return done;
  for (const TrialArray &array : arrays)
    if (auto same = compare(array); !same)
      return same;
  return {};
}

//===-- Comparing -----------------------------------------------------------------------------------------------------------===//

std::string Trial::shape() const {
  return lengths.size() == 1 ? fmt::format("{} row{}", lengths[0], lengths[0] == 1 ? "" : "s")
                             : fmt::format("{} rows in {} segments", rowSegment.size(), lengths.size());
}

/// Two that are not finite agree when they are the same.
static double relativeError(float got, float expected, double scale) {
  if (std::isnan(got) || std::isnan(expected))
    return std::isnan(got) && std::isnan(expected) ? 0 : INFINITY;
  if (got == expected)
    return 0;
  double size = std::max(std::fabs(double(expected)), scale), error = std::fabs(double(got) - double(expected));
  return size > 0 && std::isfinite(size) ? error / size : INFINITY;
}

Expected<void> Trial::compareRow(const TrialArray &array, int64_t row) const {
  std::vector<float> got(size_t(array.width)), expected(got);
  uint64_t offset = uint64_t(row * array.stride) * dtypeBytes(array.dtype);
  convertElements(array.dtype, array.got.data() + offset, DType::F32, got.data(), got.size());
  convertElements(array.dtype, array.expected.data() + offset, DType::F32, expected.data(), expected.size());
  double squares = 0, limit = array.dtype == DType::F32 ? f32Tolerance : bf16Tolerance;
  for (float value : expected)
    squares += std::isfinite(value) ? double(value) * double(value) : 0;
  double scale = std::sqrt(squares / double(array.width));
  for (size_t channel = 0; channel < got.size(); ++channel)
    if (double error = relativeError(got[channel], expected[channel], scale); !(error <= limit))
      return Error{fmt::format(
          "on {}, {} row {} channel {} becomes {}, the generated kernel makes it {} (relative error {:.1e}, at most {:.0e})",
          shape(), array.name, row, channel, got[channel], expected[channel], error, limit)};
  return {};
}

Expected<void> Trial::compare(const TrialArray &array) const {
  if (std::memcmp(array.got.data() + array.bytes(), array.given.data() + array.bytes(), guardBytes) != 0)
    return Error{fmt::format("on {}, it writes behind the end of {}", shape(), array.name)};
  if (array.dtype == DType::I32 && array.got != array.expected)
    return Error{fmt::format("on {}, it changes {}", shape(), array.name)};
  for (int64_t row = 0; array.dtype != DType::I32 && row < array.rows; ++row)
    if (auto same = compareRow(array, row); !same)
      return same;
  return {};
}

//===-- All launches --------------------------------------------------------------------------------------------------------===//

static std::vector<std::vector<int64_t>> shapesOf(const std::string &entry, int64_t moreRows) {
  using Lengths = std::vector<int64_t>;
  if (entry.compare(0, 4, "step") == 0) // its variants, too
    return {{1}, Lengths(7, 1), Lengths(130, 1)};
  std::vector<Lengths> shapes = {{1}, {7}, {130}, {1, 64, 3, 61, 1}};
  if (moreRows > 2)
    shapes.insert(shapes.end(), {{moreRows}, {moreRows / 2, 1, moreRows - moreRows / 2 - 1}});
  return shapes;
}

static bool takesSameArrays(const KernelCheck &check, const PlanLaunch &launch, const PlanLaunch &other) {
  return std::equal(launch.args.begin(), launch.args.end(), other.args.begin(), other.args.end(),
                    [&](const PlanArg &arg, const PlanArg &second) {
                      if (arg.kind != second.kind || arg.kind == PlanArg::Kind::Weight)
                        return arg.kind == second.kind && arg.next == second.next;
                      if (arg.kind != PlanArg::Kind::Buffer)
                        return arg.index == second.index;
                      const PlanBuffer &buffer = check.expected.program.buffers[arg.index];
                      const PlanBuffer &same = check.got.program.buffers[second.index];
                      return buffer.rows == same.rows && buffer.stride == same.stride && buffer.dtype == same.dtype;
                    });
}

/// The two launches at the same place, if the trusted one is of the kernel.
static Expected<void> checkLaunch(const KernelCheck &check, const std::string &entry, int64_t layers, const PlanLaunch &launch,
                                  const PlanLaunch &other) {
  if (check.expected.program.kernels[launch.kernel].name != check.kernel)
    return {};
  if (check.got.program.kernels[other.kernel].name != check.kernel || !takesSameArrays(check, launch, other))
    return Error{fmt::format("in '{}' another kernel stands in its place", entry)};
  for (int64_t layer : layers > 1 ? std::vector<int64_t>{0, layers - 1} : std::vector<int64_t>{0})
    for (const std::vector<int64_t> &lengths : shapesOf(entry, check.moreRows))
      if (auto same = Trial(check, launch, other, lengths, layer).run(); !same)
        return same;
  return {};
}

Expected<void> checkKernel(const KernelCheck &check) {
  for (auto &[entry, steps] : check.expected.program.entries) {
    auto found = check.got.program.entries.find(entry);
    if (found == check.got.program.entries.end() || found->second.size() != steps.size())
      return Error{fmt::format("'{}' has other launches", entry)};
    for (size_t step = 0; step < steps.size(); ++step) {
      const PlanStep &own = steps[step], &second = found->second[step];
      if (own.layers != second.layers || own.body.size() != second.body.size())
        return Error{fmt::format("'{}' has other launches", entry)};
      for (size_t launch = 0; launch < own.body.size(); ++launch)
        if (auto same = checkLaunch(check, entry, own.layers, own.body[launch], second.body[launch]); !same)
          return same;
    }
  }
  return {};
}

} // namespace sm1rt
