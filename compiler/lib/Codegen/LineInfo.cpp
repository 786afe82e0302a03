//===- LineInfo.cpp - lines of the description in machine code ----------------------------------------------------===//
//
// Operations that were fused or made of several have all their places. A line table has one for each instruction, and LLVM's own
// merge of two places is line 0; so the first place stays, which is that of the operation a kernel is named after.

#include "sm1c/Codegen.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/IR/Location.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace sm1;

/// The first place in a file; `otherwise` where there is none.
static Location onePlace(Location loc, Location otherwise) {
  Location place = otherwise;
  loc->walk([&](Location part) {
    if (!isa<FileLineColLoc>(part))
      return WalkResult::advance();
    place = part;
    return WalkResult::interrupt();
  });
  return place;
}

LogicalResult sm1::addLineInfo(ModuleOp lowered) {
  for (auto function : lowered.getOps<LLVM::LLVMFuncOp>()) {
    Location place = onePlace(function.getLoc(), lowered.getLoc());
    function->setLoc(place);
    function.getBody().walk([&](Operation *op) { op->setLoc(onePlace(op->getLoc(), place)); });
  }
  PassManager passes(lowered.getContext());
  // Only the directives .file and .loc: no sections that a loader would have to know.
  passes.addPass(LLVM::createDIScopeForLLVMFuncOpPass({LLVM::DIEmissionKind::DebugDirectivesOnly}));
  return passes.run(lowered);
}
