// A conversation with a model, line by line: generate, try variations from where it stands, keep one, save and come back later.
//
//   converse PACKAGE [SEED]
//
//   go N          generates N tokens
//   try K N       K variations of N tokens each, forked from here, none kept
//   keep I        goes on with variation I of the last try
//   say T...      adds tokens of your own
//   save FILE     the conversation as a file;  load FILE  goes on from one
#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"
#include "sm1rt/music/Sampler.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <utility>

using namespace sm1rt;

namespace {

/// One line of thought: the model's memory, and the tokens that led to it.
struct Thread {
  Sequence sequence;
  Conversation conversation;

  Thread fork(uint64_t number) const {
    Thread copy{sequence.fork(), conversation};
    copy.conversation.sequence = number; // other random numbers, or it would say the same
    return copy;
  }
};

/// Runs what the model has not read yet, and gives the logits after the last token.
Expected<std::vector<float>> read(Model &model, Thread &thread) {
  const std::vector<int32_t> &tokens = thread.conversation.tokens;
  Piece piece;
  piece.sequence = &thread.sequence;
  piece.tokens = tokens.data() + thread.sequence.position();
  piece.count = int64_t(tokens.size()) - thread.sequence.position();
  piece.selected = {piece.count - 1};
  auto outputs = model.run(piece.count == 1 ? "step" : "prefill", {piece});
  if (!outputs)
    return outputs.error();
  return std::move(outputs->front());
}

Expected<void> generate(Model &model, Thread &thread, int64_t count) {
  Conversation &conversation = thread.conversation;
  for (; count > 0; --count) {
    auto logits = read(model, thread);
    if (!logits)
      return logits.error();
    double draw = uniformAt(conversation.seed, conversation.sequence, conversation.tokens.size());
    auto token = sampleToken(logits->data(), int64_t(logits->size()), SamplingOptions(), draw);
    if (!token)
      return token.error();
    conversation.tokens.push_back(*token);
  }
  return {};
}

void print(const char *what, const Thread &thread, size_t from = 0) {
  std::printf("%s:", what);
  for (size_t i = from; i < thread.conversation.tokens.size(); ++i)
    std::printf(" %d", thread.conversation.tokens[i]);
  std::printf("\n");
}

/// A number or a word of the line; an error names what is missing.
template <typename T> Expected<T> next(std::istringstream &line, const char *what) {
  T value;
  if (line >> value)
    return value;
  return Error{std::string(what) + ": missing or no number"};
}

class Session {
public:
  Session(Model &model, uint64_t seed) : model(model), thread{model.newSequence(), {{1}, seed, 0}} {} // token 1 begins a piece

  Expected<void> obey(const std::string &text) {
    std::istringstream line(text);
    std::string command, path;
    line >> command;
    if (command == "go")
      return go(line);
    if (command == "try")
      return tryOut(line);
    if (command == "keep")
      return keep(line);
    if (command == "say") {
      for (int32_t token; line >> token;)
        thread.conversation.tokens.push_back(token);
      return {};
    }
    line >> path;
    if (command == "save")
      return thread.sequence.save(path, thread.conversation);
    if (command == "load")
      return load(path);
    return Error{"'" + command + "' is none of go, try, keep, say, save, load"};
  }

private:
  Expected<void> go(std::istringstream &line) {
    auto count = next<int64_t>(line, "go: a number of tokens");
    if (!count)
      return count.error();
    size_t from = thread.conversation.tokens.size();
    if (auto done = generate(model, thread, *count); !done)
      return done;
    print("here", thread, from);
    return {};
  }

  Expected<void> tryOut(std::istringstream &line) {
    auto count = next<uint64_t>(line, "try: a number of variations"), tokens = next<uint64_t>(line, "try: a number of tokens");
    if (!count || !tokens)
      return !count ? count.error() : tokens.error();
    variations.clear();
    for (uint64_t number = 0; number < *count; ++number) {
      variations.push_back(thread.fork(number + 1));
      if (auto done = generate(model, variations.back(), int64_t(*tokens)); !done)
        return done;
      print(("variation " + std::to_string(number)).c_str(), variations.back(), thread.conversation.tokens.size());
    }
    return {};
  }

  Expected<void> keep(std::istringstream &line) {
    auto number = next<size_t>(line, "keep: a variation");
    if (!number || *number >= variations.size())
      return Error{"keep: there are " + std::to_string(variations.size()) + " variations, counted from 0"};
    thread = std::move(variations[*number]);
    variations.clear();
    return {};
  }

  Expected<void> load(const std::string &path) {
    auto conversation = thread.sequence.load(path);
    if (!conversation)
      return conversation.error();
    if (conversation->tokens.empty())
      return Error{path + ": a state without its conversation"};
    thread.conversation = std::move(*conversation);
    return {};
  }

  Model &model;
  Thread thread;
  std::vector<Thread> variations;
};

} // namespace

int main(int argc, char **argv) {
  if (argc < 2)
    return std::fprintf(stderr, "usage: converse PACKAGE [SEED]\n"), 2;
  auto model = Model::open(argv[1], {});
  if (!model)
    return std::fprintf(stderr, "converse: %s\n", model.error().message.c_str()), 1;
  uint64_t seed = 0;
  std::istringstream given(argc > 2 ? argv[2] : "0");
  if (!(given >> seed) || !given.eof())
    return std::fprintf(stderr, "converse: the seed '%s' is no whole number\n", argv[2]), 2;
  Session session(*model, seed);
  int result = 0;
  for (std::string line; std::getline(std::cin, line);)
    if (auto done = session.obey(line); !done) {
      std::fprintf(stderr, "converse: %s\n", done.error().message.c_str());
      result = 1;
    }
  return result;
}
