#!/usr/bin/env python3
"""How every program ends: 0 after what was asked for, 2 where the command line cannot be read, 1 where anything else goes wrong. Errors
are one line that says what is wrong, scripts in Python put their usage before it. MLIR's drivers know of 1 alone.

  usage.py --bin DIR --work DIR --tools DIR
"""
import pathlib
import sys

from harness import DATA, Programs, Report, parser

TINY = str(DATA / "golden" / "tiny-a")
# Program, its words, exit code, what it says.
OWN = (
    ("sm1c", "--version", 0, "sm1c 0.1"),
    ("sm1c", "", 2, "MODEL is required"),
    ("sm1c", f"{TINY} --fast", 2, "not expected: --fast"),
    ("sm1c", f"{TINY} --stop-after=fuse", 2, "fuse not in"),
    ("sm1c", f"{TINY} --report=page.html --compare=--fast", 2, "not expected: --fast"),
    ("sm1c", f"{TINY} --emit=spec --stop-after=fused", 1, "ask for two stages"),
    ("sm1c", f"{TINY} --emit=spec --weights=int3", 1, "must be one of"),
    ("sm1c", "nowhere.mlir --emit=spec", 1, "no such file"),
    ("sm1-run", "--version", 0, "sm1-run 0.1"),
    ("sm1-run", "", 2, "needs a command"),
    ("sm1-run", "genrate", 2, "none of the commands"),
    ("sm1-run", "generate", 2, "MODEL is required"),
    ("sm1-run", "generate nowhere --seed=x", 2, "no whole number"),
    ("sm1-run", "generate nowhere", 1, "nothing to write"),
    ("sm1-run", "generate nowhere -o a.mid", 1, "no such file"),
    ("sm1-bench", "--version", 0, "sm1-bench 0.1"),
    ("sm1-bench", "decode", 2, "MODEL is required"),
    ("sm1-bench", "decode nowhere --repeat=0", 2, "not in range"),
    ("sm1-bench", "decode nowhere", 1, "no such file"),
    ("sm1-opt", "--version", 0, "LLVM version 22"),
    ("sm1-opt", "--fast", 1, "--fast"),
    ("sm1-opt", "nowhere.mlir", 1, "No such file"),
    ("sm1-lsp-server", "--fast", 1, "--fast"),
)
SCRIPTS = (
    ("demo", "--help", 0, "tools/demo"),
    ("demo", "--seed", 2, "--seed needs a number"),
    ("demo", "--max-tokens=many", 2, "'many' is no whole number"),
    ("test", "--help", 0, "tools/test"),
    ("bench-pipelines", "", 2, "required: model"),
    ("bench-states", "--fast", 2, "--fast"),
    ("bench-torch", "--fast", 2, "--fast"),
    ("convert-checkpoint", "", 2, "FOLDER"),
    ("convert-checkpoint", "nowhere out", 1, "nowhere"),
    ("gpu-table", "--fast", 2, "--fast"),
    ("new-pass.py", "", 2, "required"),
    ("new-pass.py", "lower", 1, "lower"),
)


def check(programs, report, folder, rows, most):
    for program, words, code, says in rows:
        done = programs.run(folder / program, *words.split(), cwd=programs.work)
        what = f"{program} {words}".replace(TINY, "CHECKPOINT")
        report.check(done.returncode == code, f"{what}: exit code {done.returncode}, expected {code}: {done.stderr}")
        report.check(says in (done.stdout if code == 0 else done.stderr), f"{what}: does not say {says!r}: {done.stdout}{done.stderr}")
        report.check(code == 0 or (not done.stdout and done.stderr.count("\n") <= most), f"{what}: {done.stdout}{done.stderr}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--tools", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    check(programs, report, pathlib.Path(a.bin).resolve(), OWN, most=3)
    check(programs, report, a.tools.resolve(), SCRIPTS, most=12)
    report.check(not list(programs.work.iterdir()), f"written: {[path.name for path in programs.work.iterdir()]}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
