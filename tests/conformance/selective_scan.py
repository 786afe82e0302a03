#!/usr/bin/env python3
"""The fused scan of SM1 alone, kernels/specs/selective-scan.mlir: one kernel on every target, against float64.

  selective_scan.py --bin DIR --work DIR [--device NAME] --spec selective-scan.mlir

Widths that are no multiple of a tile, one sequence and several, from drawn states; every target and the step have the same bits. On a
CPU each thread has one task. Some step sizes are so small that dt is at its clamp, some gates so far out that exp overflows and
underflows. With --compute=bf16 a GPU cuts time into chunks, whose blocks wait for each other: the same bits in every order in which
they run, and whatever their neighbours are.
"""
import pathlib
import re
import sys

import numpy as np

from harness import Report, device_parser, programs_of
from relatives import printed, random_params
import spec_reference
import tensors

APPROXIMATE = 1e-4  # exp, log1p and quotients are a GPU's own in bf16; nothing is rounded to it here
NAMES = {"streams": ("y",), "states": ("state_out.h",)}


def with_channels(spec, channels):
    return re.sub(r"(?<=[<x])1408(?=x)", str(channels), spec)


def inputs(model, batch, time):
    given = spec_reference.random_inputs(model, batch, time, 11)
    given["dt0"][:, ::5] -= 30
    given["z"][:, 1::7] *= 120
    return given


def check(programs, report, text, channels, batch, time):
    name = f"{channels} channels, {batch} x {time}"
    source = programs.work / f"selective-scan-{channels}.mlir"
    source.write_text(with_channels(text, channels))
    model = printed(programs, source, source.stem)
    file = random_params(programs, model, source.stem, 12)
    package = programs.compile(source, source.stem, f"--params={file}", for_host=True)
    given = inputs(model, batch, time)
    expected = spec_reference.run(model, tensors.load(file), given)

    first = programs.on_cpu().call(package, "prefill", given)
    for options in programs.device.variants(few=True):
        got = programs.call(package, "prefill", given, *options, "--trace")
        kernels = set(re.findall(r"kernel=(\w+)", programs.said))
        report.check(len(kernels) == 1, f"{name}: the scan is not one kernel but {', '.join(sorted(kernels))}")
        worst = report.close(got, expected, f"{name} {' '.join(options)}", **NAMES)
        report.same_bits(got, first, f"{name} {' '.join(options)}")
    print(f"{name}: largest relative error {worst:.2e}")
    if not programs.device.is_gpu:
        got = programs.call(package, "prefill", given, "--threads=3", "--trace")
        report.same_bits(got, first, f"{name}, three threads")
        tasks = {int(count) for count in re.findall(r"tasks=(\d+)", programs.said)}
        report.check(max(tasks) <= 3 and (channels < 1408 or tasks == {3}), f"{name}: {tasks} tasks for three threads")

    rows = []
    for t in range(min(time, 9)):
        one = {key: value if key.startswith("state") else np.ascontiguousarray(value[:, t : t + 1]) for key, value in given.items()}
        got = programs.call(package, "step", one)
        rows.append(got["y"])
        given["state_in.h"] = got["state_out.h"]
    report.same_bits({"y": np.concatenate(rows, 1)}, {"y": first["y"][:, : len(rows)]}, f"{name}, step against prefill")


def check_chunks(programs, report, text, channels, batch, time):
    name = f"chunks of {channels} channels, {batch} x {time}"
    source = programs.work / f"selective-scan-{channels}.mlir"
    source.write_text(with_channels(text, channels))
    model = printed(programs, source, source.stem)
    file = random_params(programs, model, source.stem, 12)
    package = programs.compile(source, f"{source.stem}-bf16", f"--params={file}", "--weights=bf16", "--compute=bf16")
    given = inputs(model, batch, time)
    expected = spec_reference.run(model, tensors.load(file), given)

    first = programs.call(package, "prefill", given)
    worst = report.close(first, expected, name, tolerance=APPROXIMATE, **NAMES)
    print(f"{name}: largest relative error {worst:.2e}")
    together = [[f"SM1_EMULATOR_RESIDENTS={blocks}", f"SM1_EMULATOR_SCHEDULE={order}"] for blocks, order in ((3, "warps-reversed"), (8, "shuffled:5"))]
    for options in together if programs.device.is_emulated else [[]] * 5:
        report.same_bits(programs.call(package, "prefill", given, *options), first, f"{name} {' '.join(options)}")
    for sequence in range(batch if batch > 1 else 0):
        one = {key: value[sequence : sequence + 1] for key, value in given.items()}
        alone = {key: value[sequence : sequence + 1] for key, value in first.items()}
        report.same_bits(programs.call(package, "prefill", one), alone, f"{name}, sequence {sequence} alone")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    small = programs.device.is_emulated
    for channels, batch, time in ((20, 3, 20), (48, 1, 9)) if small else ((1408, 1, 300), (1408, 2, 33), (100, 3, 70), (20, 1, 1)):
        check(programs, report, a.spec.read_text(), channels, batch, time)
    if programs.device.is_gpu:
        for channels, batch, time in ((32, 2, 530), (20, 8, 188)) if small else ((1408, 1, 4096), (1408, 3, 1000), (20, 5, 700)):
            check_chunks(programs, report, a.spec.read_text(), channels, batch, time)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
