// Conversations to files and back, for commands that generate.
#include "States.h"

#include "MusicFiles.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

using namespace sm1rt;

void addStateOptions(CLI::App &app, StateOptions &options) {
  std::string group = "Where it stands, as a file";
  app.add_option("--state-in", options.in, "go on from saved states of this model, one for each sequence, or one for all")
      ->check(CLI::Validator(whyEmpty, "FILE"))
      ->type_name("FILE")
      ->group(group);
  app.add_option("--state-out", options.out, "save where it stands at the end; a batch writes NAME-0, NAME-1, ...")
      ->type_name("FILE")
      ->group(group);
}

/// The voice of one file; `place` tells voices of one file apart.
static Expected<Voice> resumeVoice(Model &model, const Vocabulary &vocabulary, ContinuationOptions options, const std::string &path,
                                   uint64_t place, bool ownSeed) {
  Sequence sequence = model.newSequence();
  Expected<Conversation> conversation = sequence.load(path);
  if (!conversation)
    return conversation.error();
  int64_t unread = int64_t(conversation->tokens.size()) - sequence.position();
  if (unread < 1)
    return Error{fmt::format("{}: a state that has read {} tokens, and the file has {}; generate goes on from states that it saved",
                             path, sequence.position(), conversation->tokens.size())};
  if (!ownSeed)
    options.sampling.seed = conversation->seed;
  Expected<Continuation> continuation =
      Continuation::start(vocabulary, options, std::move(conversation->tokens), conversation->sequence + place);
  if (!continuation)
    return continuation.error().in(path);
  return Voice{std::move(sequence), std::move(*continuation)};
}

Expected<std::vector<Voice>> resumeVoices(Model &model, const Vocabulary &vocabulary, const ContinuationOptions &options,
                                          const StateOptions &states, int64_t batch, bool ownSeed) {
  size_t files = states.in.size(), count = batch ? size_t(batch) : files;
  if (files > 1 && count != files)
    return Error{fmt::format("--state-in: {} files for --batch={}; give one, as many as the batch has, or leave --batch away",
                             files, batch)};
  std::vector<Voice> voices;
  for (size_t index = 0; index < count; ++index) {
    Expected<Voice> voice =
        resumeVoice(model, vocabulary, options, states.in[files == 1 ? 0 : index], files == 1 ? uint64_t(index) : 0, ownSeed);
    if (!voice)
      return voice.error();
    voices.push_back(std::move(*voice));
  }
  return voices;
}

Expected<void> saveVoices(const std::vector<Voice> &voices, const std::string &out) {
  for (size_t index = 0; index < voices.size(); ++index) {
    std::string path = numberedPath(out, index, voices.size());
    if (Expected<void> saved = voices[index].sequence.save(path, voices[index].continuation.conversation()); !saved)
      return saved;
    fmt::print("{}: a state after {}\n", path, counted(voices[index].sequence.position(), "token"));
  }
  return {};
}
