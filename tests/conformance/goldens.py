#!/usr/bin/env python3
"""Compares sm1-run with the float64 references in tests/data/golden, in every mode and every variant of a device.

  goldens.py --bin DIR --work DIR [--device NAME] --package PKG --golden FILE [--few] [--positions N] [-- OPTIONS of sm1-run]

Logits and both states must be within 1e-5 of float64 in every position bucket, and the same bits in all runs; those of a GPU are those
of the CPU. --few runs every mode once, and other variants in prefill and chunks only: for models whose step takes its
time. --positions compares the first N positions with float64 computed here: for devices that take their time.
"""
import pathlib
import sys

from harness import Report, device_parser, inputs_of, programs_of
import reference
import tensors

MODES = ["prefill", "step", "chunked:1", "chunked:7", "chunked:64"]
FEW = ["prefill", "step", "chunked:7", "chunked:64", "chunked:199"]  # of 200 positions: the last is a prefill of one row


def runs(device, few):
    """(mode, further options) of every run."""
    for index, options in enumerate(device.variants()):
        if device.is_emulated:  # where a pass of one row takes as long as one of 64
            modes = ["prefill", "chunked:7", "step"] if index == 0 else ["prefill"]
        else:
            modes = MODES if not few else FEW if index == 0 else ["prefill", "chunked:64"]
        for mode in modes:
            yield mode, options


def first_positions(golden, expected, count):
    """The golden cut after `count` positions, with the states of that place."""
    given = inputs_of(expected)
    given["tokens"] = given["tokens"][:, :count].copy()
    state = (given["state_in.h"], given["state_in.conv"]) if "state_in.h" in given else None
    cut = reference.Sm1(str(golden.parent)).run(given["tokens"], state)
    different = reference.relative_error(cut["logits"], expected["logits"][:, :count])
    if different > 1e-6:
        sys.exit(f"FAILED  {golden}: the reference differs from the golden by {different:.1e}")
    return {**given, **cut}


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--package", required=True, type=pathlib.Path)
    arguments.add_argument("--golden", required=True, type=pathlib.Path)
    arguments.add_argument("--few", action="store_true")
    arguments.add_argument("--positions", type=int)
    arguments.add_argument("options", nargs="*")
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    expected = tensors.load(a.golden)
    if a.positions:
        expected = first_positions(a.golden, expected, a.positions)
    if programs.device.skip_reason():
        report.skip(programs.device.skip_reason())

    given = inputs_of(expected)
    first = programs.on_cpu().logits(a.package, given, *a.options) if programs.device.is_gpu else None
    for mode, options in runs(programs.device, a.few):
        got = programs.logits(a.package, given, f"--mode={mode}", *options, *a.options)
        text = f"{mode} {' '.join(options)}"
        worst = report.close(got, expected, text)
        if report.checks == 1:
            print(f"largest relative error {worst:.2e}")
        first = first or got
        report.same_bits(got, first, f"{text} against {'the CPU' if programs.device.is_gpu else 'the first run'}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
