// Two tiles times two tiles into four sums: all eight tile registers, and chains enough for the latency of a product.
#include "Amx.h"

#include "Team.h"

#include <cpuid.h>
#include <immintrin.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// Linux gives tile registers to processes that ask for them (documentation: arch/x86/xstate).
static bool systemGivesTiles() {
#if defined(__linux__)
  constexpr long requestPermission = 0x1023, tileData = 18;
  return ::syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

bool amxAvailable() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25, all = bf16 | tile | int8;
  static const bool available = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & all) == all && systemGivesTiles();
  return available;
}

namespace {
/// What ldtilecfg reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
} // namespace

/// Sums in tiles 0 to 3, operands in 4 to 7. GCC does not know that tile instructions read and write memory: the empty asm says so.
__attribute__((target("amx-tile"))) static void loadTiles(const TileConfig &config, const uint8_t *operand) {
  asm volatile("" : : "r"(&config), "r"(operand) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, 64);
  _tile_loadd(5, operand, 64);
  _tile_loadd(6, operand, 64);
  _tile_loadd(7, operand, 64);
}

__attribute__((target("amx-tile"))) static void releaseTiles() {
  alignas(64) static thread_local uint8_t result[16 * 64];
  _tile_stored(0, result, 64);
  asm volatile("" : : "r"(result) : "memory");
  _tile_release();
  keepResult(result[0]);
}

/// One of a bf16 is 0x3f80; as bytes 128 and 63.
static void fillOnes(uint8_t *operand) {
  for (int index = 0; index < 16 * 64; index += 2) {
    operand[index] = 0x80;
    operand[index + 1] = 0x3f;
  }
}

__attribute__((target("amx-tile,amx-bf16"))) void amxBf16(int64_t rounds) {
  TileConfig config;
  alignas(64) uint8_t operand[16 * 64];
  fillOnes(operand);
  loadTiles(config, operand);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  releaseTiles();
}

__attribute__((target("amx-tile,amx-int8"))) void amxInt8(int64_t rounds) {
  TileConfig config;
  alignas(64) uint8_t operand[16 * 64];
  fillOnes(operand);
  loadTiles(config, operand);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  releaseTiles();
}
