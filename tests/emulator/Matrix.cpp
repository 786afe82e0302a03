// mma.sync, ldmatrix, stmatrix, movmatrix, in the fragment layouts of the PTX manual.
//
// With g = lane / 4 and t = lane % 4, register r of A holds row g + 8 (r & 1) and columns t E + e + 4 E (r / 2), where E elements
// fill a register; register r of B holds column g and rows t E + e + 4 E r; element i of C holds row g + 8 (i / 2), column 2 t + (i
// & 1). Products are exact and summed in double: the tensor cores of a device round differently, in the last bits.
#include "Lanes.h"
#include "SoftFloat.h"

namespace emulator {

namespace {

enum class Element : uint8_t { F16, BF16, TF32, S8, U8, E4M3 };

bool isInteger(Element element) { return element == Element::S8 || element == Element::U8; }

constexpr unsigned elementsPerRegister(Element element) { return element == Element::TF32 ? 1 : element <= Element::BF16 ? 2 : 4; }

template <Element element> float elementOf(uint32_t word, unsigned e) {
  if constexpr (element == Element::F16)
    return toFloat(Half{static_cast<uint16_t>(word >> (16 * e))});
  else if constexpr (element == Element::BF16)
    return toFloat(BFloat{static_cast<uint16_t>(word >> (16 * e))});
  else if constexpr (element == Element::TF32)
    return bitCast<float>(word & ~0x1fffu);
  else if constexpr (element == Element::S8)
    return static_cast<float>(static_cast<int8_t>(word >> (8 * e)));
  else if constexpr (element == Element::U8)
    return static_cast<float>(static_cast<uint8_t>(word >> (8 * e)));
  else
    return toFloat(E4m3{static_cast<uint8_t>(word >> (8 * e))});
}

enum class Accumulator : uint8_t { F32, F16, S32 };

/// What mma needs to know, packed into Instruction::imm.
struct Shape {
  uint8_t k, aRegisters, bRegisters;
  Element a, b;
  Accumulator accumulator;
  uint8_t unused[2];
};
static_assert(sizeof(Shape) == sizeof(int64_t), "fits the immediate");

/// One operand: `place` says where an element of a lane's register stands.
template <Element element, class Place> void readFragment(Warp &warp, const uint32_t *slots, unsigned registers, Place place) {
  constexpr unsigned per = elementsPerRegister(element);
  for (unsigned r = 0; r < registers; ++r)
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned e = 0; e < per; ++e)
        place(r, lane, lane % 4 * per + e + 4 * per * r) = double(elementOf<element>(warp.slot<uint32_t>(slots[r])[lane], e));
}

template <class Place> void readFragment(Element element, Warp &warp, const uint32_t *slots, unsigned registers, Place place) {
  switch (element) {
  case Element::F16:
    return readFragment<Element::F16>(warp, slots, registers, place);
  case Element::BF16:
    return readFragment<Element::BF16>(warp, slots, registers, place);
  case Element::TF32:
    return readFragment<Element::TF32>(warp, slots, registers, place);
  case Element::S8:
    return readFragment<Element::S8>(warp, slots, registers, place);
  case Element::U8:
    return readFragment<Element::U8>(warp, slots, registers, place);
  case Element::E4M3:
    return readFragment<Element::E4M3>(warp, slots, registers, place);
  }
}

void readFragments(Warp &warp, const uint32_t *slots, const Shape &shape, double a[16][32], double b[32][8]) {
  unsigned step = 4 * elementsPerRegister(shape.a); // of k, from one register of a lane to the next
  readFragment(shape.a, warp, slots, shape.aRegisters, [&](unsigned r, unsigned lane, unsigned k) -> double & {
    return a[lane / 4 + 8 * (r & 1)][k - step * r + step * (r / 2)];
  });
  readFragment(shape.b, warp, slots + shape.aRegisters, shape.bRegisters,
               [&](unsigned, unsigned lane, unsigned k) -> double & { return b[k][lane / 4]; });
}

/// Each sum in the order of k; four rows at a time, which the host has registers for.
void multiplyFragments(unsigned depth, const double a[16][32], const double b[32][8], double sum[16][8]) {
  for (unsigned row = 0; row < 16; row += 4) {
    double part[4][8] = {};
    for (unsigned k = 0; k < depth; ++k)
      for (unsigned r = 0; r < 4; ++r)
        for (unsigned column = 0; column < 8; ++column)
          part[r][column] += a[row + r][k] * b[k][column];
    std::memcpy(sum[row], part, sizeof part);
  }
}

/// list: A, B, C, D registers.
void multiply(Warp &warp, const Instruction &self, uint32_t) {
  auto shape = bitCast<Shape>(self.imm);
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  double a[16][32], b[32][8], sum[16][8];
  readFragments(warp, slots, shape, a, b);
  multiplyFragments(shape.k, a, b, sum);
  bool packed = shape.accumulator == Accumulator::F16;
  unsigned registers = packed ? 2 : 4;
  const uint32_t *c = slots + shape.aRegisters + shape.bRegisters, *d = c + registers;
  uint32_t result[4][32];
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 4; ++i) {
      double value = sum[lane / 4 + 8 * (i / 2)][lane % 4 * 2 + (i & 1)];
      if (packed) {
        auto old = double(toFloat(Half{static_cast<uint16_t>(warp.slot<uint32_t>(c[i / 2])[lane] >> (16 * (i & 1)))}));
        uint32_t bits = uint32_t(roundTo(old + value, 5, 10, Rounding::Nearest)) << (16 * (i & 1));
        result[i / 2][lane] = i & 1 ? result[i / 2][lane] | bits : bits;
      } else if (shape.accumulator == Accumulator::S32)
        result[i][lane] = warp.slot<uint32_t>(c[i])[lane] + static_cast<uint32_t>(static_cast<int32_t>(value));
      else
        result[i][lane] = bitCast<uint32_t>(static_cast<float>(double(bitCast<float>(warp.slot<uint32_t>(c[i])[lane])) + value));
    }
  for (unsigned r = 0; r < registers; ++r)
    std::memcpy(warp.slot<uint32_t>(d[r]), result[r], sizeof result[r]);
}

Element elementNamed(Builder &builder, std::string_view name) {
  const std::pair<const char *, Element> names[] = {{"f16", Element::F16}, {"bf16", Element::BF16}, {"tf32", Element::TF32},
                                                    {"s8", Element::S8},   {"u8", Element::U8},     {"e4m3", Element::E4M3}};
  for (const auto &entry : names)
    if (name == entry.first)
      return entry.second;
  builder.fail("mma of '." + std::string(name) + "' is not known");
}

/// mma.sync.aligned.m16n8kK.row.col.D.A.B.C
void decodeMma(Builder &builder, const Statement &statement) {
  const auto &modifiers = statement.modifiers;
  if (modifiers.size() != 9 || modifiers[0] != "sync" || modifiers[1] != "aligned" || modifiers[2].rfind("m16n8k", 0) != 0 ||
      modifiers[3] != "row" || modifiers[4] != "col" || modifiers[5] != modifiers[8])
    builder.fail("mma of this shape is not known");
  Shape shape = {};
  shape.k = static_cast<uint8_t>(std::stoi(std::string(modifiers[2].substr(6))));
  shape.a = elementNamed(builder, modifiers[6]);
  shape.b = elementNamed(builder, modifiers[7]);
  unsigned per = elementsPerRegister(shape.a), step = 4 * per;
  if (per != elementsPerRegister(shape.b) || (shape.k != step && shape.k != 2 * step))
    builder.fail("mma of this shape is not known");
  shape.aRegisters = static_cast<uint8_t>(2 * shape.k / step);
  shape.bRegisters = static_cast<uint8_t>(shape.k / step);
  shape.accumulator = modifiers[5] == "f32" ? Accumulator::F32 : modifiers[5] == "f16" ? Accumulator::F16 : Accumulator::S32;
  if ((modifiers[5] != "f32" && modifiers[5] != "f16" && modifiers[5] != "s32") || isInteger(shape.a) != isInteger(shape.b) ||
      isInteger(shape.a) != (shape.accumulator == Accumulator::S32) ||
      (shape.accumulator == Accumulator::F16 && shape.a != Element::F16))
    builder.fail("mma with these types is not known");
  builder.expectOperands(statement, 4, 4);
  size_t registers = shape.accumulator == Accumulator::F16 ? 2 : 4;
  const auto &operands = statement.operands;
  auto parts = [&](const Operand &operand, size_t count) {
    auto found = operand.kind == Operand::Vector ? operand.parts : std::vector<Operand>{operand};
    if (found.size() != count)
      builder.fail("mma with " + std::to_string(found.size()) + " instead of " + std::to_string(count) + " registers");
    return found;
  };
  std::vector<uint32_t> slots;
  Type word = Type::B32;
  for (const auto &[operand, count] : {std::pair<const Operand &, size_t>{operands[1], shape.aRegisters},
                                       {operands[2], shape.bRegisters},
                                       {operands[3], registers}})
    for (const Operand &part : parts(operand, count))
      slots.push_back(builder.read(part, word));
  for (const Operand &part : parts(operands[0], registers))
    slots.push_back(builder.write(part, word));
  Instruction instruction;
  instruction.run = multiply;
  instruction.flow = Flow::WarpAll;
  instruction.imm = bitCast<int64_t>(shape);
  instruction.d = slots.back();
  builder.list(instruction, slots);
  builder.emit(instruction);
}

/// ldmatrix and stmatrix of `listCount` 8 x 8 matrices of 16-bit elements; lane 8 i + j gives the address of row j of matrix i.
template <bool isLoad> void moveMatrices(Warp &warp, const Instruction &self, uint32_t) {
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  bool transposed = self.variant;
  for (unsigned i = 0; i < self.listCount; ++i) {
    auto *values = warp.slot<uint32_t>(slots[i]);
    uint16_t matrix[8][8];
    auto element = [&](unsigned lane, unsigned e) -> uint16_t & {
      unsigned row = lane / 4, column = lane % 4 * 2 + e;
      return transposed ? matrix[column][row] : matrix[row][column];
    };
    for (unsigned lane = 0; lane < 32 && !isLoad; ++lane)
      for (unsigned e = 0; e < 2; ++e)
        element(lane, e) = static_cast<uint16_t>(values[lane] >> (16 * e));
    for (unsigned row = 0; row < 8; ++row) {
      unsigned lane = i * 8 + row;
      uint8_t *memory = warp.access(self, lane, warp.addressOf(self, lane), 16, isLoad ? AccessKind::Read : AccessKind::Write);
      if (!memory)
        return;
      isLoad ? std::memcpy(matrix[row], memory, 16) : std::memcpy(memory, matrix[row], 16);
    }
    for (unsigned lane = 0; lane < 32 && isLoad; ++lane)
      warp.slot<uint32_t>(self.c)[lane + 32 * i] = element(lane, 0) | uint32_t(element(lane, 1)) << 16;
  }
  // The address register may be one of the results: they are written last.
  for (unsigned i = 0; i < self.listCount && isLoad; ++i)
    std::memcpy(warp.slot<uint32_t>(slots[i]), warp.slot<uint32_t>(self.c) + 32 * i, 128);
}

void decodeMatrixMove(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync aligned m8n8 x1 x2 x4 trans shared shared::cta");
  bool isLoad = statement.name == "ldmatrix";
  if (builder.type(statement) != Type::B16)
    builder.fail("only .b16 matrices are known");
  builder.expectOperands(statement, 2, 2);
  const Operand &data = statement.operands[isLoad ? 0 : 1];
  size_t count = statement.has("x4") ? 4 : statement.has("x2") ? 2 : 1;
  std::vector<Operand> parts = data.kind == Operand::Vector ? data.parts : std::vector<Operand>{data};
  if (parts.size() != count)
    builder.fail(std::to_string(parts.size()) + " registers for " + std::to_string(count) + " matrices");
  Instruction instruction;
  instruction.run = isLoad ? moveMatrices<true> : moveMatrices<false>;
  instruction.flow = Flow::WarpAll;
  instruction.space = statement.has("shared") || statement.has("shared::cta") ? Space::Shared : Space::Generic;
  instruction.variant = statement.has("trans");
  builder.address(statement.operands[isLoad ? 1 : 0], instruction);
  if (statement.planted)
    instruction.imm += 16;
  instruction.c = builder.scratch(4 * 128);
  std::vector<uint32_t> slots;
  for (const Operand &part : parts)
    slots.push_back(isLoad ? builder.write(part, Type::B32) : builder.read(part, Type::B32));
  instruction.d = slots.back();
  builder.list(instruction, slots);
  builder.emit(instruction);
}

void transposeInRegisters(Warp &warp, const Instruction &self, uint32_t) {
  uint32_t source[32];
  std::memcpy(source, warp.slot<uint32_t>(self.a), sizeof source);
  auto element = [&](unsigned row, unsigned column) { return source[row * 4 + column / 2] >> (16 * (column & 1)) & 0xffff; };
  for (unsigned lane = 0; lane < 32; ++lane)
    warp.slot<uint32_t>(self.d)[lane] = element(lane % 4 * 2, lane / 4) | element(lane % 4 * 2 + 1, lane / 4) << 16;
}

void decodeMovmatrix(Builder &builder, const Statement &statement) {
  builder.allow(statement, "sync aligned m8n8 trans");
  builder.expectOperands(statement, 2, 2);
  Instruction instruction;
  instruction.run = transposeInRegisters;
  instruction.flow = Flow::WarpAll;
  instruction.a = builder.read(statement.operands[1], Type::B32);
  instruction.d = builder.write(statement.operands[0], Type::B32);
  builder.emit(instruction);
}

} // namespace

void addMatrixDecoders(Decoders &decoders) {
  decoders["mma"] = decodeMma;
  decoders["ldmatrix"] = decoders["stmatrix"] = decodeMatrixMove;
  decoders["movmatrix"] = decodeMovmatrix;
}

} // namespace emulator
