// Packing: the list of steps that turns a checkpoint's tensor into what kernels read. Used by the compiler (self-contained
// packages) and the runtime (external ones), so that both give the same bytes. Steps are described in PackageFormat.h.
#ifndef SM1RT_PACKING_H
#define SM1RT_PACKING_H

#include "sm1rt/DType.h"
#include "sm1rt/Error.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

struct PackingStep {
  enum class Kind {
    Rows,
    Cast,
    ChannelsLast,
    Pad,
    Panels,
    Fragments,
    Images,
    Stages,
    Pairs,
    Quantise,
    Scales,
    Coarsen,
    E4m3,
    Quads,
    Nibbles
  };

  Kind kind;
  int64_t begin = 0, end = 0;  ///< Rows
  DType to = DType::F32;       ///< Cast; Quantise, Scales, Coarsen and E4m3: what a scale is stored as, F32 or F16
  int64_t size = 0;            ///< Pad: the last dimension; Panels: the width, 16
  int64_t bits = 0, group = 0; ///< Quantise, Scales, Coarsen and E4m3: 8 or 4; columns that share a scale, 0 for all of a row

  static PackingStep rows(int64_t begin, int64_t end) { return {Kind::Rows, begin, end}; }
  static PackingStep cast(DType to) { return {Kind::Cast, 0, 0, to}; }
  static PackingStep channelsLast() { return {Kind::ChannelsLast}; }
  static PackingStep pad(int64_t to) { return {Kind::Pad, 0, 0, DType::F32, to}; }
  static PackingStep panels() { return {Kind::Panels, 0, 0, DType::F32, 16}; }
  static PackingStep fragments() { return {Kind::Fragments}; }
  static PackingStep images() { return {Kind::Images}; }
  static PackingStep stages() { return {Kind::Stages}; }
  static PackingStep pairs() { return {Kind::Pairs}; }
  /// The integers, and with the same arguments the scales that belong to them.
  static PackingStep quantise(int64_t bits, int64_t group, DType scale) { return {Kind::Quantise, 0, 0, scale, 0, bits, group}; }
  static PackingStep scales(int64_t bits, int64_t group, DType scale) { return {Kind::Scales, 0, 0, scale, 0, bits, group}; }
  /// The weights that both stand for, as BF16.
  static PackingStep coarsen(int64_t bits, int64_t group, DType scale) { return {Kind::Coarsen, 0, 0, scale, 0, bits, group}; }
  /// The weights over their scales as F8_E4M3, in place of integers of 8 bits.
  static PackingStep e4m3(int64_t bits, int64_t group, DType scale) { return {Kind::E4m3, 0, 0, scale, 0, bits, group}; }
  static PackingStep quads() { return {Kind::Quads}; }
  static PackingStep nibbles() { return {Kind::Nibbles}; }

  /// The dtype after the step does not depend on the one before it.
  bool setsDType() const { return kind == Kind::Cast || isOfQuantised(); }
  /// Quantise and what goes with it.
  bool isOfQuantised() const {
    return kind == Kind::Quantise || kind == Kind::Scales || kind == Kind::Coarsen || kind == Kind::E4m3;
  }
};

/// What a plan calls the steps, in the order of PackingStep::Kind.
inline constexpr std::string_view packingStepNames[] = {"rows",      "cast",    "channels_last", "pad",   "panels",
                                                        "fragments", "images",  "stages",        "pairs", "quantise",
                                                        "scales",    "coarsen", "e4m3",          "quads", "nibbles"};

/// The steps as the plan spells them, a JSON array.
std::string toJson(const std::vector<PackingStep> &steps);

/// Type of a tensor of type `source` after all steps; an error names the step that does not fit. A pad may at most double the
/// dimension or add 4096 to it, so that a plan cannot ask for more memory than its checkpoint explains.
Expected<TensorType> packedType(const TensorType &source, const std::vector<PackingStep> &steps);

/// Calls its second argument with disjoint ranges that cover [0, count), possibly at the same time, and returns when all are done.
using ParallelFor = std::function<void(int64_t count, const std::function<void(int64_t begin, int64_t end)> &body)>;

/// One range, this thread.
void serialFor(int64_t count, const std::function<void(int64_t begin, int64_t end)> &body);
/// `threads` ranges on as many threads, started for each call; 0: one per available core.
ParallelFor threadedFor(int threads);

/// Packs `data` (dense, of type `source`, any alignment) into `out`, which has `outBytes` = the bytes of packedType(). Uses at most
/// one tensor of extra memory, none for rows/cast/panels in that order. A finite value that a cast makes infinite, or a scale that
/// leaves its type, is an error.
Expected<void> pack(const TensorType &source, const void *data, const std::vector<PackingStep> &steps, void *out, uint64_t outBytes,
                    const ParallelFor &parallel = serialFor);

/// Index of the first element that is NaN or infinite; -1 when there is none. Integers are always finite.
int64_t firstNonFinite(DType dtype, const void *data, uint64_t elements, const ParallelFor &parallel = serialFor);

/// Converts `count` elements between F32, F16, BF16 and F64, round to nearest even; F64 to F16 or BF16 goes through F32.
void convertElements(DType fromType, const void *from, DType toType, void *to, uint64_t count);

/// FNV-1a 64 over bytes, continued from `seed`: the hash of a package's parts.
uint64_t fnv1a(const void *data, uint64_t bytes, uint64_t seed = 0xcbf29ce484222325ull);
/// 16 lower-case hex digits.
std::string toHex(uint64_t value);

} // namespace sm1rt

#endif // SM1RT_PACKING_H
