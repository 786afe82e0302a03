"""What the conformance tests share: running the programs, reading what they wrote, and one report of what held and what did not.

Every comparison goes through reference.errors: relative, per position bucket, infinite for what is missing or not a number. So an
output of zeros has error 1 and can pass nowhere.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data"
sys.path.insert(0, str(HERE.parent / "reference"))
sys.path.append(str(HERE.parent / "tools"))
import make_checkpoint
import reference
import tensors
from devices import NAMES, Device, compute_of
from kept import Kept

TOLERANCE = 1e-5  # f32 against float64, at every length, in every bucket
SKIPPED = 77      # the exit code that ctest shows as a skip
STATES = ("h", "conv")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=")


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

    def near(self, got, wanted, most, text):
        """`got` is less than `most` away from `wanted`, by norms, in every tensor."""
        away, name = distance(got, wanted)
        print(f"{text}: {away:.1e} away")
        self.check(away < most, f"{text}: {name} is {away:.1e} away, must be less than {most}")

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
    """sm1c and sm1-run of one build on one device, with a folder for what they write."""

    def __init__(self, bin_folder, work, device=None):
        self.device = device or Device()
        self.sm1c = str(pathlib.Path(bin_folder) / "sm1c")
        self.sm1_run = str(pathlib.Path(bin_folder) / "sm1-run")
        self.kept = Kept(self.sm1c)
        self.work = pathlib.Path(work)
        self.work.mkdir(parents=True, exist_ok=True)
        # A checkpoint directory given to sm1-run is compiled into a cache; keep the user's own out of it.
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(self.work / "cache"), **self.device.environment}

    def on_cpu(self):
        """The same programs and folder, for figures to compare a GPU's with."""
        return Programs(pathlib.Path(self.sm1c).parent, self.work)

    def run(self, *command, **options):
        """A finished process with its text; never raises for its exit code. Words NAME=VALUE go to its environment, as with env."""
        words = [str(word) for word in command]
        settings = dict(word.split("=", 1) for word in words if SETTING.match(word))
        command = [word for word in words if not SETTING.match(word)]
        environment = {**self.environment, **settings}
        return subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, **options)

    def must(self, *command):
        """Standard output of a command that has to succeed; standard error is kept in `said`."""
        return self._succeeded(self.run(*command), *command)

    def _succeeded(self, done, *command):
        if done.returncode:
            sys.exit(f"FAILED  {' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
        self.said = done.stderr
        return done.stdout

    def compile(self, source, name, *options, for_host=False, best=False, assembled=False):
        """A package for the device, or for the targets among the options; `for_host`: also for the CPU; `best`: for f32 that runs without
        --isa, at that level of a CPU only; `assembled`: by ptxas also where the emulator runs it, for kernels that no other test has."""
        package = self.work / f"{name}.sm1pkg"
        named = any(str(option).startswith("--target") for option in options)
        options = [*options, *([] if named else self.device.compile_options(for_host, best, compute_of(options)))]
        environment = {**self.environment, **({"SM1_TEST_PTXAS": "run"} if assembled else {})}
        self._succeeded(self.kept.compile(source, package, *options, environment=environment), self.sm1c, source, *options)
        return package

    def checkpoint(self, name, **sizes):
        """A folder of seeded weights, by tools/make_checkpoint.py with these options: vocab=37, d_model=64, layers=2."""
        folder = self.work / name
        make_checkpoint.main([str(folder), *(f"--{option.replace('_', '-')}={value}" for option, value in sizes.items())])
        return folder

    def check_scheduled(self, report, checkpoint, kernel, expected, *options):
        """The compiler gives this kernel by itself a schedule with `expected` in it: what a test is about has not gone."""
        scheduled = self.must(self.sm1c, checkpoint, "--emit=scheduled", *options)
        lines = [line for line in scheduled.splitlines() if f'sm1.kernel "{kernel}"' in line]
        report.check(lines and expected in lines[0], f"{kernel} is scheduled otherwise: {lines[:1]}")

    def spec(self, checkpoint):
        """The description that a checkpoint stands for, as text."""
        return self.must(self.sm1c, checkpoint, "--emit=spec")

    def logits(self, model, given, *options):
        """Runs `sm1-run logits` on {"tokens", ...}, returns {"logits", "state_out.h", "state_out.conv"}."""
        return self._transform(self.must, ("logits", model), "--tokens", given, options)

    def call(self, package, entry, given, *options):
        return self._transform(self.must, ("call", package, f"--entry={entry}"), "--in", given, options)

    def try_call(self, package, entry, given, *options):
        """The same; None where the program fails."""
        return self._transform(self.run, ("call", package, f"--entry={entry}"), "--in", given, options)

    def _transform(self, run, command, flag, given, options):
        source, target = self.work / "in.safetensors", self.work / "out.safetensors"
        tensors.save(source, given)
        target.unlink(missing_ok=True)
        run(self.sm1_run, *command, flag, source, "--out", target, *self.device.options, *options)
        return tensors.load(target) if target.exists() else None


def state_of(outputs):
    """state_out.* of one run as state_in.* of the next."""
    return {f"state_in.{name}": outputs[f"state_out.{name}"] for name in STATES}


def inputs_of(expected):
    """The inputs among the tensors of a golden file."""
    return {name: value for name, value in expected.items() if name == "tokens" or name.startswith("state_in.")}


def distance(got, wanted):
    """The largest difference of a tensor by norms, relative, and that tensor's name."""
    return max((reference.relative_error(got[name], wanted[name]), name) for name in wanted)


def ragged_tokens(seed, vocab, lengths):
    """Random tokens for sequences of these lengths."""
    return {"tokens": random_tokens(seed, vocab, len(lengths), max(lengths)), "lengths": np.array(lengths, np.int32)}


def random_tokens(seed, vocab, *shape):
    return np.random.RandomState(seed).randint(0, vocab, shape).astype(np.int32)


def parser(description):
    """Arguments that every script takes."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--bin", required=True, help="folder of sm1c and sm1-run")
    made.add_argument("--work", required=True, help="folder to write in")
    return made


def device_parser(description):
    """The same for scripts that run on every device; SM1_TEST_DEVICE is the device where --device names none."""
    made = parser(description)
    made.add_argument("--device", choices=NAMES, default=os.environ.get("SM1_TEST_DEVICE", "cpu"))
    made.add_argument("--target", default="sm_90", help="what GPU packages are compiled for")
    made.add_argument("--emulator", help="library of the emulated driver")
    return made


def programs_of(arguments):
    """Programs on the device that was asked for; ends as a visible skip where it is not there."""
    device = Device(arguments.device, arguments.target, arguments.emulator)
    if device.missing():
        print(f"SKIPPED everything: {device.missing()}")
        sys.exit(SKIPPED)
    return Programs(arguments.bin, arguments.work, device)
