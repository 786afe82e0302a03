// Statistics of pieces as a table for people and as JSON.
#ifndef SM1_TOOLS_REPORTTABLE_H
#define SM1_TOOLS_REPORTTABLE_H

#include "sm1rt/music/PieceStatistics.h"

#include <optional>
#include <string>

class ReportTable {
public:
  /// `kind` heads the column: samples or pieces.
  ReportTable(std::string kind, sm1rt::PieceStatistics pieces) : kind(std::move(kind)), pieces(std::move(pieces)) {}

  /// Adds a column to compare with.
  void compareWith(sm1rt::PieceStatistics statistics) { reference = std::move(statistics); }

  std::string text() const;
  /// {"samples"|"pieces": {...}, "reference": {...}, "pitch_class_distance": x}; shares are 0 to 1.
  std::string json() const;

private:
  std::string kind;
  sm1rt::PieceStatistics pieces;
  std::optional<sm1rt::PieceStatistics> reference;
};

#endif // SM1_TOOLS_REPORTTABLE_H
