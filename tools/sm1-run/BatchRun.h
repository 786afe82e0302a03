// Tensors from a file through a model and into another file: what `logits` and `call` have in common.
#ifndef SM1_TOOLS_BATCHRUN_H
#define SM1_TOOLS_BATCHRUN_H

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"
#include "sm1rt/Safetensors.h"

#include <string>
#include <vector>

/// The names that a file uses for the ports of a plan, in plan order.
struct PortNames {
  std::vector<std::string> inputs, outputs;
};

/// A batch of sequences, padded to one length in time, with all inputs in memory and room for all outputs.
///
/// Read from a file: each token input I32 [batch, time], each row input F32 [batch, time, width], states F32 [batch, layers,
/// shape...] (absent: zero), `lengths` I32 or I64 [batch] (absent: all of time). Written: row outputs F32 [batch, time, width],
/// zero from a sequence's length on, and states at each sequence's own length. Other tensors of the file are ignored.
class BatchRun {
public:
  /// `model` must outlive the result. Errors name the file, the tensor, and both shapes.
  static sm1rt::Expected<BatchRun> read(sm1rt::Model &model, PortNames names, const std::string &path);

  /// Runs positions begin to end-1 of every sequence that is long enough, in one call of `entry`.
  sm1rt::Expected<void> run(const std::string &entry, int64_t begin, int64_t end);
  sm1rt::Expected<void> write(const std::string &path) const;

  /// Sequences start from saved states of this model: one file each, or one for all.
  sm1rt::Expected<void> loadStates(const std::vector<std::string> &paths);
  /// Saves the state of every sequence, without a conversation; several as NAME-0, NAME-1, ...
  sm1rt::Expected<void> saveStates(const std::string &out) const;

  int64_t timeSteps() const { return time; }

private:
  BatchRun(sm1rt::Model &model, PortNames names) : model(&model), names(std::move(names)) {}

  sm1rt::Expected<void> readShape(const sm1rt::SafetensorsFile &file);
  sm1rt::Expected<void> readLengths(const sm1rt::SafetensorsFile &file);
  sm1rt::Expected<void> readInputs(const sm1rt::SafetensorsFile &file);
  sm1rt::Expected<void> readState(const sm1rt::SafetensorsFile &file, size_t port);
  sm1rt::Piece pieceOf(size_t sequence, int64_t begin, int64_t end);
  void keepOutputs(const sm1rt::Outputs &outputs, const std::vector<size_t> &sequences, const std::vector<sm1rt::Piece> &pieces,
                   int64_t begin);

  sm1rt::Model *model;
  PortNames names;
  int64_t batch = 0, time = 0;
  std::vector<int64_t> lengths;
  std::vector<int32_t> tokens;             ///< [batch, time]
  std::vector<std::vector<float>> rows;    ///< per row input [batch, time, width]
  std::vector<std::vector<float>> results; ///< per row output [batch, time, width]
  std::vector<sm1rt::Sequence> sequences;
};

#endif // SM1_TOOLS_BATCHRUN_H
