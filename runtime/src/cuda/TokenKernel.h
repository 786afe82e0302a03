// One launch for whole tokens: compiled for this chip, with the weights in the order of their use.
#ifndef SM1RT_SRC_CUDA_TOKENKERNEL_H
#define SM1RT_SRC_CUDA_TOKENKERNEL_H

#include "../Device.h"
#include "../TokenShares.h"
#include "LaunchClock.h"
#include "Module.h"
#include "TokenDelays.h"
#include "TokenOrders.h"

#include <map>

namespace sm1rt::cuda {

class TokenKernel {
public:
  /// Compiles the text of `target` for one sequence, arranges the weights. Errors: no NVRTC, a chip that cannot run it.
  static Expected<std::unique_ptr<TokenKernel>> make(const std::shared_ptr<Context> &context, const Package &package,
                                                     const std::string &target, const Weights &weights);

  /// Sequences that one launch takes at most: more have no room beside a ring of weights.
  int64_t mostSequences() const;

  /// Of the kernel for one sequence.
  const TokenDelays &delays() const { return variants.begin()->second.delays; }
  /// Whether it chooses tokens: Model::chooses of its text.
  bool takesOrders() const { return hasChoices; }
  /// Device::runTokens, orderTokens, awaitTokens.
  Expected<void> run(const TokenRun &run);
  void order(const uint8_t *choices, bool goesOn) { ordered->orders->order(choices, goesOn); }
  Expected<const uint8_t *> await();

private:
  /// The kernel for up to so many sequences.
  struct Variant {
    Module module;
    CUfunction function;
    std::string path; ///< of the code in the user's cache; empty: it has none
    TokenDelays delays;
    std::unique_ptr<DeviceBuffer> exchange, keys;
    std::unique_ptr<TokenOrders> orders; ///< null: it chooses nothing
    unsigned epoch = 1;                  ///< of the next launch; memory that was never written has 0
    unsigned tags = ~0u;                 ///< of the next words of each sequence; likewise

    /// A token was begun.
    void count(const PlanToken &plan, int64_t sequences);
  };

  TokenKernel(std::shared_ptr<Context> context, const PlanToken &plan, TokenShares shares)
      : context(std::move(context)), plan(plan), shares(std::move(shares)) {}
  Expected<void> arrange(const Package &package, const Weights &weights);
  Expected<void> collectVectors(const Package &package, const Weights &weights);
  Expected<void> checkVectors(const Package &package) const;
  Expected<std::unique_ptr<DeviceBuffer>> toDevice(const void *data, uint64_t bytes) const;
  int64_t sizeFor(int64_t sequences) const;
  Expected<Variant *> variantFor(int64_t sequences);
  Expected<void> chooseDelays(Variant &variant, int64_t sequences);
  Expected<TokenClocks> measureDelays(Variant &variant, int64_t sequences);
  Expected<double> timeRepeated(Variant &variant, sm1token::Launch &launch, int count, LaunchClock &clock);
  Expected<double> timeOrdered(Variant &variant, sm1token::Launch &launch, int count);
  void orderFrom(Variant &variant, sm1token::Launch &launch);
  sm1token::Launch launchOf(const Variant &variant, const TokenRun &run) const;
  Expected<void> start(Variant &variant, int64_t sequences, sm1token::Launch &launch);
  Expected<Variant> makeVariant(int64_t sequences) const;
  int64_t threadsFor(int64_t sequences) const;

  std::shared_ptr<Context> context;
  const PlanToken &plan;
  TokenShares shares;
  std::string text;
  int64_t vocabulary = 0;
  bool hasChoices = false;

  std::map<int64_t, Variant> variants; ///< by sequences
  Variant *ordered = nullptr;          ///< the one that was started last to follow orders
  int64_t orderedSequences = 0;
  std::unique_ptr<DeviceBuffer> deviceShares, stream, uses, vectors, inverses;
  const void *table = nullptr;
  uint64_t stateBytes = 0; ///< of one sequence
  std::vector<uint64_t> stateOffsets;
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_TOKENKERNEL_H
