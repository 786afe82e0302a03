//===- FuseRounding.cpp - let the kernel that computes a value round it too --------------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSEROUNDING
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

namespace {
struct FuseRounding : sm1::impl::FuseRoundingBase<FuseRounding> {
  void runOnOperation() override {
    fusePairs(getOperation(), "FuseRounding", /*keepProducerName=*/true,
              [](KernelOp producer, KernelOp consumer) -> std::optional<const char *> {
                if (!onlyRounds(consumer) || onlyRounds(producer))
                  return std::nullopt;
                return nullptr;
              });
  }
};
} // namespace
