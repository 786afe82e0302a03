// One generic call of any entry: named dense tensors in, named dense tensors out.
#ifndef SM1RT_CALL_H
#define SM1RT_CALL_H

#include "sm1rt/DType.h"
#include "sm1rt/Model.h"

#include <string>
#include <vector>

namespace sm1rt {

/// A tensor of the caller, read during the call only; any alignment.
struct InputTensor {
  std::string name;
  TensorType type;
  const void *data = nullptr;
};

/// A dense F32 tensor.
struct OutputTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// Runs `entry` on fresh sequences. Inputs are the plan's, by name: tokens I32 [batch, time], rows F32 [batch, time, width], states
/// F32 [batch, layers, shape...] (no layers dimension when the state has none); a state that is not given is zero. `lengths`, empty
/// or [batch], are the tokens or rows of each sequence that count. The outputs are the plan's, in its order: rows as [batch, time,
/// width]
/// ("selected" ones for every row), zero behind a sequence's length; states as above, each at its sequence's own length.
Expected<std::vector<OutputTensor>> call(Model &model, std::string_view entry, const std::vector<InputTensor> &inputs,
                                         const std::vector<int64_t> &lengths = {});

} // namespace sm1rt

#endif // SM1RT_CALL_H
