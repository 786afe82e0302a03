// How fast this machine multiplies, by the instructions that kernels multiply with.
#ifndef SM1_BENCH_PEAKS_H
#define SM1_BENCH_PEAKS_H

#include <optional>
#include <string_view>

enum class Peak {
  Fma256,     ///< f32 multiply-adds on 8 lanes: AVX2
  Fma512,     ///< the same on 16 lanes: AVX-512
  Bf16Dot512, ///< vdpbf16ps: pairs of bf16 into f32
  Madd256,    ///< vpmaddubsw, vpmaddwd, vpaddd: bytes into i32 where there is no VNNI
  Madd512,
  Vnni512, ///< vpdpbusd: four bytes into i32
  AmxBf16, ///< tdpbf16ps: tiles of 16 rows
  AmxInt8, ///< tdpbusd
};

/// e.g. "AMX bf16".
const char *peakName(Peak peak);
/// Whether CPU and operating system give the instructions. Asks the system for AMX's registers, which it hands out on demand.
bool peakAvailable(Peak peak);
/// Operations a second of so many threads, on registers alone; a multiply-add counts as two. The peak must be available.
double measurePeak(Peak peak, int threads);
/// The same in a fraction of a millisecond, the rates of all threads added up, once threads of a pool have gone to sleep. Two of
/// them around a launch say what its cores could do then.
double measurePeakSlice(Peak peak, int threads);

/// What the projections of a program are set against: that of the instructions it is compiled for. Nothing for a target or
/// arithmetic that is not known here.
std::optional<Peak> peakOf(std::string_view target, std::string_view compute);

#endif // SM1_BENCH_PEAKS_H
