#!/usr/bin/env python3
"""Schedules from a file: whatever the tiles, splits and threads, and whatever is kept apart, the bits are those of the compiler's own.

  schedules.py --bin DIR --work DIR --spec min-gru.mlir --emulator LIBRARY [--random SEED COUNT]

--random tries legal numbers at random instead of the fixed list; what a lowering refuses is counted and must be an error.
"""
import pathlib
import random
import sys

from devices import Device, machine_isas
from harness import Programs, Report, parser, random_tokens
from relatives import printed, random_params

CPU = ["gru_out row_tile=3 panel_tile=1 single_row_panels=1 panel_split=1\nscan row_tile=1 panel_tile=1 single_row_panels=3 panel_split=3\n"
       "mlp_up row_tile=5 row_split=10 apart=true\nhead row_split=1",
       "norm1 row_split=3\nscan row_tile=2 panel_tile=2 single_row_panels=4\nmlp_down row_tile=12 panel_tile=1 single_row_panels=3",
       "exp fuse=off\nscan fuse=off\nembedding row_split=1 panel_tile=1"]
GPU = ["gru_out threads=128 row_split=32\nscan threads=128 row_tile=32\nmlp_up row_tile=2 row_split=32\nnorm1 threads=64",
       "gru_out_step threads=128 row_tile=1\nmlp_down_step row_split=4\nscan fuse=off\nscan_step threads=256"]
NUMBERS = {"row_tile": (1, 2, 3, 5, 8, 12), "panel_tile": (1, 2, 3), "single_row_panels": (1, 2, 3, 4, 6), "row_split": (0, 1, 7, 24, 64),
           "panel_split": (0, 1, 2, 3), "apart": ("true", "false")}
GPU_NUMBERS = {"threads": (32, 64, 128, 256, 512), "row_tile": (1, 2, 4, 8, 32, 64), "row_split": (1, 4, 16, 32, 64), "panel_split": (0, 1, 2, 4)}
KERNELS = ("embedding", "norm1", "scan", "gru_out", "mlp_up", "mlp_down", "head")


def at_random(seed, count, suffixes, numbers):
    """Files with one to three lines each."""
    source = random.Random(seed)
    for _ in range(count):
        lines = []
        for kernel in source.sample(KERNELS, source.randint(1, 3)):
            values = [f"{key}={source.choice(choices)}" for key, choices in source.sample(list(numbers.items()), source.randint(1, 3))]
            lines.append(" ".join([kernel + source.choice(suffixes), *values]))
        yield "\n".join(lines)


def compare(programs, report, spec, params, target, schedules, tokens, may_refuse):
    """Prefill and steps of each schedule against the compiler's own; how many were refused."""
    options = [f"--params={params}", f"--target={target}"]
    modes = ("prefill", "step") if not programs.device.is_emulated else ("prefill",)
    run = lambda package: [programs.logits(package, tokens, f"--mode={mode}", "--threads=2") for mode in modes]
    own = run(programs.compile(spec, f"own-{target}", *options))
    refused = 0
    for number, text in enumerate(schedules):
        file, package = programs.work / f"{target}-{number}.txt", programs.work / "scheduled.sm1pkg"
        file.write_text(text + "\n")
        done = programs.run(programs.sm1c, spec, "-o", package, f"--schedule={file}", *options)
        if done.returncode == 1 and may_refuse and "error: " in done.stderr:
            refused += 1
            continue
        if report.check(done.returncode == 0, f"{target}, {text!r}: {done.returncode} {done.stderr}"):
            for expected, got in zip(own, run(package)):
                report.same_bits(got, expected, f"{target}, {text!r}")
    return refused


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    arguments.add_argument("--emulator", required=True)
    arguments.add_argument("--random", nargs=2, type=int, metavar=("SEED", "COUNT"))
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    emulated = Programs(a.bin, a.work, Device("emulated", "sm_90", a.emulator))
    params = random_params(programs, printed(programs, a.spec, "model"), "model", 5)
    cpu, gpu = CPU, GPU
    if a.random:
        cpu, gpu = at_random(*a.random, ("",), NUMBERS), at_random(*a.random, ("", "_step"), GPU_NUMBERS)
    isa = next((name for name in machine_isas() if name in ("x86-64-v4", "x86-64-v3")), None)
    if isa:
        refused = compare(programs, report, a.spec, params, isa, cpu, {"tokens": random_tokens(6, 50, 3, 27)}, bool(a.random))
        print(f"{isa}: {refused} schedules refused")
    refused = compare(emulated, report, a.spec, params, "sm_90", gpu, {"tokens": random_tokens(6, 50, 2, 9)}, bool(a.random))
    print(f"sm_90: {refused} schedules refused")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
