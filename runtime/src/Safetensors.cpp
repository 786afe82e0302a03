// Safetensors: 8 bytes of little-endian header length, a JSON header, data. Reader and writer.
#include "sm1rt/Safetensors.h"

#include "Json.h"
#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace sm1rt {

using nlohmann::json;

/// The limit of the reference implementation; a header that long is no header.
static constexpr uint64_t headerLimit = 100'000'000;
static constexpr size_t rankLimit = 16;

struct SafetensorsFile::Content {
  std::string path;
  FileMapping mapping;
  uint64_t dataOffset = 0;
  std::map<std::string, std::string> metadata;
  std::vector<FileTensor> tensors;
  std::unordered_map<std::string, size_t> index;

  Error error(const std::string &what) const { return {fmt::format("{}: {}", path, what)}; }
  Expected<json> readHeader();
  Expected<void> readMetadata(const json &value);
  Expected<void> readTensor(const std::string &name, const json &value);
  Expected<void> checkCoverage();
};

//===-- Reader --------------------------------------------------------------------------------------------------------------===//

Expected<json> SafetensorsFile::Content::readHeader() {
  if (mapping.size() < 8)
    return error(fmt::format("not a safetensors file: {} bytes, the header length alone takes 8", mapping.size()));
  uint64_t length = 0;
  for (int byte = 7; byte >= 0; --byte)
    length = length << 8 | mapping.data()[byte];
  bool looksRight = mapping.size() > 8 && mapping.data()[8] == '{';
  if (!looksRight)
    return error("not a safetensors file, as packages, states and files of tensors are: its header does not start with '{'");
  if (length > headerLimit)
    return error(fmt::format("header of {} bytes, at most {} are allowed", length, headerLimit));
  if (length > mapping.size() - 8)
    return error(fmt::format("the file is cut short or its header length lies: header ends at byte {}, file has {}", length + 8,
                             mapping.size()));
  dataOffset = 8 + length;
  auto header = parseJson({reinterpret_cast<const char *>(mapping.data()) + 8, length}, path + ": header");
  if (header && !header->is_object())
    return error("header: must be a JSON object");
  return header;
}

Expected<void> SafetensorsFile::Content::readMetadata(const json &value) {
  if (!value.is_object())
    return error("__metadata__ must be an object");
  for (auto &item : value.items()) {
    if (!item.value().is_string())
      return error(fmt::format("__metadata__ '{}' must be a string", item.key()));
    metadata.emplace(item.key(), item.value().get_ref<const std::string &>());
  }
  return {};
}

/// Dtype, shape and byte range of one header entry; relations between entries are checkCoverage's.
Expected<void> SafetensorsFile::Content::readTensor(const std::string &name, const json &value) {
  std::string failure;
  JsonCursor at(value, fmt::format("{}: tensor '{}'", path, name), failure);
  FileTensor tensor;
  tensor.name = name;
  std::string dtypeText = at["dtype"].string();
  JsonCursor shape = at["shape"];
  for (size_t i = 0, rank = shape.arraySize(rankLimit); i < rank; ++i)
    tensor.type.shape.push_back(shape[i].integer(0, INT64_MAX));
  JsonCursor offsets = at["data_offsets"];
  if (offsets.arraySize(2) != 2)
    offsets.fail("must be two byte offsets");
  int64_t begin = offsets[size_t(0)].integer(0, INT64_MAX), end = offsets[1].integer(0, INT64_MAX);
  if (at.failed())
    return Error{failure};

  auto dtype = parseDType(dtypeText);
  if (!dtype || dtypeText != dtypeName(*dtype))
    return error(fmt::format("tensor '{}': dtype '{}' is none of F32, F16, BF16, F64, I32, I64, U8", name, dtypeText));
  tensor.type.dtype = *dtype;
  uint64_t dataBytes = mapping.size() - dataOffset;
  if (begin > end)
    return error(fmt::format("tensor '{}': begins at byte {}, after its end at {}", name, begin, end));
  if (uint64_t(end) > dataBytes)
    return error(
        fmt::format("tensor '{}': ends at byte {} of the data, the file has {}; the file is cut short", name, end, dataBytes));
  auto bytes = byteCount(tensor.type);
  if (!bytes)
    return error(fmt::format("tensor '{}': shape {} is too large", name, toString(tensor.type.shape)));
  if (*bytes != uint64_t(end - begin))
    return error(
        fmt::format("tensor '{}': {} takes {} bytes, its offsets span {}", name, toString(tensor.type), *bytes, end - begin));
  tensor.data = mapping.data() + dataOffset + begin;
  tensor.bytes = *bytes;
  tensors.push_back(std::move(tensor));
  return {};
}

/// Sorted by position, tensors must follow each other without overlap or gap, up to the end of the file.
Expected<void> SafetensorsFile::Content::checkCoverage() {
  std::sort(tensors.begin(), tensors.end(), [](const FileTensor &a, const FileTensor &b) {
    return a.data != b.data ? a.data < b.data : a.bytes != b.bytes ? a.bytes < b.bytes : a.name < b.name;
  });
  const uint8_t *base = mapping.data() + dataOffset;
  uint64_t covered = 0;
  std::string last = "the header";
  for (const FileTensor &tensor : tensors) {
    uint64_t begin = uint64_t(tensor.data - base);
    if (begin < covered)
      return error(fmt::format("tensor '{}' begins at byte {} of the data and overlaps {}, which ends at {}", tensor.name, begin,
                               last, covered));
    if (begin > covered)
      return error(fmt::format("tensor '{}' begins at byte {} of the data, {} ends at {}: a gap of {} bytes belongs to no tensor",
                               tensor.name, begin, last, covered, begin - covered));
    covered = begin + tensor.bytes;
    last = fmt::format("tensor '{}'", tensor.name);
  }
  uint64_t dataBytes = mapping.size() - dataOffset;
  if (covered != dataBytes)
    return error(fmt::format("{} ends at byte {} of the data, the file has {}: {} bytes belong to no tensor", last, covered,
                             dataBytes, dataBytes - covered));
  return {};
}

Expected<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  auto mapping = FileMapping::open(path);
  if (!mapping)
    return mapping.error();
  auto content = std::unique_ptr<Content>(new Content{path, std::move(*mapping), 0, {}, {}, {}});
  auto header = content->readHeader();
  if (!header)
    return header.error();
  for (auto &item : header->items()) {
    bool isMetadata = item.key() == "__metadata__";
    auto read = isMetadata ? content->readMetadata(item.value()) : content->readTensor(item.key(), item.value());
    if (!read)
      return read.error();
  }
  if (auto covered = content->checkCoverage(); !covered)
    return covered.error();
  for (size_t i = 0; i < content->tensors.size(); ++i)
    content->index.emplace(content->tensors[i].name, i);
  return SafetensorsFile(std::move(content));
}

SafetensorsFile::SafetensorsFile(std::unique_ptr<Content> content) : content(std::move(content)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile &&) noexcept = default;
SafetensorsFile &SafetensorsFile::operator=(SafetensorsFile &&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

const std::string &SafetensorsFile::path() const { return content->path; }
const std::map<std::string, std::string> &SafetensorsFile::metadata() const { return content->metadata; }
const std::vector<FileTensor> &SafetensorsFile::tensors() const { return content->tensors; }
uint64_t SafetensorsFile::fileBytes() const { return content->mapping.size(); }
uint64_t SafetensorsFile::dataOffset() const { return content->dataOffset; }

const FileTensor *SafetensorsFile::find(std::string_view name) const {
  auto found = content->index.find(std::string(name));
  return found == content->index.end() ? nullptr : &content->tensors[found->second];
}

//===-- Writer --------------------------------------------------------------------------------------------------------------===//

namespace {
/// A tensor of the file being written, padding included.
struct PlacedTensor {
  TensorDeclaration declaration;
  uint64_t begin = 0, bytes = 0;
  bool padding = false;
};
} // namespace

struct SafetensorsWriter::Content {
  std::string path;
  TemporaryFile file;
  std::vector<PlacedTensor> tensors;
  size_t current = 0;        // the tensor being filled
  uint64_t currentBytes = 0; // how much of it is there

  Expected<void> writePadding();
};

/// Gives every tensor its place, padding tensors between them where the alignment asks for it.
static Expected<std::vector<PlacedTensor>> placeTensors(const std::string &path, const std::vector<TensorDeclaration> &declarations,
                                                        uint64_t alignment) {
  std::vector<PlacedTensor> placed;
  std::set<std::string> names{"__metadata__"};
  uint64_t offset = 0, pads = 0;
  for (const TensorDeclaration &declaration : declarations) {
    auto bytes = byteCount(declaration.type);
    if (!bytes)
      return Error{fmt::format("{}: tensor '{}': shape {} is too large", path, declaration.name, toString(declaration.type.shape))};
    if (!names.insert(declaration.name).second)
      return Error{fmt::format("{}: tensor '{}' is declared twice", path, declaration.name)};
    if (uint64_t gap = (alignment - offset % alignment) % alignment) {
      std::string name = fmt::format("pad/{}", pads++);
      placed.push_back({{name, {DType::U8, {int64_t(gap)}}}, offset, gap, true});
      offset += gap;
    }
    placed.push_back({declaration, offset, *bytes, false});
    offset += *bytes;
  }
  return placed;
}

/// The JSON header, padded with spaces so that data starts on a multiple of `alignment`.
static std::string buildHeader(const std::vector<PlacedTensor> &tensors, const std::map<std::string, std::string> &metadata,
                               uint64_t alignment) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (auto &[key, value] : metadata)
      header += fmt::format("{}{}:{}", header.back() == '{' ? "" : ",", quoteJson(key), quoteJson(value));
    header += "}";
  }
  for (const PlacedTensor &tensor : tensors)
    header += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}", header.size() == 1 ? "" : ",",
                          quoteJson(tensor.declaration.name), dtypeName(tensor.declaration.type.dtype),
                          toString(tensor.declaration.type.shape), tensor.begin, tensor.begin + tensor.bytes);
  header += "}";
  while ((header.size() + 8) % alignment != 0)
    header += ' ';
  return header;
}

Expected<SafetensorsWriter> SafetensorsWriter::create(const std::string &path, const std::vector<TensorDeclaration> &tensors,
                                                      const std::map<std::string, std::string> &metadata,
                                                      const SafetensorsWriterOptions &options) {
  auto placed = placeTensors(path, tensors, options.tensorAlignment);
  if (!placed)
    return placed.error();
  std::string header = buildHeader(*placed, metadata, options.dataAlignment);
  if (header.size() > headerLimit)
    return Error{fmt::format("{}: header of {} bytes, at most {} are allowed", path, header.size(), headerLimit)};
  std::string length(8, '\0');
  for (int byte = 0; byte < 8; ++byte)
    length[size_t(byte)] = char(header.size() >> (8 * byte) & 0xff);
  auto file = TemporaryFile::create(path);
  if (!file)
    return file.error();
  if (auto written = file->write(length.data(), length.size()); !written)
    return written.error();
  if (auto written = file->write(header.data(), header.size()); !written)
    return written.error();
  return SafetensorsWriter(std::unique_ptr<Content>(new Content{path, std::move(*file), std::move(*placed), 0, 0}));
}

/// Moves past full tensors, writing padding on the way.
Expected<void> SafetensorsWriter::Content::writePadding() {
  for (; current < tensors.size(); ++current, currentBytes = 0) {
    const PlacedTensor &tensor = tensors[current];
    if (!tensor.padding && currentBytes < tensor.bytes)
      return {};
    if (!tensor.padding)
      continue;
    std::string zeros(tensor.bytes, '\0');
    if (auto written = file.write(zeros.data(), zeros.size()); !written)
      return written.error();
  }
  return {};
}

Expected<void> SafetensorsWriter::write(std::string_view name, const void *data, uint64_t bytes) {
  if (bytes == 0)
    return {};
  if (auto padded = content->writePadding(); !padded)
    return padded.error();
  if (content->current == content->tensors.size())
    return Error{fmt::format("{}: {} bytes for tensor '{}', but all tensors are full", content->path, bytes, name)};
  const PlacedTensor &tensor = content->tensors[content->current];
  if (tensor.declaration.name != name)
    return Error{fmt::format("{}: data for tensor '{}' while '{}' is next", content->path, name, tensor.declaration.name)};
  if (bytes > tensor.bytes - content->currentBytes)
    return Error{fmt::format("{}: tensor '{}': {} bytes given, {} are left of {}", content->path, name, bytes,
                             tensor.bytes - content->currentBytes, tensor.bytes)};
  content->currentBytes += bytes;
  return content->file.write(data, bytes);
}

Expected<void> SafetensorsWriter::commit() {
  if (auto padded = content->writePadding(); !padded)
    return padded.error();
  if (content->current < content->tensors.size()) {
    const PlacedTensor &tensor = content->tensors[content->current];
    return Error{fmt::format("{}: tensor '{}': {} bytes of {} were written", content->path, tensor.declaration.name,
                             content->currentBytes, tensor.bytes)};
  }
  return content->file.commit();
}

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<Content> content) : content(std::move(content)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter &&) noexcept = default;
SafetensorsWriter &SafetensorsWriter::operator=(SafetensorsWriter &&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

} // namespace sm1rt
