// Copies tensors in and out; ports of a plan are visited in plan order throughout.
#include "BatchRun.h"

#include "MusicFiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

using namespace sm1rt;

using Kind = PlanPort::Kind;

/// A file's data may lie on any byte, so it is copied rather than pointed to.
template <typename T> static std::vector<T> copyOf(const FileTensor &tensor) {
  std::vector<T> values(tensor.bytes / sizeof(T));
  std::memcpy(values.data(), tensor.data, tensor.bytes);
  return values;
}

static Error typeError(const SafetensorsFile &file, const std::string &name, const TensorType &have, const TensorType &need) {
  return {fmt::format("{}: tensor '{}' is {}, must be {}", file.path(), name, toString(have), toString(need))};
}

static std::vector<int64_t> stateShape(int64_t batch, const PlanState &state) {
  std::vector<int64_t> shape = state.denseShape();
  shape.insert(shape.begin(), batch);
  return shape;
}

Expected<BatchRun> BatchRun::read(Model &model, PortNames names, const std::string &path) {
  Expected<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file)
    return file.error();
  BatchRun run(model, std::move(names));
  Expected<void> read = run.readShape(*file);
  if (read)
    read = run.readLengths(*file);
  if (read)
    read = run.readInputs(*file);
  if (!read)
    return read.error();
  for (const PlanPort &output : model.plan().outputs)
    if (output.kind == Kind::Rows)
      run.results.emplace_back(size_t(run.batch * run.time * output.width), 0.0f);
  return run;
}

/// Batch and time come from the first input that has them; the others must agree.
Expected<void> BatchRun::readShape(const SafetensorsFile &file) {
  const Plan &plan = model->plan();
  for (size_t port = 0; port < plan.inputs.size(); ++port) {
    const PlanPort &input = plan.inputs[port];
    if (input.kind == Kind::State)
      continue;
    const FileTensor *tensor = file.find(names.inputs[port]);
    if (!tensor)
      return Error{fmt::format("{}: has no tensor '{}', an input of '{}'", file.path(), names.inputs[port], plan.model)};
    const std::vector<int64_t> &shape = tensor->type.shape;
    if (batch == 0 && shape.size() >= 2) {
      batch = shape[0];
      time = shape[1];
    }
    TensorType need =
        input.kind == Kind::Tokens ? TensorType{DType::I32, {batch, time}} : TensorType{DType::F32, {batch, time, input.width}};
    if (tensor->type != need)
      return typeError(file, tensor->name, tensor->type, need);
    if (batch < 1 || time < 1)
      return Error{fmt::format("{}: tensor '{}' is {}, at least one sequence of one position is needed", file.path(), tensor->name,
                               toString(tensor->type))};
  }
  if (batch == 0)
    return Error{fmt::format("{}: '{}' has no input with a batch and a time", file.path(), plan.model)};
  return {};
}

Expected<void> BatchRun::readLengths(const SafetensorsFile &file) {
  lengths.assign(size_t(batch), time);
  const FileTensor *tensor = file.find("lengths");
  if (!tensor)
    return {};
  bool wide = tensor->type.dtype == DType::I64;
  TensorType need{wide ? DType::I64 : DType::I32, {batch}};
  if (tensor->type != need)
    return typeError(file, "lengths", tensor->type, need);
  if (wide) {
    lengths = copyOf<int64_t>(*tensor);
  } else {
    std::vector<int32_t> narrow = copyOf<int32_t>(*tensor);
    lengths.assign(narrow.begin(), narrow.end());
  }
  for (size_t sequence = 0; sequence < lengths.size(); ++sequence)
    if (lengths[sequence] < 0 || lengths[sequence] > time)
      return Error{fmt::format("{}: length {} of sequence {} is not from 0 to {}, the tensors' time", file.path(),
                               lengths[sequence], sequence, time)};
  return {};
}

Expected<void> BatchRun::readInputs(const SafetensorsFile &file) {
  for (int64_t sequence = 0; sequence < batch; ++sequence)
    sequences.push_back(model->newSequence());
  const std::vector<PlanPort> &inputs = model->plan().inputs;
  for (size_t port = 0; port < inputs.size(); ++port) {
    if (inputs[port].kind == Kind::State) {
      if (Expected<void> read = readState(file, port); !read)
        return read;
    } else if (inputs[port].kind == Kind::Tokens) {
      tokens = copyOf<int32_t>(*file.find(names.inputs[port]));
    } else {
      rows.push_back(copyOf<float>(*file.find(names.inputs[port])));
    }
  }
  return {};
}

Expected<void> BatchRun::readState(const SafetensorsFile &file, size_t port) {
  size_t state = model->plan().inputs[port].state;
  const FileTensor *tensor = file.find(names.inputs[port]);
  if (!tensor)
    return {};
  TensorType need{DType::F32, stateShape(batch, model->plan().states[state])};
  if (tensor->type != need)
    return typeError(file, tensor->name, tensor->type, need);
  std::vector<float> all = copyOf<float>(*tensor);
  size_t each = all.size() / size_t(batch);
  for (size_t sequence = 0; sequence < size_t(batch); ++sequence) {
    std::vector<float> values(all.begin() + ptrdiff_t(sequence * each), all.begin() + ptrdiff_t((sequence + 1) * each));
    if (Expected<void> written = sequences[sequence].write(state, values); !written)
      return written.error().in(fmt::format("{}: tensor '{}', sequence {}", file.path(), tensor->name, sequence));
  }
  return {};
}

Piece BatchRun::pieceOf(size_t sequence, int64_t begin, int64_t end) {
  Piece piece;
  piece.sequence = &sequences[sequence];
  piece.count = end - begin;
  size_t first = sequence * size_t(time) + size_t(begin);
  if (!tokens.empty())
    piece.tokens = &tokens[first];
  size_t input = 0;
  for (const PlanPort &port : model->plan().inputs)
    if (port.kind == Kind::Rows)
      piece.rows.push_back(&rows[input++][first * size_t(port.width)]);
  for (int64_t row = 0; row < piece.count; ++row)
    piece.selected.push_back(row);
  return piece;
}

Expected<void> BatchRun::run(const std::string &entry, int64_t begin, int64_t end) {
  std::vector<Piece> pieces;
  std::vector<size_t> running;
  for (size_t sequence = 0; sequence < sequences.size(); ++sequence) {
    if (lengths[sequence] <= begin)
      continue;
    pieces.push_back(pieceOf(sequence, begin, std::min(end, lengths[sequence])));
    running.push_back(sequence);
  }
  if (pieces.empty())
    return {};
  Expected<Outputs> outputs = model->run(entry, pieces);
  if (!outputs)
    return outputs.error();
  keepOutputs(*outputs, running, pieces, begin);
  return {};
}

/// Every row was selected, so "all" and "selected" outputs have the same layout: piece after piece.
void BatchRun::keepOutputs(const Outputs &outputs, const std::vector<size_t> &running, const std::vector<Piece> &pieces,
                           int64_t begin) {
  size_t output = 0;
  for (const PlanPort &port : model->plan().outputs) {
    if (port.kind != Kind::Rows)
      continue;
    const float *source = outputs[output].data();
    for (size_t piece = 0; piece < pieces.size(); ++piece) {
      size_t values = size_t(pieces[piece].count * port.width);
      size_t row = running[piece] * size_t(time) + size_t(begin);
      std::copy_n(source, values, results[output].data() + row * size_t(port.width));
      source += values;
    }
    ++output;
  }
}

Expected<void> BatchRun::write(const std::string &path) const {
  const Plan &plan = model->plan();
  std::vector<TensorDeclaration> declarations;
  for (size_t port = 0; port < plan.outputs.size(); ++port) {
    const PlanPort &output = plan.outputs[port];
    std::vector<int64_t> shape{batch, time, output.width};
    if (output.kind == Kind::State)
      shape = stateShape(batch, plan.states[output.state]);
    declarations.push_back({names.outputs[port], {DType::F32, shape}});
  }
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create(path, declarations, {});
  if (!writer)
    return writer.error();
  size_t rowOutput = 0;
  for (size_t port = 0; port < plan.outputs.size(); ++port) {
    auto append = [&](const std::vector<float> &values) {
      return writer->write(names.outputs[port], values.data(), values.size() * sizeof(float));
    };
    Expected<void> written;
    if (plan.outputs[port].kind == Kind::Rows)
      written = append(results[rowOutput++]);
    else
      for (size_t sequence = 0; written && sequence < sequences.size(); ++sequence)
        written = append(sequences[sequence].read(plan.outputs[port].state));
    if (!written)
      return written;
  }
  return writer->commit();
}

Expected<void> BatchRun::loadStates(const std::vector<std::string> &paths) {
  if (paths.size() > 1 && paths.size() != sequences.size())
    return Error{fmt::format("--state-in: {} files for {} sequences; give one for each, or one for all", paths.size(),
                             sequences.size())};
  for (size_t sequence = 0; sequence < sequences.size(); ++sequence)
    if (Expected<Conversation> loaded = sequences[sequence].load(paths[paths.size() == 1 ? 0 : sequence]); !loaded)
      return loaded.error();
  return {};
}

Expected<void> BatchRun::saveStates(const std::string &out) const {
  for (size_t sequence = 0; sequence < sequences.size(); ++sequence)
    if (Expected<void> saved = sequences[sequence].save(numberedPath(out, sequence, sequences.size())); !saved)
      return saved;
  return {};
}
