//===- TunedSchedules.cpp - reading tuned schedules, and putting them on kernels ---------------------------------===//

#include "../Lowering/Gpu/BlockChecks.h"
#include "../Lowering/KernelFunction.h"
#include "sm1c/Tuning.h"

#include "mlir/IR/Remarks.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace sm1;
using llvm::createStringError;

namespace sm1 {
extern const char builtInTuned[]; // compiler/tuned/*.txt, one behind the other
} // namespace sm1

static llvm::Expected<ScheduleFile> readTuned(const std::string &path) {
  auto text = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!text)
    return createStringError(path + ": " + StringRef(text.getError().message()).lower() +
                             "; --tuned names a file that sm1c --tune-into wrote, or none");
  StringRef first = (*text)->getBuffer().split('\n').first.rtrim();
  if (first != tunedHeader)
    return createStringError(path + ":1: '" + first.take_front(60) + "' is not '" + tunedHeader +
                             "'; tune again with this sm1c, or pass --tuned=none");
  return ScheduleFile::parse((*text)->getBuffer(), path);
}

llvm::Expected<TunedSchedules> TunedSchedules::load(const std::string &choice) {
  TunedSchedules tuned;
  if (choice == "none")
    return tuned;
  if (!choice.empty()) {
    auto file = readTuned(choice);
    if (!file)
      return file.takeError();
    tuned.files.push_back(std::move(*file));
  }
  auto own = ScheduleFile::parse(builtInTuned, "compiler/tuned");
  if (!own)
    return own.takeError();
  tuned.files.push_back(std::move(*own));
  return tuned;
}

bool TunedSchedules::has(const std::string &key, const Target &target) const {
  return llvm::any_of(files, [&](const ScheduleFile &file) { return file.schedules(key, target); });
}

LogicalResult TunedSchedules::apply(KernelOp kernel, const std::string &key, const Target &target, bool isStep) const {
  auto file = llvm::find_if(files, [&](const ScheduleFile &file) { return file.schedules(key, target); });
  if (file == files.end())
    return success();
  ScheduleAttr tiles = kernel.getScheduleAttr();
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  DictionaryAttr flags = kernel->getDiscardableAttrDictionary();
  if (failed(file->apply(kernel, key, target)))
    return failure();
  std::string why = target.isGpu() ? whyNotBlocks(kernel, isStep, target) : whyNotTiles(kernel);
  auto options = remark::RemarkOpts::name("Tuned").category("tuning").subCategory(kernel.getKernelName());
  std::string name = kernel.getKernelName().str();
  if (why.empty()) {
    remark::passed(kernel.getLoc(), options) << name + " has a measured schedule for " + target.name.str() + ": " +
                                                    scheduleWords(kernel);
    return success();
  }
  remark::missed(kernel.getLoc(), options) << name + " keeps its own schedule for " + target.name.str() + ", the measured one " +
                                                  why;
  kernel.setScheduleAttr(tiles);
  kernel.setBlocksAttr(blocks);
  kernel->setDiscardableAttrs(flags);
  return success();
}
