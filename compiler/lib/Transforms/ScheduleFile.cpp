//===- ScheduleFile.cpp - reading schedules that a person wrote, and putting them on kernels ---------------------===//
//
// Whether a schedule suits its kernel is asked in three places, each of which knows one part: here what is a matter of words and of
// the target; the attributes' own verifiers; and the lowering, which knows the forms.

#include "sm1c/ScheduleFile.h"

#include "BlockForms.h"
#include "Scheduling.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace sm1;
using llvm::createStringError;

static constexpr llvm::StringLiteral fuseKey = "fuse";
static constexpr llvm::StringLiteral cpuKeys[] = {"row_tile",      "panel_tile", "single_row_panels", "row_split", "panel_split",
                                                  "row_band",      "apart",      "widen_rows",        "products",  "matrix_rows",
                                                  "matrix_panels", "alone"};
static constexpr llvm::StringLiteral gpuKeys[] = {"form",   "threads",     "row_tile", "row_split", "panel_split",
                                                  "stages", "depth_split", "chunks",   "of_one",    "wide_steps"};

/// Rows by panels of one projection's tile are code, written out: more are no faster, and take minutes to compile.
static constexpr int64_t mostTileSums = 64;
static constexpr int64_t largestNumber = 1 << 20;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static std::string listOf(ArrayRef<llvm::StringLiteral> words) { return llvm::join(words, ", "); }

llvm::Error ScheduleFile::errorAt(unsigned line, const llvm::Twine &text) const {
  return createStringError(path + ":" + llvm::Twine(line) + ": " + text);
}

bool ScheduleFile::Line::appliesTo(const Target &target) const {
  return where.empty() || where == target.name || where == (target.isGpu() ? "gpu" : "cpu");
}

/// Why `value` is none of `key`; empty if it is one.
static std::string whyNotValue(StringRef key, StringRef value) {
  auto oneOf = [&](ArrayRef<llvm::StringLiteral> words) {
    return llvm::is_contained(words, value) ? std::string() : (key + "=" + value + ": must be one of " + listOf(words)).str();
  };
  if (key == fuseKey)
    return oneOf({"on", "off"});
  if (llvm::is_contained<StringRef>({"apart", aloneAttr, chunksAttr, ofOneAttr, wideStepsAttr}, key))
    return oneOf({"true", "false"});
  if (key == "products")
    return oneOf({"fma", "table", "dot"});
  if (key == "form")
    return oneOf({"rows", "scan", "tiles", "step", "tensor_tiles", "tensor_step", "wgmma_tiles"});
  int64_t number;
  if (value.getAsInteger(10, number) || number < 0 || number > largestNumber)
    return (key + "=" + value + ": must be a whole number from 0 to " + llvm::Twine(largestNumber)).str();
  return "";
}

/// Whether two lines can be about one kernel of one target.
static bool overlap(StringRef first, StringRef second) {
  if (first.empty() || second.empty() || first == second)
    return true;
  auto covers = [](StringRef kind, StringRef name) {
    const Target *target = findTarget(name);
    return target && kind == (target->isGpu() ? "gpu" : "cpu");
  };
  return covers(first, second) || covers(second, first);
}

llvm::Error ScheduleFile::add(Line line) {
  const Target *target = findTarget(line.where);
  if (!line.where.empty() && line.where != "cpu" && line.where != "gpu" && !target)
    return errorAt(line.number, "no target called '" + line.where + "'; after @ stands cpu, gpu or a name of sm1c --target");
  bool forCpu = line.where == "cpu" || (target && !target->isGpu()), forGpu = line.where == "gpu" || (target && target->isGpu());
  for (auto &[key, value] : line.values) {
    bool onCpu = llvm::is_contained(cpuKeys, key), onGpu = llvm::is_contained(gpuKeys, key);
    if (!onCpu && !onGpu && key != fuseKey)
      return errorAt(line.number,
                     "unknown key '" + key + "'; there are fuse, for CPUs " + listOf(cpuKeys) + ", for GPUs " + listOf(gpuKeys));
    if (key != fuseKey && ((forCpu && !onCpu) || (forGpu && !onGpu)))
      return errorAt(line.number, "'" + key + "' is for " + (onGpu ? "GPUs" : "CPUs") + ", and " + line.where +
                                      " is none; it has " + (forCpu ? listOf(cpuKeys) : listOf(gpuKeys)));
    if (key == fuseKey && !line.where.empty())
      return errorAt(line.number, "kernels are fused before there are targets; write '" + line.kernel + " fuse=" + value +
                                      "' without @" + line.where);
    if (std::string why = whyNotValue(key, value); !why.empty())
      return errorAt(line.number, why);
    auto sameKey = [&, &key = key](auto &pair) { return pair.first == key; };
    if (llvm::count_if(line.values, sameKey) > 1)
      return errorAt(line.number, "'" + key + "' stands twice; give it once");
    for (const Line &before : lines)
      if (before.kernel == line.kernel && overlap(before.where, line.where))
        if (auto same = llvm::find_if(before.values, sameKey); same != before.values.end())
          return errorAt(line.number, line.kernel + ": " + key + "=" + value + " conflicts with " + key + "=" + same->second +
                                          " in line " + llvm::Twine(before.number) + "; give it once");
  }
  lines.push_back(std::move(line));
  return llvm::Error::success();
}

llvm::Expected<ScheduleFile> ScheduleFile::parse(StringRef text, const std::string &path) {
  ScheduleFile file;
  file.path = path;
  SmallVector<StringRef> rows;
  text.split(rows, '\n');
  for (auto [index, row] : llvm::enumerate(rows)) {
    SmallVector<StringRef> words;
    llvm::SplitString(row.split('#').first, words, " \t\r");
    if (words.empty())
      continue;
    Line line;
    line.number = index + 1;
    auto [kernel, where] = words.front().split('@');
    line.kernel = kernel.str(), line.where = where.str();
    if (kernel.empty() || kernel.contains('=') || words.size() == 1)
      return file.errorAt(line.number, "'" + row.trim() + "' is no schedule; a line is KERNEL[@TARGET] KEY=VALUE ...");
    for (StringRef word : ArrayRef(words).drop_front()) {
      auto [key, value] = word.split('=');
      if (key.empty() || value.empty())
        return file.errorAt(line.number, "'" + word + "' is no KEY=VALUE");
      line.values.emplace_back(key.str(), value.str());
    }
    if (llvm::Error error = file.add(std::move(line)))
      return error;
  }
  return file;
}

llvm::Expected<ScheduleFile> ScheduleFile::read(const std::string &path) {
  auto text = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!text)
    return createStringError(path + ": " + StringRef(text.getError().message()).lower() + "; --schedule names a text file");
  return parse((*text)->getBuffer(), path);
}

std::vector<std::string> ScheduleFile::unfused() const {
  std::vector<std::string> names;
  for (const Line &line : lines)
    if (llvm::is_contained(line.values, std::pair<std::string, std::string>(fuseKey.str(), "off")))
      names.push_back(line.kernel);
  return names;
}

llvm::Error ScheduleFile::checkUsed(const llvm::StringSet<> &names) const {
  for (const Line &line : lines) {
    bool schedules = llvm::any_of(line.values, [](auto &pair) { return pair.first != fuseKey; });
    if (!schedules || names.contains(line.kernel))
      continue;
    std::vector<std::string> known;
    for (auto &entry : names)
      known.push_back(entry.getKey().str());
    llvm::sort(known);
    return errorAt(line.number, "no kernel is called '" + line.kernel + "'; there are " + llvm::join(known, ", "));
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Putting it on kernels
//===----------------------------------------------------------------------===//

namespace {
/// The values of a line as they replace those of an attribute.
class Values {
public:
  explicit Values(ArrayRef<std::pair<std::string, std::string>> values) : values(values) {}

  StringRef text(StringRef key, StringRef otherwise) const {
    auto found = llvm::find_if(values, [&](auto &pair) { return pair.first == key; });
    return found == values.end() ? otherwise : StringRef(found->second);
  }
  int64_t number(StringRef key, int64_t otherwise) const {
    StringRef value = text(key, "");
    return value.empty() ? otherwise : std::stoll(value.str());
  }

private:
  ArrayRef<std::pair<std::string, std::string>> values;
};
} // namespace

static ScheduleAttr changed(ScheduleAttr old, const Values &values, llvm::function_ref<InFlightDiagnostic()> emitError) {
  StringRef apart = values.text("apart", old.getApart() ? "true" : "false");
  return ScheduleAttr::getChecked(
      emitError, old.getContext(), values.number("row_tile", old.getRowTile()), values.number("panel_tile", old.getPanelTile()),
      values.number("single_row_panels", old.getSingleRowPanels()), values.number("row_split", old.getRowSplit()),
      values.number("panel_split", old.getPanelSplit()), values.number("row_band", old.getRowBand()), apart == "true",
      values.number("widen_rows", old.getWidenRows()),
      *symbolizeProducts(values.text("products", stringifyProducts(old.getProducts()))),
      values.number("matrix_rows", old.getMatrixRows()), values.number("matrix_panels", old.getMatrixPanels()));
}

static BlockScheduleAttr changed(BlockScheduleAttr old, const Values &values, llvm::function_ref<InFlightDiagnostic()> emitError) {
  return BlockScheduleAttr::getChecked(
      emitError, old.getContext(), *symbolizeBlockForm(values.text("form", stringifyBlockForm(old.getForm()))),
      values.number("threads", old.getThreads()), values.number("row_tile", old.getRowTile()),
      values.number("row_split", old.getRowSplit()), values.number("panel_split", old.getPanelSplit()),
      values.number("stages", old.getStages()), values.number("depth_split", old.getDepthSplit()));
}

/// Gives the kernel the attribute `name` or takes it, where a line says so.
static void setFlag(KernelOp kernel, StringRef name, const Values &values) {
  StringRef wanted = values.text(name, "");
  if (wanted == "true")
    kernel->setAttr(name, UnitAttr::get(kernel.getContext()));
  else if (!wanted.empty())
    kernel->removeAttr(name);
}

/// What a CPU target cannot do of a schedule; empty if it can.
static std::string whyNotOn(const Target &target, KernelOp kernel, ScheduleAttr schedule) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  bool anyInt8 = llvm::any_of(linears, [](LinearOp linear) { return linear.getInt8(); });
  bool anyBf16 = llvm::any_of(linears, [](LinearOp linear) { return getElementTypeOrSelf(linear.getX()).isBF16(); });
  if (schedule.getProducts() == Products::Dot && !target.bf16Dots && (anyBf16 || !anyInt8))
    return ("products=dot of what is not int8 needs AVX512-BF16, which " + target.name + " has not; use products=fma").str();
  if (schedule.getProducts() == Products::Table && target.vectorLanes < 16)
    return ("products=table needs AVX-512, which " + target.name + " has not; use products=fma").str();
  if (schedule.getMatrixRows() && !target.matrixTiles)
    return ("matrix_rows needs tile registers, which " + target.name + " has not; use matrix_rows=0").str();
  int64_t sums = std::max(schedule.getRowTile() * schedule.getPanelTile(), schedule.getSingleRowPanels());
  if (sums > mostTileSums)
    return llvm::Twine("row_tile * panel_tile and single_row_panels may be at most " + llvm::Twine(mostTileSums) + ", got " +
                       llvm::Twine(sums))
        .str();
  return "";
}

bool ScheduleFile::schedules(StringRef name, const Target &target) const {
  return llvm::any_of(lines, [&](const Line &line) { return line.kernel == name && line.appliesTo(target); });
}

LogicalResult ScheduleFile::apply(KernelOp kernel, StringRef name, const Target &target) const {
  for (const Line &line : lines) {
    if (line.kernel != name || !line.appliesTo(target))
      continue;
    Location place = FileLineColLoc::get(kernel.getContext(), path, line.number, 1);
    auto emitHere = [&] { return emitError(place) << kernel.getKernelName() << ": "; };
    Values values(line.values);
    if (ScheduleAttr old = kernel.getScheduleAttr()) {
      ScheduleAttr schedule = changed(old, values, emitHere);
      if (!schedule)
        return failure();
      if (std::string why = whyNotOn(target, kernel, schedule); !why.empty())
        return emitHere() << why;
      kernel.setScheduleAttr(schedule);
      setFlag(kernel, aloneAttr, values);
    } else if (BlockScheduleAttr old = kernel.getBlocksAttr()) {
      BlockScheduleAttr blocks = changed(old, values, emitHere);
      if (!blocks)
        return failure();
      kernel.setBlocksAttr(blocks);
      for (StringRef name : {chunksAttr, ofOneAttr, wideStepsAttr})
        setFlag(kernel, name, values);
    }
  }
  return success();
}
