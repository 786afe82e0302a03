#!/usr/bin/env python3
"""Follows compiler/docs/Tutorial.md: writes every file that it shows, runs every command, in order, in a folder of its own.

  tutorial.py --bin DIR --work DIR --page FILE --emulator LIBRARY

A file is a block behind a paragraph that ends in its name and a colon. Commands are the blocks of language sh.
"""
import pathlib
import re
import shutil
import subprocess
import sys

from harness import HERE, Programs, Report, parser

BLOCK = re.compile(r"((?:^[^\n]+\n)*)\n?^```(\w+)\n(.*?)^```$", re.M | re.S)


def steps(page):
    """("file", name, text) and ("run", command, "") in the order of the page."""
    for before, language, text in BLOCK.findall(page):
        name = re.search(r"`([\w.-]+)`:\s*$", before)
        if language == "sh":
            for command in text.replace("\\\n", " ").splitlines():
                yield "run", command, ""
        elif name:
            yield "file", name[1], text


def prepare(folder, bin_folder, emulator):
    """What a reader's clone has."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "build" / "lib").mkdir(parents=True)
    (folder / "build" / "bin").symlink_to(pathlib.Path(bin_folder).resolve())
    (folder / "build" / "lib" / "libsm1-emulated-cuda.so").symlink_to(pathlib.Path(emulator).resolve())
    (folder / "tests").symlink_to(HERE.parent)
    (folder / "python3").symlink_to(sys.executable)  # which has numpy


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--page", required=True, type=pathlib.Path)
    arguments.add_argument("--emulator", required=True)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    folder = programs.work / "clone"
    prepare(folder, a.bin, a.emulator)
    environment = {**programs.environment, "PATH": f"{folder.resolve()}:{programs.environment['PATH']}"}
    said, runs = "", 0
    for kind, name, text in steps(a.page.read_text(encoding="utf-8")):
        if kind == "file":
            (folder / name).write_text(text)
            continue
        done = subprocess.run(["bash", "-c", name], cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        said += done.stdout + done.stderr
        runs += 1
        report.check(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")
    report.check(runs >= 12, f"the page has {runs} commands")
    report.check(said.count("in pieces: the same bits") == 3, "check.py did not check three times")
    fused = (folder / "fused.mlir").read_text()
    report.check(re.findall(r'sm1\.kernel "(\w+)"', fused) == ["norm", "scan", "out"], "not the three kernels that the page tells of")
    report.check("norm stays outside scan: a scan walks all rows of its channels" in said, "no remark about the norm")
    report.check((folder / "own.mlir").read_text().count("sm1.kernel") > 3, "one pass fused as much as nine")
    report.check((folder / "gated.html").stat().st_size > 100_000, "no page")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
