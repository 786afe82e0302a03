// Copies a matrix into the order in which kernels read it.
#include "Parts.h"

#include <algorithm>
#include <cstring>

namespace sm1rt {

void packPanels(const TensorType &from, const uint8_t *data, DType toType, uint8_t *out, int64_t begin, int64_t end) {
  constexpr int64_t width = 16, block = 256; // 16 rows of 256 elements: 16 KiB, half of a first-level cache
  int64_t rows = from.shape[0], columns = from.shape[1];
  uint64_t fromBytes = dtypeBytes(from.dtype), toBytes = dtypeBytes(toType);
  alignas(64) uint8_t lines[width * block * 4];
  auto interleave = [&](auto zero, uint8_t *target, int64_t part) {
    using Element = decltype(zero);
    const Element *source = reinterpret_cast<const Element *>(lines);
    Element column[width];
    for (int64_t k = 0; k < part; ++k, target += sizeof(column)) {
      for (int64_t row = 0; row < width; ++row)
        column[row] = source[row * block + k];
      std::memcpy(target, column, sizeof(column));
    }
  };
  for (int64_t panel = begin; panel < end; ++panel) {
    int64_t present = std::min(width, rows - panel * width);
    std::memset(lines, 0, sizeof(lines));
    for (int64_t k = 0; k < columns; k += block) {
      int64_t part = std::min(block, columns - k);
      for (int64_t row = 0; row < present; ++row)
        convertElements(from.dtype, data + uint64_t((panel * width + row) * columns + k) * fromBytes, toType,
                        lines + uint64_t(row * block) * toBytes, uint64_t(part));
      uint8_t *target = out + uint64_t((panel * columns + k) * width) * toBytes;
      if (toBytes == 4)
        interleave(uint32_t(0), target, part);
      else
        interleave(uint16_t(0), target, part);
    }
  }
}

void transpose(const TensorType &type, const uint8_t *data, uint8_t *out) {
  uint64_t channels = uint64_t(type.shape[0]), element = dtypeBytes(type.dtype);
  uint64_t rest = *elementCount({type.shape.begin() + 1, type.shape.end()});
  for (uint64_t r = 0; r < rest; ++r)
    for (uint64_t c = 0; c < channels; ++c)
      std::memcpy(out + (r * channels + c) * element, data + (c * rest + r) * element, element);
}

void padRows(const TensorType &type, const uint8_t *data, int64_t size, uint8_t *out) {
  uint64_t element = dtypeBytes(type.dtype), width = uint64_t(type.shape.back()) * element, padded = uint64_t(size) * element;
  uint64_t rows = *elementCount({type.shape.begin(), type.shape.end() - 1});
  for (uint64_t row = 0; row < rows; ++row) {
    std::memcpy(out + row * padded, data + row * width, width);
    std::memset(out + row * padded + width, 0, padded - width);
  }
}

// For each 64 bytes of rows what a stage of shared memory holds of them for wgmma, swizzled: chunk c of 16 bytes lies at
// c ^ (line/2 % 4). Line 8j + 2t + i of a panel is row 4t + 2j + i: of columns 2t and 2t+1 of each product of 8 a thread has four
// neighbours.
void packImages(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  int64_t rows = from.shape[0], rowBytes = from.shape[1] * int64_t(dtypeBytes(from.dtype)), panels = (rows + 15) / 16;
  for (int64_t block = begin; block < end; ++block)
    for (int64_t line = 0; line < panels * 16; ++line) {
      int64_t row = line / 16 * 16 + line % 8 / 2 * 4 + line % 16 / 8 * 2 + line % 2;
      uint8_t image[64] = {};
      for (int64_t chunk = 0, at = block * 64; chunk < 4 && at < rowBytes && row < rows; ++chunk, at += 16)
        std::memcpy(image + (chunk ^ (line / 2 % 4)) * 16, data + uint64_t(row * rowBytes + at),
                    size_t(std::min<int64_t>(rowBytes - at, 16)));
      std::memcpy(out + uint64_t(block * panels * 16 + line) * sizeof(image), image, sizeof(image));
    }
}

/// Bytes [at, at+4) of a row of `bytes`, zeros where it ends or is none.
static uint32_t wordOf(const uint8_t *row, int64_t bytes, int64_t at) {
  uint32_t word = 0;
  if (row && at + 4 <= bytes)
    std::memcpy(&word, row + at, 4);
  else if (row && at < bytes)
    std::memcpy(&word, row + at, size_t(bytes - at));
  return word;
}

namespace {
/// The 16 rows of a panel, null where the matrix has ended.
struct PanelRows {
  PanelRows(const TensorType &type, const uint8_t *data, int64_t panel) : bytes(type.shape[1] * int64_t(dtypeBytes(type.dtype))) {
    for (int64_t n = 0; n < 16; ++n)
      rows[n] = panel * 16 + n < type.shape[0] ? data + (panel * 16 + n) * bytes : nullptr;
  }

  int64_t bytes;
  const uint8_t *rows[16];
};
} // namespace

/// What the 32 lanes of a warp hold of tile `tile`, 32 bytes of k, of a panel as the first operand of mma.m16n8k16 of 16-bit
/// numbers, or m16n8k32 of bytes. Lane 4g+t has bytes 4t to 4t+3 of rows g and g+8, then the same 16 bytes on.
static void packFragment(const PanelRows &panel, int64_t tile, uint8_t *out) {
  for (int64_t lane = 0; lane < 32; ++lane) {
    uint32_t words[4];
    for (int64_t i = 0; i < 4; ++i)
      words[i] = wordOf(panel.rows[lane / 4 + i % 2 * 8], panel.bytes, tile * 32 + i / 2 * 16 + lane % 4 * 4);
    std::memcpy(out + lane * int64_t(sizeof(words)), words, sizeof(words));
  }
}

void packFragments(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  for (int64_t panel = begin; panel < end; ++panel) {
    PanelRows rows(from, data, panel);
    int64_t tiles = (rows.bytes + 63) / 64 * 2;
    for (int64_t tile = 0; tile < tiles; ++tile)
      packFragment(rows, tile, out + (panel * tiles + tile) * 512);
  }
}

// For each step, 128 bytes of k, what a stage of shared memory holds of all panels, in eights: four fragments, and so much that the
// same lane's part of the next panel lies in other banks.
void packStages(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  constexpr int64_t tiles = 4, fragmentBytes = 512, panelBytes = tiles * fragmentBytes + 64;
  int64_t panels = (from.shape[0] + 127) / 128 * 8;
  for (int64_t step = begin; step < end; ++step)
    for (int64_t panel = 0; panel < panels; ++panel) {
      PanelRows rows(from, data, panel);
      uint8_t *place = out + (step * panels + panel) * panelBytes;
      for (int64_t tile = 0; tile < tiles; ++tile)
        packFragment(rows, step * tiles + tile, place + tile * fragmentBytes);
      std::memset(place + tiles * fragmentBytes, 0, panelBytes - tiles * fragmentBytes);
    }
}

void packWords(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  uint32_t offset = from.dtype == DType::I8 ? 0x80808080 : 0; // q + 128 is q with its sign bit flipped
  for (int64_t panel = begin; panel < end; ++panel) {
    PanelRows from16(from, data, panel);
    int64_t words = (from16.bytes + 3) / 4;
    uint8_t *target = out + panel * words * 64;
    for (int64_t k = 0; k < words; ++k, target += 64) {
      uint32_t line[16];
      for (int64_t n = 0; n < 16; ++n)
        line[n] = wordOf(from16.rows[n], from16.bytes, k * 4) ^ offset;
      std::memcpy(target, line, sizeof(line));
    }
  }
}

void packNibbles(const TensorType &from, const uint8_t *data, uint8_t *out, int64_t begin, int64_t end) {
  // q + 8 in four bits is q with bit 3 flipped.
  auto codes = [](uint32_t word) { return (word ^ 0x08080808) & 0x0f0f0f0f; };
  for (int64_t panel = begin; panel < end; ++panel) {
    PanelRows from16(from, data, panel);
    int64_t blocks = (from16.bytes + 31) / 32;
    uint8_t *target = out + panel * blocks * 256;
    for (int64_t k = 0; k < blocks * 4; ++k, target += 64) {
      int64_t low = k / 4 * 32 + k % 4 * 4;
      uint32_t line[16];
      for (int64_t n = 0; n < 16; ++n)
        line[n] = codes(wordOf(from16.rows[n], from16.bytes, low)) | codes(wordOf(from16.rows[n], from16.bytes, low + 16)) << 4;
      std::memcpy(target, line, sizeof(line));
    }
  }
}

} // namespace sm1rt
