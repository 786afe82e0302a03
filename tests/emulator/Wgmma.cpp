// wgmma of bf16 or e4m3 with both operands in shared memory, in the layouts of the PTX manual; each warp computes its 16 of the 64
// rows.
//
// Products are computed when they are started, but nobody has them before they are waited for: until then registers hold marks,
// numbers that are none, by which products that are added to them find their sums, however the marks have been moved. What a
// product reads has to stay as it is until then: it is looked at again, as an access of the instruction that started it.
#include "Cuda.h"
#include "Lanes.h"
#include "Marks.h"
#include "SoftFloat.h"

#include <algorithm>

namespace emulator {

namespace {

constexpr unsigned kLine = 32, kRows = 16, kMostColumns = 256; // bytes of a row in one instruction, rows of a warp
enum : uint8_t { kAdds = 1, kFp8 = 2 };

/// The lane's mark for register number `serial` of those that products have written.
uint32_t markOf(uint32_t serial, unsigned lane) { return kMark | serial % kMarkedRegisters << 5 | lane; }

/// What `word` of a register stands for: a mark, the sum behind it.
uint32_t sumBehind(const Products &products, uint32_t word) {
  uint32_t serial = word >> 5 & (kMarkedRegisters - 1);
  return (word & kMarkMask) == kMark && serial < products.sums.size() ? products.sums[serial][word & 31] : word;
}

/// Rows `first` to `first + rows` of the operand that `descriptor` names, to `lines`. False after a finding.
bool readOperand(Warp &warp, uint64_t descriptor, unsigned first, unsigned rows, uint8_t *lines) {
  unsigned mode = descriptor >> 62, swizzle = mode == 0 ? 0 : 4 - mode; // bits of the number of 16 bytes that are turned
  auto start = static_cast<uint32_t>(descriptor & 0x3fff) << 4, eight = static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4;
  if (!mode || descriptor >> 49 & 7 || eight % (128u << swizzle)) {
    warp.report(CUDA_ERROR_NOT_SUPPORTED,
                "wgmma of an operand that is not swizzled, has a base offset, or eights of rows " + std::to_string(eight) +
                    " bytes apart",
                0);
    return false;
  }
  for (unsigned row = first; row < first + rows; ++row)
    for (unsigned half = 0; half < 2; ++half) {
      uint32_t plain = start + row / 8 * eight + row % 8 * (16u << swizzle) + 16 * half;
      uint32_t address = plain ^ (plain >> 7 & ((1u << swizzle) - 1)) << 4;
      const uint8_t *bytes = warp.access(0, Space::Shared, address, 16, AccessKind::Read);
      if (!bytes)
        return false;
      std::memcpy(lines, bytes, 16);
      lines += 16;
    }
  return true;
}

bool readOperands(Warp &warp, const Product &product, std::vector<uint8_t> &lines) {
  lines.resize(size_t(kLine) * (kRows + product.width));
  return readOperand(warp, product.rows, warp.index % 4 * kRows, kRows, lines.data()) &&
         readOperand(warp, product.columns, 0, product.width, lines.data() + kLine * kRows);
}

/// The numbers of an operand, all of one depth side by side, so that the host multiplies many at once.
template <unsigned most> void numbersOf(const uint8_t *lines, unsigned count, bool fp8, double (*numbers)[most]) {
  static const std::vector<double> ofByte = [] {
    std::vector<double> values;
    for (unsigned bits = 0; bits < 256; ++bits)
      values.push_back(double(toFloat(E4m3{static_cast<uint8_t>(bits)})));
    return values;
  }();
  for (unsigned line = 0; line < count; ++line, lines += kLine)
    if (fp8)
      for (unsigned k = 0; k < kLine; ++k)
        numbers[k][line] = ofByte[lines[k]];
    else
      for (unsigned k = 0; k < kLine / 2; ++k)
        numbers[k][line] = double(toFloat(BFloat{static_cast<uint16_t>(lines[2 * k] | lines[2 * k + 1] << 8)}));
}

/// Adds to `sums` the products of operands of `width` columns, each sum in the order of k; four rows by eight columns at a time,
/// which the host has registers for.
void multiplyLines(const std::vector<uint8_t> &lines, unsigned width, bool fp8, double (*sums)[kMostColumns]) {
  double rows[kLine][kRows], columns[kLine][kMostColumns];
  numbersOf(lines.data(), kRows, fp8, rows);
  numbersOf(lines.data() + kLine * kRows, width, fp8, columns);
  unsigned depth = kLine / (fp8 ? 1 : 2);
  for (unsigned column = 0; column < width; column += 8)
    for (unsigned row = 0; row < kRows; row += 4) {
      double part[4][8];
      for (unsigned r = 0; r < 4; ++r)
        std::memcpy(part[r], &sums[row + r][column], sizeof part[r]);
      for (unsigned k = 0; k < depth; ++k)
        for (unsigned r = 0; r < 4; ++r)
          for (unsigned c = 0; c < 8; ++c)
            part[r][c] += rows[k][row + r] * columns[k][column + c];
      for (unsigned r = 0; r < 4; ++r)
        std::memcpy(&sums[row + r][column], part[r], sizeof part[r]);
    }
}

/// Visits every sum of a product: its register among those of the instruction, lane, row, column.
template <class Visit> void forSums(unsigned width, Visit visit) {
  for (unsigned i = 0; i < width / 2; ++i)
    for (unsigned lane = 0; lane < 32; ++lane)
      visit(i, lane, lane / 4 + i / 2 % 2 * 8, i / 4 * 8 + lane % 4 * 2 + i % 2);
}

/// list: descriptors of rows and columns, then a slot for each register; imm: columns; variant: whether sums are added to, whether
/// of e4m3.
void multiply(Warp &warp, const Instruction &self, uint32_t) {
  Products &products = warp.products;
  const uint32_t *slots = warp.block.launch.program->lists.data() + self.list;
  Product product{warp.slot<uint64_t>(slots[0])[0],
                  warp.slot<uint64_t>(slots[1])[0],
                  static_cast<unsigned>(self.imm),
                  warp.block.faultPc,
                  products.serial,
                  {}};
  if (!products.fenced)
    return warp.report(CUDA_ERROR_LAUNCH_FAILED, "wgmma.mma_async without wgmma.fence since products were waited for", 0);
  if (!readOperands(warp, product, product.lines))
    return;
  bool adds = self.variant & kAdds, fp8 = self.variant & kFp8;
  double sums[kRows][kMostColumns];
  forSums(product.width, [&](unsigned i, unsigned lane, unsigned row, unsigned column) {
    sums[row][column] = adds ? double(bitCast<float>(sumBehind(products, warp.slot<uint32_t>(slots[2 + i])[lane]))) : 0;
  });
  multiplyLines(product.lines, product.width, fp8, sums);
  if (size_t used = products.serial + product.width / 2; used > products.sums.size())
    products.sums.resize(std::min<size_t>(2 * used, kMarkedRegisters));
  forSums(product.width, [&](unsigned i, unsigned lane, unsigned row, unsigned column) {
    uint32_t serial = products.serial + i;
    products.sums[serial % kMarkedRegisters][lane] = bitCast<uint32_t>(static_cast<float>(sums[row][column]));
    warp.slot<uint32_t>(slots[2 + i])[lane] = markOf(serial, lane);
  });
  products.serial += product.width / 2;
  products.open.push_back(std::move(product));
}

/// Whether what `product` read is still there.
void checkOperands(Warp &warp, const Product &product) {
  std::vector<uint8_t> now;
  warp.block.faultPc = product.pc;
  if (readOperands(warp, product, now) && now != product.lines)
    warp.report(CUDA_ERROR_LAUNCH_FAILED, "what wgmma.mma_async multiplies was written over before it was waited for", 0);
}

/// Registers get the sums that `count` marks from number `first` on stand for.
void land(Warp &warp, uint32_t first, uint32_t count) {
  uint32_t *word = &warp.predicate(0), *end = word + warp.block.launch.program->registerBytes / sizeof(uint32_t);
  for (; word < end; word += 32) { // memory of registers is a multiple of that
    uint32_t marks = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
      marks |= uint32_t((word[lane] & kMarkMask) == kMark);
    for (unsigned lane = 0; lane < 32 && marks; ++lane)
      if ((word[lane] & kMarkMask) == kMark && ((word[lane] >> 5) - first) % kMarkedRegisters < count)
        word[lane] = sumBehind(warp.products, word[lane]);
  }
}

void fence(Warp &warp, const Instruction &, uint32_t) { warp.products.fenced = true; }

void commit(Warp &warp, const Instruction &, uint32_t) {
  warp.products.groups.push_back(std::move(warp.products.open));
  warp.products.open.clear();
}

/// Lands all groups but the `imm` youngest.
void waitFor(Warp &warp, const Instruction &self, uint32_t) {
  Products &products = warp.products;
  products.fenced = false;
  uint32_t first = 0, count = 0;
  for (; products.groups.size() > static_cast<size_t>(self.imm) && !warp.block.failed(); products.groups.pop_front())
    for (const Product &product : products.groups.front()) {
      checkOperands(warp, product);
      first = count ? first : product.serial;
      count = product.serial + product.width / 2 - first;
    }
  if (count)
    land(warp, first, count);
}

/// wgmma.mma_async.sync.aligned.m64nNk16.f32.bf16.bf16 d, rows, columns, scale-d, 1, 1, 0, 0, or the same of
/// m64nNk32.f32.e4m3.e4m3 without the last two.
void decodeProduct(Builder &builder, const Statement &statement, Instruction instruction) {
  const auto &modifiers = statement.modifiers;
  const auto &operands = statement.operands;
  auto isNumber = [&](size_t i, uint64_t value) { return operands[i].kind == Operand::Integer && operands[i].bits == value; };
  bool fp8 = modifiers.back() == "e4m3";
  if (modifiers.size() != 7 || modifiers[3].rfind("m64n", 0) != 0 || modifiers[3].size() < 8 ||
      modifiers[3].substr(modifiers[3].size() - 3) != (fp8 ? "k32" : "k16") || modifiers[4] != "f32" ||
      modifiers[5] != modifiers[6] || (!fp8 && modifiers[6] != "bf16"))
    builder.fail("of wgmma.mma_async only m64nNk16.f32.bf16.bf16 and m64nNk32.f32.e4m3.e4m3 are known");
  builder.expectOperands(statement, fp8 ? 6 : 8, fp8 ? 6 : 8);
  if (operands[3].kind != Operand::Integer || !isNumber(4, 1) || !isNumber(5, 1) || (!fp8 && (!isNumber(6, 0) || !isNumber(7, 0))))
    builder.fail("of wgmma.mma_async only constants for scale-d, and '1, 1' with '0, 0' for bf16 behind it, are known");
  auto columns = static_cast<unsigned>(std::stoul(std::string(modifiers[3].substr(4))));
  const auto &sums = operands[0].parts;
  if (columns % 8 || columns < 8 || columns > 256 || operands[0].kind != Operand::Vector || sums.size() != columns / 2)
    builder.fail(std::to_string(sums.size()) + " registers for " + std::to_string(columns) + " columns of wgmma.mma_async");
  std::vector<uint32_t> slots{builder.read(operands[1], Type::B64), builder.read(operands[2], Type::B64)};
  for (const Operand &sum : sums)
    slots.push_back(builder.write(sum, Type::B32));
  instruction.run = multiply;
  instruction.imm = columns;
  instruction.variant = static_cast<uint8_t>((operands[3].bits != 0) * kAdds | fp8 * kFp8);
  builder.list(instruction, slots);
  builder.emit(instruction);
}

void decodeWgmma(Builder &builder, const Statement &statement) {
  Instruction instruction;
  instruction.flow = Flow::WarpAll;
  if (statement.modifiers.size() < 3 || statement.modifiers[1] != "sync" || statement.modifiers[2] != "aligned")
    builder.fail("wgmma is known with .sync.aligned");
  std::string_view what = statement.modifiers[0];
  if (what == "mma_async")
    return decodeProduct(builder, statement, instruction);
  bool waits = what == "wait_group";
  if (!waits && what != "fence" && what != "commit_group")
    builder.fail("of wgmma only mma_async, fence, commit_group and wait_group are known");
  builder.expectOperands(statement, waits, waits);
  if (waits && statement.operands[0].kind != Operand::Integer)
    builder.fail("wgmma.wait_group takes a constant");
  instruction.imm = !waits ? 0 : statement.planted ? INT64_MAX : int64_t(statement.operands[0].bits);
  instruction.run = waits ? waitFor : what == "fence" ? fence : commit;
  builder.emit(instruction);
}

} // namespace

void addWgmmaDecoders(Decoders &decoders) { decoders["wgmma"] = decodeWgmma; }

} // namespace emulator
