// sm1-run score: how well a model predicts given token lists, in nats a token.
#include "Commands.h"
#include "OpenModel.h"
#include "Progress.h"

#include "sm1rt/music/TokenFile.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

using namespace sm1rt;

namespace {

struct ScoreOptions {
  CommonOptions common;
  std::string tokens;
  bool verbose = false;
};

/// Lists first..last-1 run side by side.
struct Group {
  size_t first, last;
};

/// Scores lists from zero state. Bits do not depend on how lists are grouped or cut, so groups are chosen for speed and memory
/// alone.
class Scorer {
public:
  Scorer(Model &model, const TokenModel &ports, const TokenLists &lists)
      : model(model), ports(ports), lists(lists), nats(lists.size(), 0.0) {}

  Expected<void> run(bool verbose);
  double totalNats() const;
  int64_t totalTokens() const;

private:
  Group nextGroup(size_t first) const;
  Expected<void> scoreGroup(Group group, Progress &progress);
  Expected<void> scoreBlock(Group group, std::vector<Sequence> &sequences, size_t begin, size_t end);

  Model &model;
  const TokenModel &ports;
  const TokenLists &lists;
  std::vector<double> nats; ///< per list
  int64_t tokensDone = 0;
};

/// Logits of one run stay under this many bytes, except where a sequence must not be cut.
constexpr int64_t logitsBytes = 4 << 20;
constexpr int64_t leastRows = 64;

} // namespace

/// -log p(token) in double precision.
static double natsOf(const float *logits, int64_t count, int32_t token) {
  double best = *std::max_element(logits, logits + count), total = 0;
  for (int64_t index = 0; index < count; ++index)
    total += std::exp(double(logits[index]) - best);
  return std::log(total) + best - double(logits[token]);
}

static size_t rowBudget(int64_t logitsWidth) { return size_t(std::max(logitsBytes / (4 * logitsWidth), leastRows)); }

/// As many lists as fit, at least one.
Group Scorer::nextGroup(size_t first) const {
  size_t last = first + 1, rows = lists[first].size();
  while (last < lists.size() && rows + lists[last].size() <= rowBudget(ports.logitsWidth))
    rows += lists[last++].size();
  return {first, last};
}

Expected<void> Scorer::scoreGroup(Group group, Progress &progress) {
  std::vector<Sequence> sequences;
  size_t longest = 0;
  for (size_t list = group.first; list < group.last; ++list) {
    sequences.push_back(model.newSequence());
    longest = std::max(longest, lists[list].size());
  }
  size_t block = model.plan().wholeSequence ? longest : rowBudget(ports.logitsWidth);
  for (size_t begin = 0; begin < longest; begin += block) {
    if (Expected<void> scored = scoreBlock(group, sequences, begin, begin + block); !scored)
      return scored;
    progress.update(tokensDone);
  }
  return {};
}

/// Positions begin to end-1 of every list of the group; each but a list's last predicts the token after it.
Expected<void> Scorer::scoreBlock(Group group, std::vector<Sequence> &sequences, size_t begin, size_t end) {
  std::vector<Piece> pieces;
  for (size_t list = group.first; list < group.last; ++list) {
    const std::vector<int32_t> &tokens = lists[list];
    if (tokens.size() <= begin)
      continue;
    Piece piece;
    piece.sequence = &sequences[list - group.first];
    piece.tokens = &tokens[begin];
    piece.count = int64_t(std::min(end, tokens.size()) - begin);
    for (int64_t row = 0; row < piece.count && begin + size_t(row) + 1 < tokens.size(); ++row)
      piece.selected.push_back(row);
    pieces.push_back(std::move(piece));
  }
  Expected<Outputs> outputs = model.run("prefill", pieces);
  if (!outputs)
    return outputs.error();
  const float *logits = (*outputs)[ports.logitsOutput].data();
  size_t piece = 0;
  for (size_t list = group.first; list < group.last; ++list) {
    if (lists[list].size() <= begin)
      continue;
    for (int64_t row : pieces[piece].selected) {
      nats[list] += natsOf(logits, ports.logitsWidth, lists[list][begin + size_t(row) + 1]);
      logits += ports.logitsWidth;
    }
    tokensDone += pieces[piece++].count;
  }
  return {};
}

Expected<void> Scorer::run(bool verbose) {
  int64_t all = 0;
  for (const std::vector<int32_t> &list : lists)
    all += int64_t(list.size());
  Progress progress("scoring", all, "tokens");
  for (Group group{0, 0}; group.last < lists.size();) {
    group = nextGroup(group.last);
    if (Expected<void> scored = scoreGroup(group, progress); !scored)
      return scored.error().in(fmt::format("lists {} to {}", group.first, group.last - 1));
    for (size_t list = group.first; list < group.last; ++list) {
      if (!std::isfinite(nats[list]))
        return Error{fmt::format("list {}: its score is {}; the model's logits are not finite", list, nats[list])};
      if (verbose)
        fmt::print("list {}: {:.6f} nats over {} tokens\n", list, nats[list], lists[list].size() - 1);
    }
  }
  return {};
}

double Scorer::totalNats() const {
  double total = 0;
  for (double each : nats)
    total += each;
  return total;
}

int64_t Scorer::totalTokens() const {
  int64_t total = 0;
  for (const std::vector<int32_t> &list : lists)
    total += int64_t(list.size()) - 1;
  return total;
}

static Expected<void> score(const ScoreOptions &options) {
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  Expected<TokenModel> ports = tokenModelOf(model->plan(), options.common.model);
  if (!ports)
    return ports.error();
  Expected<TokenLists> lists = readTokenFile(options.tokens, {ports->vocabulary});
  if (!lists)
    return lists.error();
  Scorer scorer(*model, *ports, *lists);
  if (scorer.totalTokens() == 0)
    return Error{fmt::format("{}: nothing to predict, every list has one token; give longer lists", options.tokens)};
  if (Expected<void> done = scorer.run(options.verbose); !done)
    return done.error().in(options.tokens);
  fmt::print("total {:.6f} nats/token over {} tokens\n", scorer.totalNats() / double(scorer.totalTokens()), scorer.totalTokens());
  return {};
}

Command addScore(CLI::App &tool) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App *app = tool.add_subcommand("score", "How well a model predicts token lists");
  addCommonOptions(*app, options->common);
  app->add_option("--tokens", options->tokens, "JSON list of token lists")->required()->type_name("FILE");
  app->add_flag("--verbose", options->verbose, "a line for every list");
  app->footer(
      "The score of a list is -log p(token | tokens before it), summed over all but its first token, from zero state.\n"
      "The last line is: total <x> nats/token over <n> tokens. Less is better.\n\n"
      "Examples:\n"
      "  sm1-run score checkpoints/chorales --tokens pieces.json\n"
      "  sm1-run score checkpoints/chorales --tokens pieces.json --form=closed_form    the published arithmetic, for comparison");
  return {app, [options] { return score(*options); }};
}
