#!/usr/bin/env python3
"""tools/new-pass.py: what it writes is declared, compiles, is in the project's form, and is refused a second time.

  new_pass.py --source DIR --build DIR --work DIR --tblgen PROGRAM --mlir-include DIR

The source is compiled as far as its syntax, with the command of a pass that is there.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
from harness import Report


ALONE = "lib/Transforms/FuseNormProjection.cpp"  # a file that is compiled by itself, also where others are in groups


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def compile_command(build, known, source, include):
    """The command that compiles `known`, for `source`, without output and with `include` first."""
    entries = json.loads((build / "compile_commands.json").read_text())
    entry = next(entry for entry in entries if entry["file"].endswith(known))
    words = [word for word in entry["command"].split() if "ccache" not in word]
    words = words[: words.index("-o")]
    return [words[0], f"-I{include}", *words[1:], "-fsyntax-only", str(source)], entry["directory"]


def main():
    arguments = argparse.ArgumentParser()
    for name in ("source", "build", "work", "tblgen", "mlir-include"):
        arguments.add_argument(f"--{name}", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    report = Report()
    shutil.rmtree(a.work, ignore_errors=True)
    for folder in ("compiler/include/sm1c/Transforms", "compiler/lib/Transforms", "tests/transforms", "generated/sm1c/Transforms"):
        (a.work / folder).mkdir(parents=True)
    td = a.work / "compiler/include/sm1c/Transforms/Passes.td"
    shutil.copy(a.source / "compiler/include/sm1c/Transforms/Passes.td", td)
    scaffold = [sys.executable, a.source / "tools/new-pass.py", "FuseGate", "--summary", "Fold a gate into the scan that feeds it", "--root", a.work]
    done = run(*scaffold)
    report.check(done.returncode == 0, f"scaffolding: {done.stderr}")
    source, test = a.work / "compiler/lib/Transforms/FuseGate.cpp", a.work / "tests/transforms/fuse-gate.mlir"
    report.check("-sm1-fuse-gate" in test.read_text(), "the test does not run the pass")
    made = run(a.tblgen, "-gen-pass-decls", "-name", "Sm1Transforms", f"-I{a.mlir_include}", td, "-o", a.work / "generated/sm1c/Transforms/Passes.h.inc")
    report.check(made.returncode == 0, f"the declaration: {made.stderr}")
    shutil.copy(a.source / "compiler/lib/Transforms/KernelMerge.h", source.parent)
    command, folder = compile_command(a.build, ALONE, source, a.work / "generated")
    compiled = run(*command, cwd=folder)
    report.check(compiled.returncode == 0, f"the source: {compiled.stderr[:2000]}")
    for path in (source, test):
        report.check(max(map(len, path.read_text().splitlines())) <= 135, f"{path.name}: lines are too long")
    if shutil.which("clang-format"):
        shutil.copy(a.source / ".clang-format", a.work)
        report.check(run("clang-format", "--dry-run", "-Werror", source).returncode == 0, "the source is not formatted")
    for what, says, command in (
        ("twice", "FuseGate.cpp: is there already", scaffold),
        ("no name of a pass", "fuseGate: a pass is called verb and object", [*scaffold[:2], "fuseGate", *scaffold[3:]]),
        ("a pass that exists", "declares FuseRounding already", [*scaffold[:2], "FuseRounding", *scaffold[3:]]),
    ):
        done = run(*command)
        report.check(done.returncode == 1 and re.search(says, done.stderr), f"{what}: {done.stderr}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
