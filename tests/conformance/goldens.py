#!/usr/bin/env python3
"""Compares sm1-run with the float64 references in tests/data/golden, in every mode, thread count and instruction set.

  goldens.py --bin DIR --work DIR --package PKG --golden FILE [--few] [-- OPTIONS of sm1-run]

Logits and both states must be within 1e-5 of float64 in every position bucket, and the same bits in all runs. --few runs the whole
list of modes once, and other threads and instruction sets in prefill and chunks only: for models whose step takes its time.
"""
import pathlib
import sys

from harness import Programs, Report, inputs_of, machine_isas, parser
import tensors

MODES = ["prefill", "step", "chunked:1", "chunked:7", "chunked:64"]


def variants(few):
    """(mode, further options) of every run."""
    for isa in machine_isas():
        for threads in (2, 1):
            first = isa == machine_isas()[0] and threads == 2
            for mode in MODES if first or not few else ["prefill", "chunked:64"]:
                yield mode, [f"--threads={threads}", f"--isa={isa}"]


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--package", required=True, type=pathlib.Path)
    arguments.add_argument("--golden", required=True, type=pathlib.Path)
    arguments.add_argument("--few", action="store_true")
    arguments.add_argument("options", nargs="*")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    expected = tensors.load(a.golden)
    if len(machine_isas()) < 2:
        report.skip("kernels for x86-64-v4: this machine has no AVX-512")

    first = None
    for mode, options in variants(a.few):
        got = programs.logits(a.package, inputs_of(expected), f"--mode={mode}", *options, *a.options)
        worst = report.close(got, expected, f"{mode} {' '.join(options)}")
        if first is None:
            first = got
            print(f"largest relative error {worst:.2e}")
        report.same_bits(got, first, f"{mode} {' '.join(options)} against the first run")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
