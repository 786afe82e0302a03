"""What the conformance tests share: running the programs, reading what they wrote, and one report of what held and what did not.

Every comparison goes through reference.errors: relative, per position bucket, infinite for what is missing or not a number. So an
output of zeros has error 1 and can pass nowhere.
"""
import argparse
import os
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data"
sys.path.insert(0, str(HERE.parent / "reference"))
import reference
import tensors

TOLERANCE = 1e-5  # f32 against float64, at every length, in every bucket
SKIPPED = 77      # the exit code that ctest shows as a skip
STATES = ("h", "conv")

AVX2 = {"avx2", "fma", "f16c"}
AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


def machine_isas():
    """Targets of a default package that this machine executes."""
    with open("/proc/cpuinfo") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    return [isa for isa, needs in (("x86-64-v3", AVX2), ("x86-64-v4", AVX2 | AVX512)) if needs <= flags]


class Report:
    """Counts checks and prints those that failed; `finish` gives the exit code."""

    def __init__(self):
        self.checks = 0
        self.failures = []
        self.skips = []

    def check(self, holds, text):
        self.checks += 1
        if not holds:
            self.failures.append(text)
            print(f"FAILED  {text}", flush=True)
        return holds

    def close(self, got, expected, text, tolerance=TOLERANCE, **names):
        """`got` is within the tolerance of `expected` in every bucket and state; returns the largest error."""
        worst, where = max((error, name) for name, error in reference.errors(got, expected, **names).items())
        self.check(worst <= tolerance, f"{text}: relative error {worst:.2e} in {where}, at most {tolerance:.0e}")
        return worst

    def same_bits(self, got, expected, text):
        for name in expected:
            equal = name in got and got[name].shape == expected[name].shape and got[name].tobytes() == expected[name].tobytes()
            self.check(equal, f"{text}: bits of {name} differ")

    def skip(self, text):
        self.skips.append(text)
        print(f"SKIPPED {text}", flush=True)

    def finish(self):
        print(f"{self.checks} checks, {len(self.failures)} failed, {len(self.skips)} skipped")
        if not self.checks and self.skips:
            return SKIPPED
        return int(bool(self.failures) or not self.checks)


class Programs:
    """sm1c and sm1-run of one build, with a folder for what they write."""

    def __init__(self, bin_folder, work):
        self.sm1c = str(pathlib.Path(bin_folder) / "sm1c")
        self.sm1_run = str(pathlib.Path(bin_folder) / "sm1-run")
        self.work = pathlib.Path(work)
        self.work.mkdir(parents=True, exist_ok=True)
        # A checkpoint directory given to sm1-run is compiled into a cache; keep the user's own out of it.
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(self.work / "cache")}

    def run(self, *command, **options):
        """A finished process with its text; never raises for its exit code."""
        command = [str(word) for word in command]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, stdin=subprocess.DEVNULL, **options)

    def must(self, *command):
        """Standard output of a command that has to succeed."""
        done = self.run(*command)
        if done.returncode:
            sys.exit(f"FAILED  {' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def compile(self, source, name, *options):
        package = self.work / f"{name}.sm1pkg"
        self.must(self.sm1c, source, "-o", package, *options)
        return package

    def spec(self, checkpoint):
        """The description that a checkpoint stands for, as text."""
        return self.must(self.sm1c, checkpoint, "--emit=spec")

    def logits(self, model, given, *options):
        """Runs `sm1-run logits` on {"tokens", ...}, returns {"logits", "state_out.h", "state_out.conv"}."""
        return self._transform(("logits", model), "--tokens", given, options)

    def call(self, package, entry, given, *options):
        return self._transform(("call", package, f"--entry={entry}"), "--in", given, options)

    def _transform(self, command, flag, given, options):
        source, target = self.work / "in.safetensors", self.work / "out.safetensors"
        tensors.save(source, given)
        target.unlink(missing_ok=True)
        self.must(self.sm1_run, *command, flag, source, "--out", target, *options)
        return tensors.load(target)


def state_of(outputs):
    """state_out.* of one run as state_in.* of the next."""
    return {f"state_in.{name}": outputs[f"state_out.{name}"] for name in STATES}


def inputs_of(expected):
    """The inputs among the tensors of a golden file."""
    return {name: value for name, value in expected.items() if name == "tokens" or name.startswith("state_in.")}


def random_tokens(seed, vocab, *shape):
    return np.random.RandomState(seed).randint(0, vocab, shape).astype(np.int32)


def parser(description):
    """Arguments that every script takes."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--bin", required=True, help="folder of sm1c and sm1-run")
    made.add_argument("--work", required=True, help="folder to write in")
    return made
