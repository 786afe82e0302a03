// What the files of packing share: types (Steps.cpp), layouts (Layouts.cpp), quantisation (Quantise.cpp). Steps are known to fit.
// Ranges [begin, end) are of panels, 16 rows of a matrix, unless another name is given.
#ifndef SM1RT_SRC_PACKING_PARTS_H
#define SM1RT_SRC_PACKING_PARTS_H

#include "sm1rt/Packing.h"

namespace sm1rt {

/// Type after a step.
TensorType typeAfter(TensorType type, const PackingStep &step);

/// [N, K] of `from.dtype` to [ceil(N/16), K, 16] of `toType`.
void packPanels(const TensorType &from, const uint8_t *data, DType toType, uint8_t *out, int64_t begin, int64_t end);
void packFragments(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end);
/// Range: blocks of k that are 64 bytes of a row.
void packImages(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end);
/// Range: steps of k that are 128 bytes of a row.
void packStages(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end);
/// [N, K] to [ceil(N/16), ceil(K/w), 16, w], w = 4 bytes: pairs of 16-bit numbers, quads of I8 as U8.
void packWords(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end);
void packNibbles(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end);
/// [C, rest] to [rest, C].
void transpose(const TensorType &type, const uint8_t *data, uint8_t *out);
/// Last dimension grows to `size` with zeros.
void padRows(const TensorType &type, const uint8_t *data, int64_t size, uint8_t *out);

/// Both halves of a quantised matrix [N, K], the I8 [N, K] of a Quantise (or what stands for it) or the scales [N, groups] of a
/// Scales step. An error where a scale leaves its type.
Expected<void> quantise(const TensorType &from, const uint8_t *data, const PackingStep &step, uint8_t *out,
                        const ParallelFor &parallel);

} // namespace sm1rt

#endif // SM1RT_SRC_PACKING_PARTS_H
