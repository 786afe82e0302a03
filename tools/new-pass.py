#!/usr/bin/env python3
"""Begins a pass of ours: declaration, source and test, all under one stem.

  tools/new-pass.py FuseGate [--group Transforms|Lowering] [--summary "Fold a gate into the scan that feeds it"] [--root FOLDER]

writes   compiler/include/sm1c/GROUP/Passes.td     the declaration, at the end
         compiler/lib/GROUP/FuseGate.cpp           a pass that walks kernels and says what it did not do
         tests/transforms/fuse-gate.mlir           its test, or tests/lowering/

The pass builds, runs and passes its test as it is; it changes nothing yet. Where it runs is a line of compiler/lib/Stages.cpp, or of
--pipeline. A pass that need not live here is a plugin: compiler/docs/Plugins.md.
"""
import argparse
import pathlib
import re
import sys

TD = '''def {name} : Pass<"sm1-{stem}"> {{
  let summary = "{summary}";
  let description = [{{
    ```mlir
    %y = sm1.kernel "k" (%0 = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {{ ... }}
    // becomes
    ```
    Expects:  kernels.
    Leaves:   kernels as they were.
    Numerics: exact.
  }}];
}}

'''

SOURCE = '''{banner}

#include "{merge}KernelMerge.h"
#include "sm1c/{group}/Passes.h"

#include "mlir/IR/Remarks.h"

namespace sm1 {{
#define GEN_PASS_DEF_{define}
#include "sm1c/{group}/Passes.h.inc"
}} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `kernel` stays as it is; nullptr if it changes.
static const char *whyNot(KernelOp kernel) {{
  if (kernel.getSchedule() || kernel.getBlocks())
    return "it is already scheduled";
  return "nothing is known to be better";
}}

namespace {{
struct {name} : sm1::impl::{name}Base<{name}> {{
  void runOnOperation() override {{
    auto remarkName = remark::RemarkOpts::name("{name}").category("fusion");
    getOperation()->walk([&](KernelOp kernel) {{
      if (const char *why = whyNot(kernel))
        remark::missed(kernel.getLoc(), remarkName) << (kernel.getKernelName() + " stays: " + why).str();
    }});
  }}
}};
}} // namespace
'''

TEST = '''// {summary}.
// RUN: sm1-opt %s -sm1-{stem} -remarks-filter-missed=fusion -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: @keeps
sm1.model @keeps(%x: tensor<?x?x8xf32> {{sm1.name = "x"}}) -> (tensor<?x?x8xf32> {{sm1.name = "y"}}) {{
  // CHECK: sm1.kernel "exp"
  // expected-remark @+1 {{{{exp stays: nothing is known to be better}}}}
  %y = sm1.kernel "exp" (%0 = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {{
    %1 = math.exp %0 : tensor<?x?x8xf32>
    sm1.yield %1 : tensor<?x?x8xf32>
  }}
  sm1.return %y : tensor<?x?x8xf32>
}}
'''


def stem_of(name):
    """fuse-gate of FuseGate."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def banner(name, summary):
    """The first line of a source, as wide as the others."""
    title = f"//===- {name}.cpp - {summary[0].lower() + summary[1:]} "
    return title + "-" * max(3, 115 - len(title)) + "===//"


def with_declaration(text, declaration):
    """Passes.td with one more pass, before the end of its include guard."""
    place = text.rindex("#endif")
    return text[:place] + declaration + text[place:]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("name")
    arguments.add_argument("--group", choices=["Transforms", "Lowering"], default="Transforms")
    arguments.add_argument("--summary", default="Say in one sentence what changes")
    arguments.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    a = arguments.parse_args()
    if not re.fullmatch(r"([A-Z][a-z0-9]+){2,}", a.name):
        sys.exit(f"{a.name}: a pass is called verb and object in CamelCase, such as FuseGate")
    if not re.fullmatch(r'[A-Z][^"\\]{9,89}', a.summary):
        sys.exit(f"{a.summary}: a summary is a sentence of 10 to 90 characters that starts with a capital")
    stem = stem_of(a.name)
    td = a.root / "compiler" / "include" / "sm1c" / a.group / "Passes.td"
    source = a.root / "compiler" / "lib" / a.group / f"{a.name}.cpp"
    test = a.root / "tests" / a.group.lower() / f"{stem}.mlir"
    declared = td.read_text(encoding="utf-8")
    for problem in [f"{path}: is there already" for path in (source, test) if path.exists()] + \
            [f"{td}: declares {a.name} already" for _ in range(f"def {a.name} " in declared or f'"sm1-{stem}"' in declared)]:
        sys.exit(problem)
    words = {"name": a.name, "stem": stem, "group": a.group, "summary": a.summary.rstrip("."), "define": a.name.upper(),
             "merge": "" if a.group == "Transforms" else "../" + "Transforms/", "banner": banner(a.name, a.summary.rstrip("."))}
    td.write_text(with_declaration(declared, TD.format(**words)), encoding="utf-8")
    source.write_text(SOURCE.format(**words), encoding="utf-8")
    test.write_text(TEST.format(**words), encoding="utf-8")
    print(f"{td}\n{source}\n{test}\n"
          f"its test: ninja -C build sm1-opt && lit -v build/tests --filter {stem}, with the lit of LLVM 22\n"
          f"next: a line of compiler/lib/Stages.cpp, or sm1c --pipeline=fused=default,sm1-{stem}")


if __name__ == "__main__":
    main()
