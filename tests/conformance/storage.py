#!/usr/bin/env python3
"""Matrices stored as f32, bf16 or f16 and projections that multiply bf16, against float64 with the same rounded matrices.

  storage.py --bin DIR --work DIR [--device NAME] --checkpoint DIR

--checkpoint names a trained one with matrices in BF16; random weights come as F32 and as BF16. A reference that rounds otherwise, or
not at all, has to be outside the bound of f32: so a package that rounds otherwise would be seen. With --compute=bf16 a GPU sums in
one order in a step and in others where there are few or many rows, and scans in groups of rows that begin where a piece does; a CPU sums
in one order with dot products and in another without; each is within the bound, and all else has the same bits in every mode and every
instruction set.
"""
import itertools
import json
import pathlib
import re
import sys

import numpy as np

from devices import machine_isas
from edits import SIZES
from harness import TOLERANCE, Report, device_parser, programs_of, random_tokens
from spec_reference import round_to
import reference

RANDOM_BF16, TRAINED_BF16 = 1e-1, 2e-2  # --compute=bf16: random weights amplify what rounding the operands does
OUTPUTS = ("logits", "state_out.h", "state_out.conv")


def truncated(x):
    """BF16 by cutting bits off: the rounding that nobody should find in a package."""
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)


ROUNDINGS = {element: lambda x, element=element: round_to(element, x) for element in ("f32", "bf16", "f16")}


class Stored(reference.Sm1):
    """The model with its matrices rounded; vectors and the convolution stay as they are in the checkpoint."""

    def __init__(self, directory, rounding):
        super().__init__(str(directory))
        self.weights = {name: rounding(x) if x.ndim == 2 else x for name, x in self.weights.items()}


def check_arithmetic(programs, report, package, weights, compute, name):
    found = re.findall(r"weights (\w+), compute (\w+)", programs.must(programs.sm1_run, "inspect", package))
    report.check(found == [(weights, compute)], f"{name}: inspect says {found}, expected weights {weights}, compute {compute}")


def run_all(programs, report, package, given, name, modes=("prefill", "step", "chunked:7"), compute="f32", order=0, family=()):
    """The outputs, the same bits in every mode and in every variant of the device that sums in this order."""
    first = None
    for options in programs.device.orders(compute, few=True)[order]:
        for mode in modes:
            got = programs.logits(package, given, f"--mode={mode}", *family, *options)
            first = first or {output: got[output] for output in OUTPUTS}
            report.same_bits(got, first, f"{name}, {mode} {' '.join(options)}")
    return first


def one_isa(programs):
    """Options of a package whose bits on other instruction sets have been seen already."""
    return [] if programs.device.is_gpu else [f"--target={machine_isas()[-1]}"]


def check_random(programs, report):
    """Every storage of an F32 checkpoint."""
    checkpoint = programs.checkpoint("wide", **SIZES)
    given = {"tokens": random_tokens(41, SIZES["vocab"], 2, 10 if programs.device.is_emulated else 45)}
    expected = {element: Stored(checkpoint, rounding).run(given["tokens"]) for element, rounding in ROUNDINGS.items()}
    expected["bf16 by truncation"] = Stored(checkpoint, truncated).run(given["tokens"])
    for element in ROUNDINGS:
        name = f"random, --weights={element}"
        package = programs.compile(checkpoint, f"random-{element}", f"--weights={element}", "--compute=f32")
        check_arithmetic(programs, report, package, element, "f32", name)
        got = run_all(programs, report, package, given, name)
        print(f"{name}: largest relative error {report.close(got, expected[element], name):.2e}")
        for other in expected.keys() - {element}:
            least = min(reference.errors(got, expected[other]).values())
            report.check(least > TOLERANCE, f"{name}: within {least:.2e} of weights as {other}, the roundings cannot be told apart")
        if element == "bf16":
            check_bound_later(programs, report, checkpoint, given, got)
    every = [] if programs.device.is_gpu else ["--target=native"]  # other tests leave out what the machine cannot execute
    check_bf16_compute(programs, report, checkpoint, expected["bf16"], given, RANDOM_BF16, "random", *every)


def check_bound_later(programs, report, checkpoint, given, expected):
    """The runtime packs and rounds as the compiler does."""
    package = programs.compile(checkpoint, "external", "--weights=bf16", "--compute=f32", "--weights-in=external", *one_isa(programs))
    got = programs.logits(package, given, f"--params={checkpoint}")
    report.same_bits(got, expected, "random, --weights=bf16 bound by sm1-run")


def check_bf16_compute(programs, report, checkpoint, expected, given, tolerance, name, *targets):
    name = f"{name}, --weights=bf16 --compute=bf16"
    package = programs.compile(checkpoint, "compute", "--weights=bf16", "--compute=bf16", *targets)
    check_arithmetic(programs, report, package, "bf16", "bf16", name)
    if programs.device.is_gpu:
        said = programs.must(programs.sm1_run, "inspect", package)
        for variant, runs in (("step_some", "step for 17 to"), ("step_many", "step from"), ("prefill_few", "prefill for 1 to"), ("prefill_some", "prefill for")):
            found = re.search(rf"entry +{variant}: \d+ launches, in place of {runs} \d+", said)
            report.check(found, f"{name}: inspect does not say which runs take {variant}")
    parts = (("prefill",), ("chunked:7",), ("step",)) if programs.device.is_gpu else (("prefill", "step", "chunked:7"),)
    choices = itertools.product(parts, range(len(programs.device.orders("bf16"))), programs.device.families("bf16"))
    for modes, order, family in choices:
        got = run_all(programs, report, package, given, name, modes, "bf16", order, family)
        print(f"{name}, {modes[0]}, order {order} {' '.join(family)}: largest relative error {report.close(got, expected, name, tolerance):.2e}")
        least = min(reference.errors(got, expected).values())
        report.check(least > TOLERANCE, f"{name}: within {least:.2e} of f32, so nothing was rounded")


def check_trained(programs, report, checkpoint):
    """The checkpoint's own storage; f16 holds what bf16 does, but for the smallest values."""
    package = programs.compile(checkpoint, "trained", "--compute=f32")
    check_arithmetic(programs, report, package, "bf16", "f32", "trained, default")
    vocab = reference.Sm1(str(checkpoint)).config["vocab_size"]
    given = {"tokens": random_tokens(42, vocab, 2, 40)}
    expected = Stored(checkpoint, ROUNDINGS["bf16"]).run(given["tokens"])
    got = run_all(programs, report, package, given, "trained")
    print(f"trained, default: largest relative error {report.close(got, expected, 'trained, default'):.2e}")
    kernels = lambda *options: programs.must(programs.sm1c, checkpoint, "--emit=target", "--compute=f32", *options, *one_isa(programs))
    report.check(kernels("--weights=bf16") == kernels(), "trained, --weights=bf16 has other kernels than the default")
    f16 = programs.logits(programs.compile(checkpoint, "trained", "--weights=f16", *one_isa(programs)), given)
    report.close(f16, Stored(checkpoint, ROUNDINGS["f16"]).run(given["tokens"]), "trained, --weights=f16")
    check_bf16_compute(programs, report, checkpoint, expected, given, TRAINED_BF16, "trained")


def check_defaults(programs, report):
    """What a checkpoint is stored as; a GPU multiplies what is stored as bf16 so."""
    for dtype, element in (("F32", "f32"), ("BF16", "bf16")):
        checkpoint = programs.checkpoint(dtype, **SIZES, dtype=dtype)
        compute = element if programs.device.is_gpu else "f32"
        plan = json.loads(programs.must(programs.sm1c, checkpoint, "--emit=plan", *programs.device.compile_options(best=True)))
        found = plan["storage"], plan["compute"]
        report.check(found == (element, compute), f"{dtype} checkpoint: weights and compute are {found}, expected {element}, {compute}")


def check_refusals(programs, report):
    """One clear sentence that names both values, and no package."""
    checkpoint, package = programs.work / "wide", programs.work / "refused.sm1pkg"
    cases = [
        (["--compute=bf16", "--weights=f32"], ["bf16", "f32"]),
        (["--compute=bf16", "--weights=f16"], ["bf16", "f16"]),
        (["--compute=bf16"], ["bf16", "f32"]),  # the default of an F32 checkpoint
        (["--compute=bf16", "--weights=int8"], ["bf16", "int8"]),
        (["--compute=int8", "--weights=bf16"], ["int8", "bf16"]),
        (["--compute=int8"], ["int8", "f32"]),
        (["--weights=int8", "--target=native,sm_120", "--compute=f32"], ["int8", "sm_120"]),
        (["--weights=int3"], ["int3", "int4"]),
        (["--compute=f16"], ["f16", "bf16"]),
    ]
    package.unlink(missing_ok=True)  # of an earlier run
    for options, words in cases:
        done = programs.run(programs.sm1c, checkpoint, "-o", package, *options)
        clear = "error: " in done.stderr and done.stderr.count("\n") == 1 and all(word in done.stderr for word in words)
        report.check(done.returncode == 1 and clear, f"{' '.join(options)}: exit code {done.returncode}, said: {done.stderr}")
        report.check(not package.exists(), f"{' '.join(options)}: refused, and yet wrote a package")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--checkpoint", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    if programs.device.skip_reason():
        report.skip(programs.device.skip_reason())
    check_random(programs, report)
    check_refusals(programs, report)
    check_defaults(programs, report)
    if not programs.device.is_emulated:  # which would take minutes for its 10 million weights
        check_trained(programs, report, a.checkpoint)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
