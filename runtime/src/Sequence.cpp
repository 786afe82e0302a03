// Sequences: copies, dense reads and writes, files.
#include "ModelImpl.h"

#include "Guard.h"
#include "sm1rt/Safetensors.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <new>

namespace sm1rt {

static const char *const stateFormat = "1";

Sequence::Sequence(std::unique_ptr<SequenceImpl> impl) : impl(std::move(impl)) {}
Sequence::Sequence(Sequence &&) noexcept = default;
Sequence &Sequence::operator=(Sequence &&) noexcept = default;
Sequence::~Sequence() = default;

int64_t Sequence::position() const { return impl->position; }

void Sequence::reset() {
  std::lock_guard<std::mutex> lock(impl->model->mutex);
  (void)impl->model->device->clear(*impl->memory);
  impl->position = 0;
}

Sequence Sequence::fork() const {
  ModelImpl &model = *impl->model;
  std::lock_guard<std::mutex> lock(model.mutex);
  auto memory = model.device->allocate(model.layout.bytes);
  if (!memory)
    throw std::bad_alloc();
  uint64_t bytes = model.layout.bytes;
  (void)model.device->copy({(*memory)->address, bytes, impl->memory->address, bytes, bytes, 1});
  return Sequence(std::unique_ptr<SequenceImpl>(new SequenceImpl{impl->model, std::move(*memory), impl->position}));
}

std::vector<float> Sequence::read(size_t index) const {
  ModelImpl &model = *impl->model;
  if (index >= model.layout.places.size())
    return {};
  std::lock_guard<std::mutex> lock(model.mutex);
  const StatePlace &place = model.layout.places[index];
  std::vector<float> device(place.bytes() / 4), dense(place.denseElements());
  auto *to = reinterpret_cast<uint8_t *>(device.data());
  (void)model.device->download({to, place.bytes(), impl->memory->address + place.offset, place.bytes(), place.bytes(), 1});
  toDense(place, device.data(), dense.data());
  return dense;
}

Expected<void> Sequence::write(size_t index, const std::vector<float> &values) {
  ModelImpl &model = *impl->model;
  if (index >= model.layout.places.size())
    return Error{
        fmt::format("state {} does not exist, model '{}' has {}", index, model.package.plan.model, model.layout.places.size())};
  const StatePlace &place = model.layout.places[index];
  const std::string &name = model.package.plan.states[index].name;
  if (values.size() != place.denseElements())
    return Error{fmt::format("state '{}': {} values given, it has {}", name, values.size(), place.denseElements())};
  if (int64_t bad = firstNonFinite(DType::F32, values.data(), values.size()); bad >= 0)
    return Error{fmt::format("state '{}': value {} is not finite", name, bad)};
  std::lock_guard<std::mutex> lock(model.mutex);
  std::vector<float> device(place.bytes() / 4);
  fromDense(place, values.data(), device.data());
  auto *from = reinterpret_cast<const uint8_t *>(device.data());
  return model.device->upload({impl->memory->address + place.offset, place.bytes(), from, place.bytes(), place.bytes(), 1});
}

static Expected<void> saveStates(const Sequence &sequence, ModelImpl &model, const std::string &path) {
  auto fingerprint = model.fingerprint();
  if (!fingerprint)
    return fingerprint.error();
  const Plan &plan = model.package.plan;
  std::vector<TensorDeclaration> tensors;
  for (const PlanState &state : plan.states)
    tensors.push_back({"state." + state.name, {DType::F32, state.denseShape()}});
  auto writer = SafetensorsWriter::create(path, tensors,
                                          {{"sm1.state", stateFormat},
                                           {"sm1.model", plan.model},
                                           {"sm1.fingerprint", *fingerprint},
                                           {"sm1.position", std::to_string(sequence.position())}});
  if (!writer)
    return writer.error();
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::vector<float> values = sequence.read(i);
    if (auto written = writer->write(tensors[i].name, values.data(), values.size() * 4); !written)
      return written;
  }
  return writer->commit();
}

Expected<void> Sequence::save(const std::string &path) const {
  return guarded([&] { return saveStates(*this, *impl->model, path); });
}

/// The position in a state file's header, and that the file belongs to the model.
static Expected<int64_t> checkStateFile(const SafetensorsFile &file, ModelImpl &model) {
  auto value = [&](const char *key) {
    auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (value("sm1.state") != stateFormat)
    return Error{fmt::format("{}: not a state file of this release, its header has sm1.state '{}', expected '{}'", file.path(),
                             value("sm1.state"), stateFormat)};
  auto fingerprint = model.fingerprint();
  if (!fingerprint)
    return fingerprint.error();
  if (value("sm1.fingerprint") != *fingerprint)
    return Error{
        fmt::format("{}: state of model '{}' with fingerprint {}, this is '{}' with {}; load it with the model that saved it",
                    file.path(), value("sm1.model"), value("sm1.fingerprint"), model.package.plan.model, *fingerprint)};
  std::string text = value("sm1.position");
  int64_t position = -1;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (code != std::errc() || end != text.data() + text.size() || position < 0)
    return Error{fmt::format("{}: position '{}' is no count", file.path(), text)};
  return position;
}

/// All states of the file, dense, checked; nothing else may be in it.
static Expected<std::vector<std::vector<float>>> readStateFile(const SafetensorsFile &file, const Plan &plan) {
  std::vector<std::vector<float>> states;
  for (const PlanState &state : plan.states) {
    std::string name = "state." + state.name;
    TensorType type{DType::F32, state.denseShape()};
    const FileTensor *tensor = file.find(name);
    if (!tensor)
      return Error{fmt::format("{}: tensor '{}' is missing", file.path(), name)};
    if (tensor->type != type)
      return Error{
          fmt::format("{}: tensor '{}' is {}, the model needs {}", file.path(), name, toString(tensor->type), toString(type))};
    std::vector<float> values(tensor->bytes / 4);
    std::memcpy(values.data(), tensor->data, tensor->bytes);
    if (int64_t bad = firstNonFinite(DType::F32, values.data(), values.size()); bad >= 0)
      return Error{fmt::format("{}: tensor '{}' is not finite at element {}", file.path(), name, bad)};
    states.push_back(std::move(values));
  }
  if (file.tensors().size() != plan.states.size())
    return Error{fmt::format("{}: {} tensors, the model has {} states", file.path(), file.tensors().size(), plan.states.size())};
  return states;
}

static Expected<int64_t> loadStates(Sequence &sequence, ModelImpl &model, const std::string &path) {
  auto file = SafetensorsFile::open(path);
  if (!file)
    return file.error();
  auto position = checkStateFile(*file, model);
  if (!position)
    return position;
  auto states = readStateFile(*file, model.package.plan);
  if (!states)
    return states.error();
  for (size_t i = 0; i < states->size(); ++i)
    if (auto written = sequence.write(i, (*states)[i]); !written)
      return written.error();
  return position;
}

Expected<void> Sequence::load(const std::string &path) {
  auto position = guarded([&] { return loadStates(*this, *impl->model, path); });
  if (!position)
    return position.error();
  impl->position = *position;
  return {};
}

} // namespace sm1rt
