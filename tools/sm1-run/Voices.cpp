// The loop that every command with a model in it generates with.
#include "Voices.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <chrono>

using namespace sm1rt;

Expected<Vocabulary> vocabularyOf(const Model &model, const std::string &name) {
  Expected<TokenModel> ports = tokenModelOf(model.plan(), name);
  if (!ports)
    return ports.error();
  Expected<Vocabulary> vocabulary = Vocabulary::ofSize(ports->vocabulary);
  return vocabulary ? vocabulary : vocabulary.error().in(name);
}

Expected<Made> continueAll(Model &model, std::vector<Voice> &voices, const std::function<void()> &afterStep) {
  auto start = std::chrono::steady_clock::now();
  std::vector<Piece> pieces;
  std::vector<Continuation *> running;
  for (Voice &voice : voices) {
    if (voice.continuation.done())
      continue;
    // What the model has not read yet: a prompt, or the last token of a piece that goes on.
    const std::vector<int32_t> &tokens = voice.continuation.tokens();
    Piece piece;
    piece.sequence = &voice.sequence;
    piece.count = int64_t(tokens.size()) - voice.sequence.position();
    piece.tokens = tokens.data() + tokens.size() - size_t(piece.count);
    pieces.push_back(std::move(piece));
    running.push_back(&voice.continuation);
  }
  Generation generation;
  generation.choose = [&](size_t index) { return running[index]->choice(); };
  generation.take = [&](size_t index, int32_t token) -> Expected<bool> {
    if (Expected<void> taken = running[index]->take(token); !taken)
      return taken.error();
    return !running[index]->done();
  };
  generation.stepped = afterStep;
  if (!pieces.empty())
    if (Expected<void> generated = model.generate(pieces, generation); !generated)
      return generated.error();
  Made made;
  made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const Voice &voice : voices)
    made.tokens += voice.continuation.newTokens();
  return made;
}

/// CLI11 takes a minus and too large a number for others without a word.
static std::string whyNoSeed(std::string &text) {
  uint64_t seed = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? "" : text + " is no whole number from 0 to 18446744073709551615";
}

/// Beyond what any machine keeps; CLI11 would take the largest number it knows for one that is larger.
constexpr int64_t mostTokens = int64_t(1) << 40;

static void addChoiceOptions(CLI::App &app, ContinuationOptions &continuation, const std::string &group) {
  SamplingOptions &sampling = continuation.sampling;
  app.add_option("--seed", sampling.seed, "the same seed gives the same piece")
      ->check(CLI::Validator(whyNoSeed, "N"))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--temperature", sampling.temperature, "above 1: bolder; below: safer")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--top-p", sampling.topP, "a token stays while the probability of better ones is at most this")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--repetition-penalty", sampling.repetitionPenalty,
                 "makes pitches that just occurred less likely: divides their logits, multiplies negative ones; 1: none")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--penalty-window", sampling.penaltyWindow, "tokens of its own piece that the penalty looks back on")
      ->check(CLI::Range(int64_t(0), mostTokens))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
}

void addContinuationOptions(CLI::App &app, ContinuationOptions &options) {
  std::string group = "How tokens are chosen";
  addChoiceOptions(app, options, group);
  app.add_option("--max-tokens", options.maxTokens, "new tokens after which a piece is cut")
      ->check(CLI::Range(int64_t(1), mostTokens))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--min-tokens", options.minTokens, "new tokens before which a piece does not end")
      ->check(CLI::Range(int64_t(0), mostTokens))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_flag("--greedy", options.greedy,
               "the most likely token, always; masks nothing, none of the options above but --max-tokens")
      ->group(group);
  app.add_flag_callback(
         "--no-grammar", [&options] { options.grammar = false; }, "allow tokens that make no music where they stand")
      ->group(group);
}
