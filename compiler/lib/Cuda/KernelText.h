//===- KernelText.h - one kernel as a function of CUDA C++ -------------------------------------------------------===//
//
// The same work as Lowering/Gpu does for the forms `rows` and `scan`, said for readers: a thread has four neighbouring channels of
// a row, f32x4, and every operation of the description is a line that names it. Helpers are those of kernels/sm1_math.cuh.

#ifndef SM1C_CUDA_KERNELTEXT_H
#define SM1C_CUDA_KERNELTEXT_H

#include "SourceNames.h"

#include "llvm/ADT/StringSet.h"

namespace sm1 {

/// Why `kernel` has no form in CUDA C++; empty if it has one.
std::string whyNotCuda(KernelOp kernel, bool isStep);

class KernelText {
public:
  KernelText(KernelOp kernel, bool isStep, const SourceNames &names);
  /// The function; for a kernel of which whyNotCuda says nothing.
  std::string print();

private:
  //===-- Text ----------------------------------------------------------------------------------------------------------===//
  void line(const llvm::Twine &text);
  void open(const llvm::Twine &text); ///< a line that begins a block
  void close();
  /// "  // math.exp, line 57".
  std::string origin(mlir::Operation *op) const;
  void printHead();
  void printParameter(mlir::Type type, llvm::StringRef layout, const std::string &name, bool isConst);

  //===-- Values --------------------------------------------------------------------------------------------------------===//
  /// A name that nothing else in the kernel has.
  std::string unique(const std::string &wanted);
  std::string nameOf(mlir::Value value);
  /// An expression for `value`, computed or loaded in the lines before if it was not yet.
  std::string use(mlir::Value value);
  void define(mlir::Value value, const llvm::Twine &expression, mlir::Operation *op);
  /// "h + row * stride + column".
  std::string place(const std::string &pointer, const llvm::Twine &row, int64_t rowStride) const;
  std::string strideName(int64_t of) const;
  /// Parameters that get `value`.
  llvm::SmallVector<std::string> resultsOf(mlir::Value value);

  //===-- Operations ----------------------------------------------------------------------------------------------------===//
  void compute(llvm::ArrayRef<mlir::Operation *> ops);
  void computeOne(mlir::Operation *op);
  void computeElementwise(mlir::Operation *op);
  void computeConv(Conv1dOp conv);
  void computeScanStep(ScanOp scan);
  void computeSplit(SplitOp split);
  void computeGather(mlir::Operation *op, mlir::Value source, const std::string &indices);
  /// Stores the streams among `values` that the kernel yields.
  void storeStreams(llvm::function_ref<bool(mlir::Value)> which);

  //===-- Forms ---------------------------------------------------------------------------------------------------------===//
  void printRows();
  void openRow();
  void openColumns();
  void printScan();
  void printWalk(ScanOp scan, const std::string &h);
  bool needsSegment();
  /// Rows of a block: one where there is a norm, which shares what it keeps of a row among all threads.
  int64_t rowSplit();

  KernelOp kernel;
  BlockScheduleAttr schedule;
  bool isStep;
  const SourceNames &names;
  std::string text;
  int depth = 0;
  int64_t width, stride;
  llvm::DenseMap<mlir::Value, std::string> known;   ///< name of each value
  llvm::DenseMap<mlir::Value, std::string> loaded;  ///< name of what is loaded from an argument
  llvm::DenseMap<mlir::Value, std::string> defined; ///< expression of what the current block has
  llvm::SmallVector<std::string> results;           ///< parameter of each result
  llvm::StringSet<> taken;
  llvm::SmallPtrSet<mlir::Operation *, 4> storedLast;
};

} // namespace sm1

#endif // SM1C_CUDA_KERNELTEXT_H
