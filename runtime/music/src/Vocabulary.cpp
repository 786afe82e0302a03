// The vocabulary as one table; everything else is a look-up in it.
#include "sm1rt/music/Vocabulary.h"

#include <fmt/format.h>

#include <array>
#include <cassert>

namespace sm1rt {
namespace {

/// Ids offset..offset+count-1 (after the conditioning ids) stand for firstValue, firstValue + step, …
struct FieldRow {
  Field field;
  const char *name;
  int offset, count, firstValue, step;
};

constexpr std::array<FieldRow, 11> fieldRows = {{
    {Field::Pad, "PAD", 0, 1, 0, 1},
    {Field::Bos, "BOS", 1, 1, 0, 1},
    {Field::Eos, "EOS", 2, 1, 0, 1},
    {Field::Bar, "BAR", 3, 1, 0, 1},
    {Field::Position, "POS", 4, 16, 0, 1},
    {Field::Track, "TRACK", 20, 9, 0, 1},
    {Field::Pitch, "PITCH", 29, 88, 21, 1},
    {Field::Duration, "DUR", 117, 16, 1, 1},
    {Field::Velocity, "VEL", 133, 8, 1, 1},
    {Field::Tempo, "TEMPO", 141, 17, 40, 10},
    {Field::Section, "SECTION", 158, sectionCount, 0, 1},
}};

const FieldRow &rowOf(Field field) {
  assert(field != Field::Conditioning);
  return fieldRows[size_t(field) - size_t(Field::Pad)];
}

} // namespace

const char *sectionName(int section) {
  constexpr std::array<const char *, sectionCount> names = {"early", "mid", "late"};
  return names[size_t(section)];
}

Expected<Vocabulary> Vocabulary::ofSize(int64_t size) {
  if (size < musicTokens)
    return Error{
        fmt::format("vocabulary: {} ids, music needs at least {}; use a model trained on music tokens", size, musicTokens)};
  return Vocabulary(size - musicTokens);
}

int32_t Vocabulary::token(Field field, int value) const {
  if (field == Field::Conditioning)
    return value;
  const FieldRow &row = rowOf(field);
  int index = (value - row.firstValue) / row.step;
  assert(index >= 0 && index < row.count && row.firstValue + index * row.step == value);
  return int32_t(conditioning) + row.offset + index;
}

int32_t Vocabulary::begin(Field field) const {
  return field == Field::Conditioning ? 0 : int32_t(conditioning) + rowOf(field).offset;
}

int32_t Vocabulary::end(Field field) const {
  return field == Field::Conditioning ? int32_t(conditioning) : begin(field) + rowOf(field).count;
}

TokenMeaning Vocabulary::meaning(int32_t token) const {
  assert(token >= 0 && token < size());
  if (token < conditioning)
    return {Field::Conditioning, token};
  int offset = token - int32_t(conditioning);
  size_t last = fieldRows.size() - 1;
  while (fieldRows[last].offset > offset)
    --last;
  const FieldRow &row = fieldRows[last];
  return {row.field, row.firstValue + (offset - row.offset) * row.step};
}

std::string Vocabulary::name(int32_t token) const {
  TokenMeaning meaning = this->meaning(token);
  if (meaning.field == Field::Conditioning)
    return fmt::format("COND {}", meaning.value);
  const FieldRow &row = rowOf(meaning.field);
  if (meaning.field == Field::Section)
    return fmt::format("{} {}", row.name, sectionName(meaning.value));
  return row.count == 1 ? row.name : fmt::format("{} {}", row.name, meaning.value);
}

} // namespace sm1rt
