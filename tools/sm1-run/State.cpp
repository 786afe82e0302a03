// sm1-run state: what saved states hold, and how far two of them are apart. Needs no model.
#include "Commands.h"

#include "sm1rt/StateFile.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

using namespace sm1rt;

namespace {
struct StateFiles {
  std::vector<std::string> shown;
  std::string a, b;
};
} // namespace

static Expected<void> showState(const std::string &path) {
  Expected<StateFile> state = StateFile::open(path);
  if (!state)
    return state.error();
  fmt::print("{}\n  model        {}, fingerprint {}\n  position     {}\n", path, state->model(), state->fingerprint(),
             state->position());
  for (const FileTensor *tensor : state->states())
    fmt::print("  {:<12} {}\n", tensor->name, toString(tensor->type));
  const Conversation &conversation = state->conversation();
  if (conversation.tokens.empty())
    fmt::print("  tokens       not saved with it\n");
  else
    fmt::print("  tokens       {}, of which {} still to be read\n  random       seed {}, sequence {}\n",
               conversation.tokens.size(), int64_t(conversation.tokens.size()) - state->position(), conversation.seed,
               conversation.sequence);
  return {};
}

static Expected<void> showStates(const std::vector<std::string> &paths) {
  for (const std::string &path : paths)
    if (Expected<void> shown = showState(path); !shown)
      return shown;
  return {};
}

static Expected<void> compare(const StateFiles &files) {
  Expected<StateFile> a = StateFile::open(files.a), b = StateFile::open(files.b);
  if (!a || !b)
    return !a ? a.error() : b.error();
  Expected<StateComparison> compared = compareStates(*a, *b);
  if (!compared)
    return compared.error();
  fmt::print("  model        {}\n",
             compared->sameModel ? "the same" : fmt::format("{} and {}", a->fingerprint(), b->fingerprint()));
  fmt::print("  position     {}\n", compared->samePosition ? "the same" : fmt::format("{} and {}", a->position(), b->position()));
  fmt::print("  tokens       {}\n",
             compared->sameTokens ? "the same" : fmt::format("the first {} are the same", compared->commonTokens));
  fmt::print("  random       {}\n", compared->sameKey ? "the same" : "another seed or sequence");
  for (const StateDistance &state : compared->states)
    fmt::print("  {:<12} {}\n", "state." + state.name,
               state.sameBits ? "the same bits" : fmt::format("relative distance {:.3g}", state.relative));
  if (!compared->identical())
    return Error{fmt::format("{} and {} go on differently", files.a, files.b)};
  fmt::print("both go on alike\n");
  return {};
}

Command addState(CLI::App &tool) {
  auto files = std::make_shared<StateFiles>();
  CLI::App *app = tool.add_subcommand("state", "Saved states: what they hold, and whether two are the same");
  app->require_subcommand(1);
  CLI::App *info = app->add_subcommand("info", "The model, the position, the tokens and the shapes of states");
  info->add_option("FILE", files->shown, "states that generate or logits saved with --state-out")->required();
  CLI::App *both = app->add_subcommand("compare", "How far two states are apart; exit code 0 only when both go on alike");
  both->add_option("A", files->a, "a saved state")->required();
  both->add_option("B", files->b, "another, of a model of the same shape")->required();
  app->footer("Examples:\n"
              "  sm1-run generate model.sm1pkg --max-tokens 200 --tokens-out a.json --state-out a.state\n"
              "  sm1-run generate model.sm1pkg --state-in a.state -o whole.mid    as if it had never stopped\n"
              "  sm1-run generate model.sm1pkg --state-in a.state --batch 4 -o end.mid\n"
              "  sm1-run state info a.state\n"
              "  sm1-run state compare a.state b.state");
  return {app, [files, info] { return info->parsed() ? showStates(files->shown) : compare(*files); }};
}
