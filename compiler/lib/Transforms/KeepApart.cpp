//===- KeepApart.cpp - keep kernels out of every fusion ----------------------------------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

namespace sm1 {
#define GEN_PASS_DEF_KEEPAPART
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

namespace {
struct KeepApart : sm1::impl::KeepApartBase<KeepApart> {
  using KeepApartBase::KeepApartBase;

  void runOnOperation() override {
    llvm::SetVector<StringRef> known;
    getOperation()->walk([&](KernelOp kernel) {
      known.insert(kernel.getKernelName());
      if (llvm::is_contained(kernels, kernel.getKernelName()))
        kernel->setAttr(keepApartAttr, UnitAttr::get(&getContext()));
    });
    for (const std::string &name : kernels)
      if (!known.contains(name)) {
        getOperation()->emitError("fuse=off: no kernel is called '")
            << name << "' before fusion; there are " << llvm::join(known, ", ");
        return signalPassFailure();
      }
  }
};
} // namespace
