// What a run and a generation keep while they are under way.
#ifndef SM1RT_SRC_RUNCONTEXT_H
#define SM1RT_SRC_RUNCONTEXT_H

#include "ModelImpl.h"

#include <functional>

namespace sm1rt {

/// Where a pass reads the states of its sequences: moved from their memory (and back behind the pass), or in the workspace where
/// the step before left them. Steps write from the blocks that states are gathered into to the others, then back, and nothing
/// moves.
enum class StatesOfPass { Moved, Gathered, Others };

/// A run of pieces through an entry. The model keeps one for all of its runs, so that steps find their memory and allocate none.
struct ModelImpl::RunContext {
  std::string_view entry;
  std::string_view variant;                     // the entry whose launches the current pass takes
  const std::vector<PlanStep> *steps = nullptr; // its launches
  const std::vector<Piece> *pieces = nullptr;
  bool wholeTokens = true; // a step may be one launch
  StatesOfPass states = StatesOfPass::Moved;
  int64_t stepsDone = 0;                              // of a generation in place
  std::vector<bool> written;                          // states that the entry writes
  std::vector<SequenceImpl *> sequences;              // per piece
  std::vector<std::unique_ptr<DeviceBuffer>> pending; // per piece, when there are several passes: its state so far
  std::vector<Pass> passes;
  PassTables tables;                                       // of the current pass
  PassSize size{};                                         // likewise
  std::vector<uint64_t> rowsThere;                         // per output, rows of earlier passes
  std::function<Expected<void>(const Pass &)> takeResults; // called after each pass has been started

  /// Whether the pass reads a state where states are gathered, and writes it, if it does, to the others.
  bool readsGathered(size_t state) const { return states != StatesOfPass::Others || !written[state]; }
  /// Memory that holds the state of a piece.
  uint8_t *stateOf(size_t piece) const { return pending.empty() ? sequences[piece]->memory->address : pending[piece]->address; }
};

} // namespace sm1rt

#endif // SM1RT_SRC_RUNCONTEXT_H
