// AMX, the tiles of some Xeons: whether it may be used, and its peak rates.
#ifndef SM1_BENCH_AMX_H
#define SM1_BENCH_AMX_H

#include <cstdint>

constexpr int64_t amxRounds = 1 << 17;
constexpr int amxTilesPerRound = 4;
/// Of a round. A multiply-add counts as two; a tile instruction multiplies 16 rows by 16 columns over 64 bytes.
constexpr double amxBf16Operations = 2.0 * 16 * 16 * 32 * amxTilesPerRound;
constexpr double amxInt8Operations = 2.0 * 16 * 16 * 64 * amxTilesPerRound;

/// Whether the CPU has tiles for bf16 and bytes, and the system lets this process use them, which it is asked for here.
bool amxAvailable();
/// Products of tiles in registers. Only where amxAvailable().
void amxBf16(int64_t rounds);
void amxInt8(int64_t rounds);

#endif // SM1_BENCH_AMX_H
