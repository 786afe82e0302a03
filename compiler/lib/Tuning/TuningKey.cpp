//===- TuningKey.cpp - what a tuned schedule is found by ---------------------------------------------------------===//

#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Tuning.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace sm1;

Entry sm1::entryOfKernel(KernelOp kernel, Entry entry) {
  bool isPrefill = entry != Entry::Both && !isStep(entry);
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  bool hasShortChunks = cutsTime(blocks) && blocks.getThreads() < 256;
  bool hasOwnScan =
      (entry == Entry::PrefillSeveral && blocks.getForm() == BlockForm::Scan) || (entry == Entry::PrefillFew && hasShortChunks);
  bool isShared =
      !isTensorTiles(kernel.getBlocksAttr().getForm()) && kernel.getBlock().getOps<PanelSquaresOp>().empty() && !hasOwnScan;
  if (takesChunks(entry) && kernel->hasAttr(ofLongAttr))
    return Entry::PrefillLong;
  if (entry == Entry::PrefillLong || (entry == Entry::PrefillLarger && !hasHalfTiles(kernel))) // most are those of many rows
    return Entry::Prefill;
  if (entry == Entry::StepSeveral && !kernel->hasAttr(lateNextAttr)) // the others are those of few sequences
    return Entry::StepFew;
  return isPrefill && isShared ? Entry::Prefill : entry;
}

/// "1536x768xbf16": the sizes that are known, and the elements.
static std::string typeWord(Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    for (int64_t size : tensor.getShape())
      if (!ShapedType::isDynamic(size))
        stream << size << 'x';
  stream << getElementTypeOrSelf(type);
  return text;
}

/// Everything but elementwise operations one by one; of these, how many there are.
static std::string operationWords(KernelOp kernel) {
  SmallVector<std::string> words;
  size_t elementwise = 0;
  for (Operation &op : kernel.getBlock().without_terminator()) {
    if (auto linear = dyn_cast<LinearOp>(op))
      words.push_back("linear" + typeWord(linear.getWeight().getType()) + (linear.getInt8() ? "xint8" : ""));
    else if (isa<Sm1Dialect>(op.getDialect()) && !isRowInvariant(&op))
      words.push_back((op.getName().stripDialect() + typeWord(op.getResult(0).getType())).str());
    else
      elementwise += !isRowInvariant(&op);
  }
  if (elementwise)
    words.push_back("ew" + std::to_string(elementwise));
  return llvm::join(words, "+");
}

std::string sm1::tuningKey(KernelOp kernel, Entry entry, StringRef compute) {
  std::string where = entry == Entry::Both ? "cpu" : (entryName(entry) + "/" + compute).str();
  SmallVector<std::string> read, written;
  for (Type type : kernel.getInputs().getTypes())
    if (classify(type) != TensorClass::Param)
      read.push_back(typeWord(type));
  for (Type type : kernel.getResultTypes())
    written.push_back(typeWord(type));
  return where + (kernel.getSelected() ? "/selected/" : "/") + operationWords(kernel) + "/" + llvm::join(read, "+") + "->" +
         llvm::join(written, "+");
}

std::string sm1::scheduleWords(KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (ScheduleAttr tiles = kernel.getScheduleAttr())
    stream << "row_tile=" << tiles.getRowTile() << " panel_tile=" << tiles.getPanelTile()
           << " single_row_panels=" << tiles.getSingleRowPanels() << " row_split=" << tiles.getRowSplit()
           << " panel_split=" << tiles.getPanelSplit() << " row_band=" << tiles.getRowBand()
           << " apart=" << (tiles.getApart() ? "true" : "false") << " widen_rows=" << tiles.getWidenRows()
           << " products=" << stringifyProducts(tiles.getProducts()) << " matrix_rows=" << tiles.getMatrixRows()
           << " matrix_panels=" << tiles.getMatrixPanels();
  else if (BlockScheduleAttr blocks = kernel.getBlocksAttr())
    stream << "form=" << stringifyBlockForm(blocks.getForm()) << " threads=" << blocks.getThreads()
           << " row_tile=" << blocks.getRowTile() << " row_split=" << blocks.getRowSplit()
           << " panel_split=" << blocks.getPanelSplit() << " stages=" << blocks.getStages()
           << " depth_split=" << blocks.getDepthSplit();
  return text;
}
