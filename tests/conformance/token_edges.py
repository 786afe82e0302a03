#!/usr/bin/env python3
"""Whole tokens in one launch where words are easily mistaken: tags with an odd number of layers, batches that shrink and grow again, norms
without weights or with too large ones; and times that must not change a bit, kept in the user's cache.

  token_edges.py --bin DIR --work DIR --device NAME
"""
import pathlib
import re
import shutil
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
import reference
import tensors

VOCABULARY = 61
NEAR = 3e-2  # whole tokens and kernels round at different places
TIMES = ("fixed", "0", "900,0,2500,100", "0,3000,0")


class Bench:
    def __init__(self, programs):
        self.programs = programs
        programs.device.options = ["--device=cuda"]
        self.blocks = ["SM1_EMULATOR_SMS=5"] if programs.device.is_emulated else []

    def checkpoint(self, name, layers, width=64):
        return self.programs.checkpoint(name, vocab=VOCABULARY, d_model=width, layers=layers)

    def package(self, checkpoint):
        return self.programs.compile(checkpoint, checkpoint.name, "--weights=bf16", "--compute=bf16", "--variants=none")

    def step(self, package, given, *options, way="token"):
        return self.programs.logits(package, given, "--mode=step", f"--step={way}", *self.blocks, *options)

    def device_name(self, package, *settings):
        """What sm1-bench calls the device, with the times that it took."""
        bench = str(pathlib.Path(self.programs.sm1c).parent / "sm1-bench")
        done = self.programs.run(bench, "decode", package, "--device=cuda", "--step=token", "--repeat=1", "--time=1", "--no-energy",
                                 "--toy-ceilings", *self.blocks, *settings)
        found = re.search(r"^cuda:0 .*$", done.stdout, re.MULTILINE)
        return found.group(0) if found else done.stderr


def tokens_of(sequences, steps):
    return {"tokens": random_tokens(5, VOCABULARY, sequences, steps)}


def check_shrinking(bench, report, package):
    """Sequences of different lengths: a kernel for four or eight runs with fewer, whose words stay behind."""
    for sequences in (4, 7):
        given = tokens_of(sequences, sequences + 1)
        given["lengths"] = np.array([2 + (3 * i) % sequences for i in range(sequences)], dtype=np.int32)
        got = bench.step(package, given)
        for i, length in enumerate(given["lengths"]):
            alone = bench.step(package, {"tokens": given["tokens"][i : i + 1, :length]})
            report.same_bits({"logits": got["logits"][i : i + 1, :length]}, {"logits": alone["logits"]}, f"{sequences} sequences of different lengths: number {i}")


def check_times(bench, report, package):
    given = tokens_of(3, 3)
    reference = bench.step(package, given)
    for times in TIMES:
        report.same_bits(bench.step(package, given, f"SM1_TOKEN_DELAYS={times}"), reference, f"SM1_TOKEN_DELAYS={times}")
    name = bench.device_name(package, "SM1_TOKEN_DELAYS=700,20,30")
    report.check("pace 700, delays 20 30 30 30" in name and "given" in name, f"times given: {name}")
    name = bench.device_name(package, "SM1_TOKEN_DELAYS=quick")
    report.check("SM1_TOKEN_DELAYS is 'quick'" in name, f"times that are none: {name}")


def check_norms(bench, report):
    """Weights of norms that are zero, as good as zero, and negative."""
    checkpoint = bench.checkpoint("norms", 2)
    file = checkpoint / "model.safetensors"
    weights = tensors.load(file)
    for name in weights:
        if "norm" in name:
            weights[name] = weights[name].copy()
            weights[name][::3], weights[name][1::7], weights[name][2::5] = 0, 1e-12, -weights[name][2::5]
    tensors.save(file, weights)
    package, given = bench.package(checkpoint), tokens_of(2, 3)
    token, kernels = bench.step(package, given)["logits"], bench.step(package, given, way="kernels")["logits"]
    difference = reference.relative_error(token, kernels)
    report.check(difference <= NEAR, f"norms without weights: {difference:.2e} away from kernels, at most {NEAR:.0e}")


def check_large(bench, report):
    """A norm's weight whose inverse square is no number any more: said, and computed kernel by kernel where nobody insists."""
    checkpoint = bench.checkpoint("large", 2)
    file = checkpoint / "model.safetensors"
    weights = tensors.load(file)
    name = next(name for name in weights if "norm" in name)
    weights[name] = weights[name].copy()
    weights[name][5] = 4e4
    tensors.save(file, weights)
    package, given = bench.package(checkpoint), tokens_of(2, 2)
    said = bench.device_name(package)
    report.check("is 40000; whole tokens take those below 32768" in said, f"a weight of 40,000: {said}")
    report.same_bits(bench.step(package, given, way="auto"), bench.step(package, given, way="kernels"), "a weight of 40,000, whichever way")


def shape_of(text):
    """What a file of times has whatever they are."""
    head, *lines = text.splitlines()
    return head, [len(line.split()) for line in lines]


def check_cache(bench, report):
    """Times are measured once, where the device has a clock, and again where the file is of no use. Of the smallest model: a measurement
    is a hundred launches."""
    package = bench.package(bench.checkpoint("narrow", 1, 16))
    cache = bench.programs.work / "delays"
    shutil.rmtree(cache, ignore_errors=True)
    measuring = [f"XDG_CACHE_HOME={cache}", "SM1_EMULATOR_CLOCK=1000000"]

    def expect(origin, what, *settings):
        name = bench.device_name(package, *measuring, *settings)
        report.check(f", {origin})" in name, f"{what}: {origin} times expected: {name}")

    expect("measured", "an empty cache")
    expect("kept", "a second run")
    expect("measured", "another clock", "SM1_EMULATOR_CLOCK=2000000")
    (file,) = (cache / "sm1").glob("*-delays-*")
    good = file.read_text()
    for damaged in (b"", b"\0" * 100, good.encode()[:-3], good.replace("\n", "\n1 ", 1).encode(), b"x" * 10**6):
        file.write_bytes(damaged)
        expect("measured", f"a damaged file of {len(damaged)} bytes", "SM1_EMULATOR_CLOCK=2000000")
        report.check(shape_of(file.read_text()) == shape_of(good), f"a damaged file of {len(damaged)} bytes: no whole one took its place")
    expect("kept", "what took its place", "SM1_EMULATOR_CLOCK=2000000")
    expect("measured", "no cache", "XDG_CACHE_HOME=/dev/null", "HOME=/dev/null")
    expect("fixed", "SM1_TOKEN_DELAYS=fixed", "SM1_TOKEN_DELAYS=fixed")
    measured = bench.step(package, tokens_of(3, 3), *measuring)
    report.same_bits(measured, bench.step(package, tokens_of(3, 3)), "measured times")
    name = bench.device_name(package)
    report.check(", fixed)" in name, f"a device without a clock: {name}")


def main():
    arguments = device_parser(__doc__).parse_args()
    programs, report = programs_of(arguments), Report()
    bench = Bench(programs)
    package = bench.package(bench.checkpoint("odd", 3))
    name = bench.device_name(package)
    if "no NVRTC" in name:
        report.skip(name)
        return report.finish()
    check_shrinking(bench, report, package)
    check_times(bench, report, package)
    check_norms(bench, report)
    check_large(bench, report)
    if programs.device.is_emulated:
        check_cache(bench, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
