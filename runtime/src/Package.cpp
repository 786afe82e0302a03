// Opens a package: format version, plan, hashes, and everything the plan points at inside the file.
#include "sm1rt/Package.h"

#include "sm1rt/PackageFormat.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace sm1rt {

static constexpr std::string_view kernelPrefix = "kernel/", cubinPrefix = "cubin/", tokenPrefix = "token/";

/// A required entry of the file's metadata.
static Expected<std::string> metadataValue(const SafetensorsFile &file, const char *key) {
  auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    return Error{fmt::format("{}: not a package, its header has no '{}'; make one with sm1c", file.path(), key)};
  return found->second;
}

static Expected<void> checkVersion(const SafetensorsFile &file) {
  auto text = metadataValue(file, "sm1.format");
  if (!text)
    return text.error();
  int version = 0;
  auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), version);
  if (code != std::errc() || end != text->data() + text->size())
    return Error{fmt::format("{}: package format '{}' is no number", file.path(), *text)};
  if (version < SM1_FORMAT_OLDEST || version > SM1_FORMAT_VERSION)
    return Error{fmt::format("{}: package format {}, this runtime reads {} to {}; rebuild it with the sm1c of this release",
                             file.path(), version, SM1_FORMAT_OLDEST, SM1_FORMAT_VERSION)};
  return {};
}

static Expected<void> checkHash(const Package &package, const std::string &part, const void *data, uint64_t bytes) {
  auto recorded = package.plan.hashes.find(part);
  if (recorded == package.plan.hashes.end())
    return Error{fmt::format("{}: the plan records no hash of '{}'", package.file.path(), part)};
  std::string actual = toHex(fnv1a(data, bytes));
  if (actual != recorded->second)
    return Error{fmt::format("{}: '{}' has hash {}, the plan records {}; the file is damaged, build it again", package.file.path(),
                             part, actual, recorded->second)};
  return {};
}

static Expected<void> checkHashes(const Package &package) {
  if (auto same = checkHash(package, "source", package.source.data(), package.source.size()); !same)
    return same;
  for (auto &[target, program] : package.plan.programs) {
    const FileTensor &code = package.code(target);
    if (auto same = checkHash(package, code.name, code.data, code.bytes); !same)
      return same;
    for (const FileTensor *optional : {package.cubin(target), package.token(target)})
      if (auto same = optional ? checkHash(package, optional->name, optional->data, optional->bytes) : Expected<void>(); !same)
        return same;
  }
  return {};
}

/// Drivers read PTX up to its NUL, so there must be exactly one, at the end; and cubins belong to GPU targets.
static Expected<void> checkGpuCode(const Package &package) {
  for (auto &[target, program] : package.plan.programs) {
    const FileTensor &code = package.code(target);
    if (program.capability && (code.bytes == 0 || std::memchr(code.data, 0, code.bytes) != code.data + code.bytes - 1))
      return Error{fmt::format("{}: tensor '{}' is no PTX, which has one NUL byte, its last; build it again", package.file.path(),
                               code.name)};
  }
  for (auto &[target, program] : package.plan.programs) {
    const FileTensor *text = program.token ? package.token(target) : nullptr;
    if (program.token && (!text || text->type.dtype != DType::U8 || text->bytes == 0 || text->data[text->bytes - 1] != 0))
      return Error{fmt::format("{}: tensor '{}{}' is missing or no text that ends with a NUL byte; build it again",
                               package.file.path(), tokenPrefix, target)};
  }
  for (const FileTensor &tensor : package.file.tensors()) {
    if (tensor.name.compare(0, cubinPrefix.size(), cubinPrefix) != 0)
      continue;
    auto program = package.plan.programs.find(std::string_view(tensor.name).substr(cubinPrefix.size()));
    if (program == package.plan.programs.end() || program->second.capability == 0)
      return Error{fmt::format("{}: tensor '{}' belongs to no GPU target of the plan", package.file.path(), tensor.name)};
    if (tensor.type.dtype != DType::U8)
      return Error{fmt::format("{}: tensor '{}' is {}, code is U8", package.file.path(), tensor.name, toString(tensor.type))};
  }
  return {};
}

/// Name of the tensor that holds a weight, or one layer of it when the name has "{i}".
static std::string weightTensor(const PlanWeight &weight, int64_t layer) {
  std::string name = "weight/" + weight.name;
  size_t place = name.find("{i}");
  return place == std::string::npos ? name : name.replace(place, 3, std::to_string(layer));
}

/// Layers of a weight either lie in tensors of their own ("{i}" in the name) or behind each other in one tensor [count, shape...].
static bool isStacked(const PlanWeight &weight) { return weight.count > 0 && weight.name.find("{i}") == std::string::npos; }

static Expected<void> checkWeight(const Package &package, const PlanWeight &weight) {
  TensorType type = weight.type;
  if (isStacked(weight))
    type.shape.insert(type.shape.begin(), weight.count);
  for (int64_t layer = 0; layer < (isStacked(weight) ? 1 : weight.copies()); ++layer) {
    std::string name = weightTensor(weight, layer);
    const FileTensor *tensor = package.file.find(name);
    if (!tensor)
      return Error{fmt::format("{}: tensor '{}' is missing, the plan asks for {}", package.file.path(), name, toString(type))};
    if (tensor->type != type)
      return Error{fmt::format("{}: tensor '{}' is {}, the plan asks for {}", package.file.path(), name, toString(tensor->type),
                               toString(type))};
    uint64_t offset = package.file.dataOffset() + uint64_t(tensor->data - package.file.tensors().front().data);
    if (offset % SM1_TENSOR_ALIGNMENT != 0)
      return Error{fmt::format("{}: tensor '{}' starts at byte {}, not on a multiple of {}", package.file.path(), name, offset,
                               SM1_TENSOR_ALIGNMENT)};
  }
  return {};
}

/// Kernels' sizes, by target, for the plan's check of entry points.
static Expected<CodeSizes> findCode(const SafetensorsFile &file) {
  CodeSizes sizes;
  for (const FileTensor &tensor : file.tensors()) {
    if (tensor.name.compare(0, kernelPrefix.size(), kernelPrefix) != 0)
      continue;
    if (tensor.type.dtype != DType::U8)
      return Error{fmt::format("{}: tensor '{}' is {}, code is U8", file.path(), tensor.name, toString(tensor.type))};
    sizes.emplace(tensor.name.substr(kernelPrefix.size()), tensor.bytes);
  }
  return sizes;
}

Expected<Package> Package::open(const std::string &path) {
  auto file = SafetensorsFile::open(path);
  if (!file)
    return file.error();
  if (auto readable = checkVersion(*file); !readable)
    return readable.error();
  auto planText = metadataValue(*file, "sm1.plan");
  auto source = metadataValue(*file, "sm1.source");
  auto sizes = findCode(*file);
  if (!planText || !source || !sizes)
    return !planText ? planText.error() : !source ? source.error() : sizes.error();
  auto plan = parsePlan(*planText, path, *sizes);
  if (!plan)
    return plan.error();
  Package package{std::move(*file), std::move(*plan), std::move(*source)};
  if (auto intact = checkHashes(package); !intact)
    return intact.error();
  if (auto readable = checkGpuCode(package); !readable)
    return readable.error();
  for (const PlanWeight &weight : package.plan.weights)
    if (!package.plan.weightsExternal)
      if (auto there = checkWeight(package, weight); !there)
        return there.error();
  return package;
}

const FileTensor &Package::code(std::string_view target) const {
  return *file.find(std::string(kernelPrefix) + std::string(target));
}

const FileTensor *Package::cubin(std::string_view target) const {
  return file.find(std::string(cubinPrefix) + std::string(target));
}

const FileTensor *Package::token(std::string_view target) const {
  return file.find(std::string(tokenPrefix) + std::string(target));
}

const uint8_t *Package::weightData(size_t weight, int64_t layer) const {
  const PlanWeight &wanted = plan.weights[weight];
  const FileTensor *tensor = file.find(weightTensor(wanted, layer));
  return tensor->data + (isStacked(wanted) ? uint64_t(layer) * *byteCount(wanted.type) : 0);
}

} // namespace sm1rt
