//===- Compile.h - a description in, a package or a stage of it out: all that sm1c does --------------------------===//
//
// Needs neither MLIR nor LLVM headers, so that a host program can hold it.

#ifndef SM1C_COMPILE_H
#define SM1C_COMPILE_H

#include <functional>
#include <string>
#include <vector>

namespace sm1 {

struct CompileRequest {
  /// A description FILE.mlir, or a checkpoint directory with config.json.
  std::string model;
  /// Where the package goes, or the text of `emit`; empty with `emit`: standard output.
  std::string output;
  /// Names of the target table; "native": every level of this machine's architecture, those for bf16 and bytes where `compute` multiplies
  /// such. Empty: native and sm_120 for a package, native where matrices are quantised; sm_120 for `emit` = "ptx" or "cuda", native for
  /// every other text.
  std::vector<std::string> targets;
  /// "f32", "bf16", "f16", and for CPUs "int8" (a scale for each row) and "int4" (one for 32 columns); empty: as the checkpoint stores its
  /// matrices, f32 without one. Tables that tokens look up are bf16 beside quantised matrices.
  std::string weights;
  /// "f32"; "bf16" where matrices are stored as bf16; "int8" where they are quantised. Empty: f32 on CPUs, and on GPUs bf16 where matrices
  /// are stored as bf16, else f32.
  std::string compute;
  /// "exact", "closed_form".
  std::string form = "exact";
  /// Checkpoint file or directory; empty: the model's own directory.
  std::string params;
  /// "package", "external"; empty: in the package when there is a checkpoint.
  std::string weightsIn;
  /// What to write instead of a package: the name of a stage, "plan", "llvm", "asm", or "ptx" or "cuda" for one GPU.
  std::string emit;
  /// Folder for every stage as a numbered file; created when it is not there.
  std::string dumpStages;
  /// Fusion passes to leave out; "all" leaves out every one.
  std::vector<std::string> disabledPasses;
  /// Entries for so many rows that packages for GPUs have beside prefill and step, or "none"; empty: all that a target has.
  std::vector<std::string> variants;
  /// Shared libraries with passes of other people, see Plugin.h.
  std::vector<std::string> plugins;
  /// "STAGE=PASSES": passes on the way to a stage in the place of its own, for which the word "default" stands.
  std::vector<std::string> pipelines;
  /// A file of schedules that a person wrote, see docs/Schedules.md; empty: none.
  std::string schedule;
  /// A file of measured schedules beside those that the compiler comes with, or "none" for neither; see docs/Tuning.md.
  std::string tuned;
  /// For writeCandidates: the folder, how many candidates a kernel has at most beside its present schedule, and the device that
  /// measures them here ("cpu", "cuda"); empty: none.
  std::string tune;
  int tuneCandidates = 8;
  std::string tuneDevice;
  /// For storeTuned: the file of measured schedules to write.
  std::string tuneInto;
  /// Carry the lines of the description into machine code.
  bool lineInfo = false;
  /// For diffStage and writeReport: the stage to compare, the page to write.
  std::string diffStage, reportPage;
  /// The options of the other way, as words for people.
  std::string compareText;
  /// Say what fusion passes did and did not do.
  bool remarks = false;
  /// Say how long each phase took.
  bool timing = false;
};

/// Called with one line (no line end) for a person: an error, a note, a remark. From the calling thread.
using Report = std::function<void(const std::string &line)>;

/// False after an error, which has been reported; nothing has been written then but what `dumpStages` asked for.
bool compile(const CompileRequest &request, const Report &report);

/// Prints, line by line, the difference that `other` makes at the stage `request.diffStage`, as `diff -u` does; nothing where there is
/// none. False after an error.
bool diffStage(const CompileRequest &request, const CompileRequest &other, const Report &report, const Report &print);

/// Prints the passes on the way to each stage, as --pipeline takes them. False after an error.
bool printPipelines(const CompileRequest &request, const Report &report, const Report &print);

/// Writes `request.reportPage`, one page of HTML that shows what is made of the description: kernels, stages, predictions; with `other`,
/// both beside each other. False after an error.
bool writeReport(const CompileRequest &request, const CompileRequest *other, const Report &report);

/// Writes packages with other schedules to `request.tune`, and has them measured where a device is named. False after an error.
bool writeCandidates(const CompileRequest &request, const Report &report);

/// Reads what was measured of the candidates in `folder`, and puts the schedules that won into the file `path`, where others stay.
/// False after an error; the file is as it was then.
bool storeTuned(const std::string &folder, const std::string &path, const Report &report);

/// Names that `targets`, `emit` and `disabledPasses` may hold.
std::vector<std::string> targetNames();
std::vector<std::string> emitNames();
std::vector<std::string> fusionPassNames();
/// "sm1c 0.1.0 (LLVM 22.1.8)".
std::string compilerVersion();

} // namespace sm1

#endif // SM1C_COMPILE_H
