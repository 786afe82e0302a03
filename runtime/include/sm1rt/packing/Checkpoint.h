// A checkpoint held against what a model needs: exactly the model's tensors, nothing missing, left over, misshapen or non-finite.
// Shared by the compiler (self-contained packages) and the runtime (external ones), so that both refuse the same files in the same
// words.
#ifndef SM1RT_PACKING_CHECKPOINT_H
#define SM1RT_PACKING_CHECKPOINT_H

#include "sm1rt/Error.h"
#include "sm1rt/Packing.h"
#include "sm1rt/Safetensors.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sm1rt {

/// A tensor that a checkpoint must hold, or `count` of them, one per layer.
struct CheckpointParam {
  std::string name;
  int64_t count = 0; ///< 0: one tensor; else the name holds "{i}"
  std::vector<int64_t> shape;
  int equals = -1;      ///< >= 0: optional, identical to that param when present; shape and count are copied from it
  bool fp8Rows = false; ///< a norm's weights, whose rows some program rounds to e4m3

  int64_t copies() const { return count ? count : 1; }
  /// Name of the tensor of layer `layer`.
  std::string tensorName(int64_t layer) const;
};

/// An open checkpoint whose tensors are those of a model.
class Checkpoint {
public:
  /// Opens a file, or model.safetensors in a directory, and checks names, shapes, dtypes and tied tensors. `model` is named in
  /// errors.
  static Expected<Checkpoint> open(const std::string &path, const std::string &model, const std::vector<CheckpointParam> &params);

  const std::string &path() const { return file.path(); }
  /// Tensor of layer `layer` of param `param`; nullptr for an optional one that is not there.
  const FileTensor *tensor(size_t param, int64_t layer) const;
  /// Every element of the tensor is a number.
  Expected<void> checkFinite(const FileTensor &tensor, const ParallelFor &parallel = serialFor) const;
  /// What is to be said of norms' weights that leave rows of e4m3, which have no scale, too small or too large; empty: nothing.
  std::string fp8Warning(const std::vector<CheckpointParam> &params) const;
  /// "path: tensor 'name' what".
  Error error(const FileTensor &tensor, const std::string &what) const;

private:
  explicit Checkpoint(SafetensorsFile file) : file(std::move(file)) {}
  Expected<void> checkTied(const std::vector<CheckpointParam> &params, const std::string &model) const;
  Expected<void> checkNothingLeft(const std::string &model) const;

  SafetensorsFile file;
  std::vector<std::vector<const FileTensor *>> tensors; // [param][layer]
};

} // namespace sm1rt

#endif // SM1RT_PACKING_CHECKPOINT_H
