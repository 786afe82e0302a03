// Two versions of a kernel side by side: the same random rows through both, and what they leave compared.
#ifndef SM1RT_SRC_KERNELCHECK_H
#define SM1RT_SRC_KERNELCHECK_H

#include "Device.h"
#include "Weights.h"

#include <functional>
#include <string>

namespace sm1rt {

/// The most by which an element may differ, relative to the larger of its own size and the root mean square of its row.
inline constexpr double f32Tolerance = 1e-5, bf16Tolerance = 1e-2;

/// A program that has the kernel, ready to be launched.
struct KernelHost {
  Device &device;
  const Package &package;
  const PlanProgram &program;
  const Weights &weights;
};

struct KernelCheck {
  KernelHost expected; ///< what has the kernel that is trusted
  KernelHost got;      ///< what has the other one: the same program, or one of the same description and parameters
  std::string kernel;  ///< its name in both
  /// Before each launch: which of the two comes, for a device that has both; may be empty.
  std::function<void(bool other)> choose;
  int64_t moreRows = 0; ///< prefills of so many rows, too, in one segment and in three; 0: none
};

/// Runs every launch of the kernel with the model's weights (of the first and the last layer) and random everything else, on 1, 7
/// and 130 rows and on segments of different lengths; in a step every segment has one row. An error says where the two first
/// differ, and by how much. Channels that only fill a row's last panel are not compared.
Expected<void> checkKernel(const KernelCheck &check);

} // namespace sm1rt

#endif // SM1RT_SRC_KERNELCHECK_H
