//===- PrintCuda.cpp - the forms rows and scan in CUDA C++, and the file around them -----------------------------===//

#include "../Lowering/TileEvaluator.h"
#include "../Transforms/KernelMerge.h"
#include "Elementwise.h"
#include "KernelText.h"
#include "sm1c/Cuda.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

/// Operations that differ from row to row, in order.
static SmallVector<Operation *> rowOps(KernelOp kernel) {
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBlock().without_terminator())
    if (!isRowInvariant(&op))
      ops.push_back(&op);
  return ops;
}

int64_t KernelText::rowSplit() { return normIn(rowOps(kernel)) ? 1 : schedule.getRowSplit(); }

bool KernelText::needsSegment() { return !isStep && !kernel.getBlock().getOps<Conv1dOp>().empty(); }

//===----------------------------------------------------------------------===//
// Form: rows
//===----------------------------------------------------------------------===//

void KernelText::openRow() {
  int64_t split = rowSplit();
  if (split == 1)
    line("const int64_t row = blockIdx.x;");
  else
    open(llvm::formatv("for (int64_t row = int64_t(blockIdx.x) * {0}; row < min(int64_t(blockIdx.x + 1) * {0}, n); ++row)", split));
  if (needsSegment())
    line("const int64_t segment = rowSegment[row], start = segmentStart[segment], end = segmentStart[segment + 1];");
}

void KernelText::openColumns() {
  defined.clear();
  int64_t split = schedule.getPanelSplit() * panelWidth;
  if (split == 0)
    open("for (int column = 4 * threadIdx.x; column < stride; column += 4 * blockDim.x)");
  else
    open(llvm::formatv("for (int column = {0} * blockIdx.y + 4 * threadIdx.x; column < min({0} * int(blockIdx.y + 1), stride); "
                       "column += 4 * blockDim.x)",
                       split));
}

void KernelText::printRows() {
  SmallVector<Operation *> later = rowOps(kernel);
  RmsNormOp norm = normIn(later);
  line(llvm::formatv("constexpr int {0}stride = {1}; // channels of a row, in whole panels of 16",
                     norm ? "width = " + std::to_string(width) + ", " : "", stride));
  if (norm)
    line("__shared__ __align__(16) float values[stride];");
  openRow();
  SmallVector<Operation *> earlier;
  if (norm) {
    earlier = sliceOf(kernel, norm.getX());
    openColumns();
    compute(earlier);
    std::string x = use(norm.getX());
    line("sm1::store(values + column, " + (width == stride ? x : "sm1::firstOf(" + x + ", width - column)") + ");");
    storeStreams([&](Value value) { return llvm::is_contained(earlier, value.getDefiningOp()); });
    close();
    line("const float inverse = sm1::inverseRms(values, width, stride, " + cudaLiteral(norm.getEps()) + ");");
  }
  openColumns();
  if (norm)
    define(norm, "sm1::load(values + column) * inverse * " + use(norm.getWeight()), norm);
  llvm::erase_if(later, [&](Operation *op) { return op == norm || llvm::is_contained(earlier, op); });
  compute(later);
  storeStreams([&](Value value) { return !llvm::is_contained(earlier, value.getDefiningOp()); });
  close();
  if (rowSplit() != 1)
    close();
}

//===----------------------------------------------------------------------===//
// Form: scan
//===----------------------------------------------------------------------===//

void KernelText::printWalk(ScanOp scan, const std::string &h) {
  line("__syncthreads();");
  line("// A thread a channel: each row needs the one before.");
  line("#pragma unroll 8");
  open("for (int i = 0; walks && i < rows; ++i)");
  if (scan.getForm() == ScanForm::ClosedForm) {
    line("product = __fmul_rn(product, decays[i][threadIdx.x]);");
    line("sum = __fadd_rn(sum, __fdiv_rn(inputs[i][threadIdx.x], sm1::maximum(product, 1e-06f)));");
    line(h + " = __fmul_rn(product, __fadd_rn(" + h + "_start, sum));");
  } else
    line(h + " = sm1::fma(decays[i][threadIdx.x], " + h + ", inputs[i][threadIdx.x]);" + origin(scan));
  line("inputs[i][threadIdx.x] = " + h + ";");
  close();
  line("__syncthreads();");
}

void KernelText::printScan() {
  auto scan = *kernel.getBlock().getOps<ScanOp>().begin();
  std::string h = unique(nameOf(scan.getH()) + "_state");
  int64_t channelsOfTile = schedule.getPanelSplit() ? schedule.getPanelSplit() * panelWidth : stride;
  line(llvm::formatv("constexpr int stride = {0}; // channels of a row, in whole panels of 16", stride));
  line(llvm::formatv("constexpr int threads = {0}, tileChannels = {1}, tileRows = threads / (tileChannels / 4);",
                     schedule.getThreads(), channelsOfTile));
  line("__shared__ __align__(16) float decays[tileRows][tileChannels], inputs[tileRows][tileChannels]; // h takes the place of the "
       "input");
  line("const int64_t segment = blockIdx.x, start = segmentStart[segment], end = segmentStart[segment + 1];");
  line("const int tileRow = threadIdx.x / (tileChannels / 4), lane = threadIdx.x % (tileChannels / 4) * 4;");
  line("const int64_t column = blockIdx.y * tileChannels + lane, channel = blockIdx.y * tileChannels + threadIdx.x;");
  line("const bool walks = threadIdx.x < tileChannels;");
  line("float " + h + " = " +
       (scan.getInit() ? "walks ? " + nameOf(scan.getInit()) + "[segment * stride + channel] : 0.0f" : std::string("0.0f")) + ";");
  if (scan.getForm() == ScanForm::ClosedForm)
    line("const float " + h + "_start = " + h + "; float product = 1.0f, sum = 0.0f;" + origin(scan));
  open("for (int64_t first = start; first < end; first += tileRows)");
  line("const int rows = int(min(end - first, int64_t(tileRows)));");
  line("const int64_t row = first + min(tileRow, rows - 1); // threads past the end repeat the last row, and store nothing");
  SmallVector<Operation *> before = sliceOf(kernel, scan.getDecay()), after = rowOps(kernel);
  for (Operation *op : sliceOf(kernel, scan.getInput()))
    if (!llvm::is_contained(before, op))
      before.push_back(op);
  llvm::erase_if(after, [&](Operation *op) { return op == scan || llvm::is_contained(before, op); });
  compute(before);
  std::string decay = use(scan.getDecay()), input = use(scan.getInput());
  line("sm1::store(&decays[tileRow][lane], " + decay + ");");
  line("sm1::store(&inputs[tileRow][lane], " + input + ");");
  printWalk(scan, h);
  define(scan.getH(), "sm1::load(&inputs[tileRow][lane])", scan);
  compute(after);
  open("if (tileRow < rows)");
  storeStreams([](Value) { return true; });
  close();
  close();
  for (const std::string &last : resultsOf(scan.getLast())) {
    line("if (walks)");
    line("  " + last + "[segment * stride + channel] = " + h + ";");
  }
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

CudaText::CudaText(StringRef file, StringRef text) : names(std::make_unique<SourceNames>(file, text)) {}
CudaText::~CudaText() = default;

void CudaText::add(ModuleOp module, Entry entry) {
  bool isStep = entry == Entry::Step;
  module.walk([&](KernelOp kernel) {
    if (!seen.insert(kernel.getKernelName()).second) // programs for other numbers of rows share kernels
      return;
    std::string why = whyNotCuda(kernel, isStep);
    if (why.empty())
      kernels += "\n" + KernelText(kernel, isStep, *names).print();
    else
      left += llvm::formatv("//   {0}: {1}\n", kernel.getKernelName(), why);
  });
}

std::string CudaText::finish(StringRef model, StringRef target) const {
  std::string head = llvm::formatv(
      "// Kernels of {0} for {1}. Lines are those of its description: sm1c {0} --emit=spec\n"
      "// sm1-run ... --device=cuda --replace=scan=FILE.cu runs scan_kernel, or what you make of it, as kernel 'scan'.\n",
      model, target);
  if (!left.empty())
    head += "// Not printed, for want of a form in CUDA C++:\n" + left;
  return head + "#include \"sm1_math.cuh\"\nusing sm1::bf16x4, sm1::f16x4, sm1::f32x4;\n" + kernels;
}
