// Reading and writing safetensors files. The reader trusts nothing in the file; the writer leaves a whole file or none.
#ifndef SM1RT_SAFETENSORS_H
#define SM1RT_SAFETENSORS_H

#include "sm1rt/DType.h"
#include "sm1rt/Error.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

class FileMapping;   // src/Platform.h
class TemporaryFile; // src/Platform.h

/// One tensor of an open file. `data` points into the mapping, is valid as long as the file object lives, and is only as aligned as
/// the file makes it (64 bytes in a package, possibly 1 in a foreign file).
struct FileTensor {
  std::string name;
  TensorType type;
  const uint8_t *data = nullptr;
  uint64_t bytes = 0;
};

/// A mapped safetensors file, checked whole when opened: header, dtypes, sizes, and that the tensors cover the data exactly once.
class SafetensorsFile {
public:
  /// Errors name the file, the tensor and both values.
  static Expected<SafetensorsFile> open(const std::string &path);
  SafetensorsFile(SafetensorsFile &&) noexcept;
  SafetensorsFile &operator=(SafetensorsFile &&) noexcept;
  ~SafetensorsFile();

  const std::string &path() const;
  /// The header's __metadata__.
  const std::map<std::string, std::string> &metadata() const;
  /// All tensors in the order of their data.
  const std::vector<FileTensor> &tensors() const;
  /// nullptr when there is none of that name.
  const FileTensor *find(std::string_view name) const;
  /// Bytes of the whole file.
  uint64_t fileBytes() const;
  /// Byte at which data starts.
  uint64_t dataOffset() const;

private:
  struct Content;
  explicit SafetensorsFile(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content;
};

/// A tensor to be written.
struct TensorDeclaration {
  std::string name;
  TensorType type;
};

struct SafetensorsWriterOptions {
  /// Data starts on a multiple of this many bytes; the header is padded with spaces.
  uint64_t dataAlignment = 8;
  /// Every tensor starts on a multiple of this many bytes of the data, by U8 tensors named "pad/<n>" that the writer adds; 1: none.
  uint64_t tensorAlignment = 1;
};

/// Writes a file front to back without holding it in memory: header first, then the tensors in declared order. Goes to a temporary
/// file in the same folder; commit() renames it. A writer destroyed before commit() leaves nothing behind.
class SafetensorsWriter {
public:
  static Expected<SafetensorsWriter> create(const std::string &path, const std::vector<TensorDeclaration> &tensors,
                                            const std::map<std::string, std::string> &metadata,
                                            const SafetensorsWriterOptions &options = {});
  SafetensorsWriter(SafetensorsWriter &&) noexcept;
  SafetensorsWriter &operator=(SafetensorsWriter &&) noexcept;
  ~SafetensorsWriter();

  /// Appends to tensor `name`, which must be the next one that is not yet full; a tensor may come in several parts.
  Expected<void> write(std::string_view name, const void *data, uint64_t bytes);
  /// All tensors are there: the file appears under its name. The writer is used up.
  Expected<void> commit();

private:
  struct Content;
  explicit SafetensorsWriter(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content;
};

} // namespace sm1rt

#endif // SM1RT_SAFETENSORS_H
