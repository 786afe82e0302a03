//===- SetScanForm.cpp - choose the arithmetic of every scan -----------------------------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_SETSCANFORM
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

namespace {
struct SetScanForm : sm1::impl::SetScanFormBase<SetScanForm> {
  using SetScanFormBase::SetScanFormBase;

  void runOnOperation() override {
    std::optional<sm1::ScanForm> chosen = sm1::symbolizeScanForm(form);
    if (!chosen) {
      getOperation()->emitError("form must be exact or closed_form, got '") << form << "'";
      return signalPassFailure();
    }
    getOperation()->walk([&](sm1::ScanOp scan) { scan.setForm(*chosen); });
  }
};
} // namespace
