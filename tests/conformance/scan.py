#!/usr/bin/env python3
"""Compares the scan alone, kernels/specs/scan.mlir, with tests/data/golden/scan: odd widths, slow and fast decays, to 4096 tokens.

  scan.py --bin DIR --work DIR [--device NAME] --spec scan.mlir

The description is compiled once per golden, with the golden's number of channels put in place of its own. A GPU has the CPU's bits.
"""
import pathlib
import re
import sys

from harness import DATA, Report, device_parser, programs_of
import tensors

NAMES = {"streams": ("h",), "states": ("last",)}


def with_channels(spec, channels):
    """The description for another number of channels: the last dimension of every tensor in it."""
    edited, count = re.subn(r"x\d+xf32>", f"x{channels}xf32>", spec)
    if not count:
        sys.exit(f"FAILED  no tensor type found in the description:\n{spec}")
    return edited


def check(programs, report, spec, golden):
    expected = tensors.load(golden)
    channels = expected["decay"].shape[-1]
    source = programs.work / f"{golden.stem}.mlir"
    source.write_text(with_channels(spec, channels))
    package = programs.compile(source, golden.stem, for_host=True)
    given = {name: expected[name] for name in ("decay", "input", "init")}

    first = programs.on_cpu().call(package, "prefill", given)
    for options in programs.device.variants():
        for entry in ["prefill", "step"] if expected["decay"].shape[1] == 1 else ["prefill"]:
            name = f"{golden.stem} {entry} {' '.join(options)}"
            got = programs.call(package, entry, given, *options)
            report.close(got, expected, name, **NAMES)
            report.same_bits(got, first, name)


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    for golden in sorted((DATA / "golden" / "scan").glob("*.safetensors")):
        check(programs, report, a.spec.read_text(), golden)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
