#!/usr/bin/env python3
"""Several processes at one package: writers leave one of them whole, readers see one whole package whatever is written meanwhile, and a
cache that two fill at the same time holds one entry.

  together.py --bin DIR --work DIR
"""
import shutil
import subprocess
import sys

import numpy as np

from harness import DATA, Programs, Report, parser
import tensors

TINY = DATA / "golden" / "tiny-a"
ONE = "--target=x86-64-v3"
WAYS = ("f32", "bf16")  # storage of weights: two packages of one checkpoint with other bytes and other logits
ROUNDS, READS = 2, 3


def beside(path):
    """Other files of the same folder."""
    return sorted(found.name for found in path.parent.iterdir() if found != path)


def start(programs, *command):
    return subprocess.Popen([str(word) for word in command], env=programs.environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip


def ended(report, processes, what):
    for process in processes:
        _, said = process.communicate(timeout=120)
        report.check(process.returncode == 0, f"{what}: exit code {process.returncode}, {said}")


def logits_of(programs, report, package, tokens, out):
    done = programs.run(programs.sm1_run, "logits", package, "--tokens", tokens, "--out", out)
    if report.check(done.returncode == 0, f"{package.name} while it is written: {done.stderr}"):
        return tensors.load(out)["logits"].tobytes()


def check_package(programs, report):
    """Two sm1c write one file, again and again, while sm1-run reads it."""
    folder, work = programs.work / "shared", programs.work
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shared, tokens = folder / "model.sm1pkg", work / "tokens.safetensors"
    tensors.save(tokens, {"tokens": np.arange(12, dtype=np.int32).reshape(1, 12)})
    command = lambda way, out: (programs.sm1c, TINY, ONE, f"--weights={way}", "-o", out)
    alone = {way: work / f"{way}.sm1pkg" for way in WAYS}
    for way, package in alone.items():
        programs.must(*command(way, package))
    expected = {logits_of(programs, report, package, tokens, work / "alone.safetensors") for package in alone.values()}
    report.check(len(expected) == len(WAYS), "both ways have the same logits, so the test would see nothing")
    shutil.copyfile(alone[WAYS[0]], shared)
    for _ in range(ROUNDS):
        writers = [start(programs, *command(way, shared)) for way in WAYS]
        reads = 0
        while reads < READS or any(writer.poll() is None for writer in writers):
            got = logits_of(programs, report, shared, tokens, work / "read.safetensors")
            report.check(got in expected, "a package that is read while it is written gives logits of neither")
            reads += 1
        ended(report, writers, "sm1c beside another sm1c")
        report.check(shared.read_bytes() in [package.read_bytes() for package in alone.values()], "the file is none of the packages")
        report.check(beside(shared) == [], f"left beside the package: {beside(shared)}")


def check_cache(programs, report):
    """Two sm1-run compile one checkpoint into an empty cache."""
    cache, song = programs.work / "cache", programs.work / "tokens.safetensors"
    shutil.rmtree(cache, ignore_errors=True)
    outs = [programs.work / f"cached-{index}.safetensors" for index in range(2)]
    ended(report, [start(programs, programs.sm1_run, "logits", TINY, "--tokens", song, "--out", out) for out in outs], "sm1-run beside another")
    report.check(outs[0].read_bytes() == outs[1].read_bytes(), "two processes that compiled one checkpoint differ")
    kept = sorted(path.name for path in (cache / "sm1").iterdir())
    report.check(len(kept) == 1 and kept[0].endswith(".sm1pkg"), f"the cache holds {kept}, expected one package")


def main():
    arguments = parser(__doc__).parse_args()
    programs, report = Programs(arguments.bin, arguments.work), Report()
    check_package(programs, report)
    check_cache(programs, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
