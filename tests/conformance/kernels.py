#!/usr/bin/env python3
"""Every kernel of every description in kernels/specs on the emulator, in every arithmetic, prefill and step, and under every order of
threads: no race, no read of memory that nobody wrote, no access outside a buffer, and the same bits under every order.

  kernels.py --bin DIR --work DIR --emulator LIBRARY [--target sm_90]

A finding of the emulator fails the program that runs the kernel, and so the test. Descriptions are made narrow, with widths that are
no multiples of 16. At the end stands how many kernels ran; one that no run reaches is a failure.
"""
import itertools
import re
import sys

import numpy as np

from devices import SCHEDULES
from harness import DATA, HERE, Report, device_parser, programs_of
from layer import narrow
from relatives import printed, random_params
from shapes import NARROW, resized
import spec_reference
import tensors

SPECS = HERE.parent.parent / "kernels" / "specs"
ARITHMETICS = {
    "f32": ["--weights=f32", "--compute=f32"],
    "bf16 stored": ["--weights=bf16", "--compute=f32"],
    "f16 stored": ["--weights=f16", "--compute=f32"],
    "bf16": ["--weights=bf16", "--compute=bf16"],
    "closed form": ["--weights=f32", "--compute=f32", "--form=closed_form"],
}
# The published model, narrow: width 24, inner width 48, MLP 40, 37 tokens, 2 layers.
SM1 = {442: 37, 704: 24, 1408: 48, 2816: 96, 4224: 144, 1920: 40}
RESIZED = {
    "scan": lambda text: re.sub(r"x48xf32", "x20xf32", text),
    "sm1-layer": narrow,
    "selective-scan": lambda text: re.sub(r"x1408xf32|<1408xf32", lambda size: size[0].replace("1408", "20"), text),
    **dict.fromkeys(("min-gru", "min-lstm", "rg-lru", "hgrn"), lambda text: resized(text, NARROW)),
    "sm1": lambda text: re.sub(r"sm1.layers 10\b", "sm1.layers 2", re.sub(
        r"(?<=[<x])\d+(?=x)", lambda size: str(SM1.get(int(size[0]), int(size[0]))), text)).replace("tensor<?x10x", "tensor<?x2x"),
}  # fmt: skip
STORED = ("bf16 stored", "f16 stored")
# Where there are no matrices; and relatives, whose projections are minGRU's and whose scans have one form. relatives.py has them in f32.
NOTHING_NEW = {**dict.fromkeys(("scan", "selective-scan"), STORED), "mamba": (*STORED, "closed form"),
               **dict.fromkeys(("min-lstm", "rg-lru", "hgrn"), ("f32", *STORED, "closed form"))}


def kernel_names(package):
    """Kernels of the package's GPU program, of its PTX that is."""
    (ptx,) = (code.tobytes().decode() for name, code in tensors.load(package).items() if name.startswith("kernel/"))
    return set(re.findall(r"\.visible \.entry (\w+)\(", ptx))


def inputs(model, batch, time):
    """Drawn tensors; a decay is one."""
    given = spec_reference.random_inputs(model, batch, time, 3)
    return {name: 1 / (1 + np.exp(-value)) if name == "decay" else value for name, value in given.items()}


def run_all(programs, report, package, model, name, families):
    """Both entries under every order of threads, with every choice of kernels; returns the names of those that were launched."""
    launched = set()
    for (entry, time), family in itertools.product((("prefill", 5), ("step", 1)), families):
        given, first = inputs(model, 3, time), None
        for schedule in SCHEDULES:
            got = programs.call(package, entry, given, "--trace", *family, f"SM1_EMULATOR_SCHEDULE={schedule}")
            launched |= set(re.findall(r"kernel=(\w+)", programs.said))
            first = first or got
            report.same_bits(got, first, f"{name}, {entry}, {schedule} against {SCHEDULES[0]}")
    return launched


def main():
    arguments = device_parser(__doc__)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    total = 0
    texts = {source.stem: RESIZED[source.stem](source.read_text()) for source in sorted(SPECS.glob("*.mlir"))}
    texts["mamba"] = programs.spec(DATA / "golden" / "mamba-16")
    for stem, written in texts.items():
        text = programs.work / f"{stem}.mlir"
        text.write_text(written)
        model = printed(programs, text, stem)
        file = random_params(programs, model, stem, 7)
        for arithmetic, options in ARITHMETICS.items():
            if arithmetic in NOTHING_NEW.get(stem, ()):
                continue
            name = f"{stem}, {arithmetic}"
            package = programs.compile(text, "kernels", f"--params={file}", *options)
            launched = run_all(programs, report, package, model, name, programs.device.families(arithmetic))
            unreached = kernel_names(package) - launched
            report.check(not unreached, f"{name}: no run reaches {', '.join(sorted(unreached))}")
            total += len(kernel_names(package))
    print(f"{total} kernels of {len(texts)} descriptions, each under {len(SCHEDULES)} orders of threads")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
