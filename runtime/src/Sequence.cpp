// Sequences: copies, dense reads and writes, files.
#include "ModelImpl.h"

#include "Guard.h"
#include "StateFileNames.h"
#include "sm1rt/Safetensors.h"
#include "sm1rt/StateFile.h"

#include <fmt/format.h>

#include <new>

namespace sm1rt {

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
  auto *from = impl->memory->address + place.offset;
  if (!model.device->download({to, place.bytes(), from, place.bytes(), place.bytes(), 1}))
    return {};
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

//===-- Files ---------------------------------------------------------------------------------------------------------------===//

/// The tensors of a state file, and its metadata.
static std::vector<TensorDeclaration> declareTensors(const Plan &plan, const Conversation &conversation) {
  std::vector<TensorDeclaration> tensors;
  for (const PlanState &state : plan.states)
    tensors.push_back({std::string(stateFile::statePrefix) + state.name, {DType::F32, state.denseShape()}});
  if (!conversation.tokens.empty())
    tensors.push_back({stateFile::tokensTensor, {DType::I32, {int64_t(conversation.tokens.size())}}});
  return tensors;
}

static std::map<std::string, std::string> describe(const Plan &plan, const std::string &fingerprint, int64_t position,
                                                   const Conversation &conversation) {
  std::map<std::string, std::string> metadata = {{stateFile::formatKey, stateFile::format},
                                                 {stateFile::modelKey, plan.model},
                                                 {stateFile::fingerprintKey, fingerprint},
                                                 {stateFile::positionKey, std::to_string(position)}};
  if (!conversation.tokens.empty()) {
    metadata[stateFile::seedKey] = std::to_string(conversation.seed);
    metadata[stateFile::sequenceKey] = std::to_string(conversation.sequence);
  }
  return metadata;
}

/// The tokens of a conversation are the model's, and the state has read no more than there are.
static Expected<void> checkConversation(const Conversation &conversation, const Plan &plan, int64_t position) {
  if (conversation.tokens.empty())
    return {};
  int64_t count = int64_t(conversation.tokens.size());
  if (count < position)
    return Error{fmt::format("conversation: {} tokens, the sequence has read {}", count, position)};
  for (const PlanPort &port : plan.inputs)
    for (int64_t i = 0; port.kind == PlanPort::Kind::Tokens && i < count; ++i)
      if (int32_t token = conversation.tokens[size_t(i)]; token < 0 || token >= port.limit)
        return Error{fmt::format("conversation: token {} at position {} is outside 0 to {}", token, i, port.limit - 1)};
  return {};
}

static Expected<void> saveStates(const Sequence &sequence, ModelImpl &model, const std::string &path,
                                 const Conversation &conversation) {
  const Plan &plan = model.package.plan;
  if (auto valid = checkConversation(conversation, plan, sequence.position()); !valid)
    return valid.error().in(path);
  auto fingerprint = model.fingerprint();
  if (!fingerprint)
    return fingerprint.error();
  auto writer = SafetensorsWriter::create(path, declareTensors(plan, conversation),
                                          describe(plan, *fingerprint, sequence.position(), conversation));
  if (!writer)
    return writer.error();
  for (size_t i = 0; i < plan.states.size(); ++i) {
    std::vector<float> values = sequence.read(i);
    if (auto written = writer->write(std::string(stateFile::statePrefix) + plan.states[i].name, values.data(), values.size() * 4);
        !written)
      return written;
  }
  const std::vector<int32_t> &tokens = conversation.tokens;
  if (auto written = writer->write(stateFile::tokensTensor, tokens.data(), tokens.size() * 4); !written)
    return written;
  return writer->commit();
}

Expected<void> Sequence::save(const std::string &path, const Conversation &conversation) const {
  return guarded([&] { return saveStates(*this, *impl->model, path, conversation); });
}

/// The file, checked to be of this model.
static Expected<StateFile> openFor(ModelImpl &model, const std::string &path) {
  auto file = StateFile::open(path);
  if (!file)
    return file;
  auto fingerprint = model.fingerprint();
  if (!fingerprint)
    return fingerprint.error();
  const Plan &plan = model.package.plan;
  if (file->fingerprint() != *fingerprint)
    return Error{
        fmt::format("{}: state of model '{}' with fingerprint {}, this is '{}' with {}; load it with the model that saved it", path,
                    file->model(), file->fingerprint(), plan.model, *fingerprint)};
  if (file->states().size() != plan.states.size())
    return Error{fmt::format("{}: {} states, the model has {}", path, file->states().size(), plan.states.size())};
  if (auto valid = checkConversation(file->conversation(), plan, file->position()); !valid)
    return valid.error().in(path);
  return file;
}

static Expected<StateFile> loadStates(Sequence &sequence, ModelImpl &model, const std::string &path) {
  auto file = openFor(model, path);
  if (!file)
    return file;
  // All of them first: a sequence changes whole or not at all.
  std::vector<std::vector<float>> states;
  for (const PlanState &state : model.package.plan.states) {
    auto values = file->read(state.name, state.denseShape());
    if (!values)
      return values.error();
    states.push_back(std::move(*values));
  }
  for (size_t i = 0; i < states.size(); ++i)
    if (auto written = sequence.write(i, states[i]); !written)
      return written.error();
  return file;
}

Expected<Conversation> Sequence::load(const std::string &path) {
  return guarded([&]() -> Expected<Conversation> {
    auto file = loadStates(*this, *impl->model, path);
    if (!file)
      return file.error();
    impl->position = file->position();
    return file->conversation();
  });
}

} // namespace sm1rt
