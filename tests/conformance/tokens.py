#!/usr/bin/env python3
"""Whole tokens in one launch: right against float64, and the same bits on any number of blocks, in any order of threads, in any batch.

  tokens.py --bin DIR --work DIR --device NAME --package PKG --golden FILE [--positions N] [--integers BOUND] [--small-chip]

PKG multiplies bf16 by bf16. The launch rounds what it multiplies to bf16, as the kernels do, though not at the same places: its error may
not be above theirs by more than noise. Both have the same weights, rounded to bf16, which is most of the error.

With --integers weights are integers and scales, and PKG also has a CPU's program, which multiplies them in f32: the launch is within
BOUND of it. Orders and batches are left to packages of bf16.
"""
import sys

import numpy as np

from harness import Report, device_parser, inputs_of, programs_of
import reference
import tensors

BOUND = 5e-2  # of float64 with the weights as they are in the golden file
NOISE = 1.15
BLOCKS = {False: [None], True: [3, 7]}  # multiprocessors of the emulator
BATCHES = (2, 3, 4, 5, 8)
MORE, MORE_BLOCKS = (9, 16), 14  # sequences that take 16 channels a block at most, and so many multiprocessors of the emulator
# Chips whose blocks have less shared memory take three and four sequences in a kernel of their own.
SMALL_CHIP, SMALL_BATCHES = "SM1_EMULATOR_CAPABILITY=12.0", (3, 4)


def first(tensor_map, sequences, positions):
    """So many sequences of a golden file, so many positions of each."""
    cut = {}
    for name, value in tensor_map.items():
        cut[name] = value[:sequences, :positions] if name in ("tokens", "logits") else value[:sequences]
    return cut


class Bench:
    def __init__(self, programs, package):
        self.programs, self.package = programs, package
        device = programs.device
        device.options = ["--device=cuda"]
        self.blocks = BLOCKS[device.is_emulated]
        self.schedules = device.variants(few=True)

    def step(self, given, way, *options, blocks=None):
        setting = [f"SM1_EMULATOR_SMS={blocks}"] if blocks else []
        return self.programs.logits(self.package, given, "--mode=step", f"--step={way}", *setting, *options)

    def token(self, given, *options, blocks=None):
        return self.step(given, "token", *options, blocks=blocks or self.blocks[0])

    def on_cpu(self, given):
        device = self.programs.device
        kept, device.options = device.options, ["--device=cpu"]
        logits = self.programs.logits(self.package, given, "--mode=step")
        device.options = kept
        return logits


def error(got, expected):
    return reference.relative_error(got["logits"], expected["logits"])


def check_golden(bench, report, expected):
    given = inputs_of(expected)
    mine, theirs = error(bench.token(given), expected), error(bench.step(given, "kernels"), expected)
    report.check(mine <= BOUND, f"whole tokens: relative error {mine:.2e} of float64, at most {BOUND:.0e}")
    report.check(mine <= NOISE * theirs, f"whole tokens: relative error {mine:.2e}, {theirs:.2e} kernel by kernel")


def check_integers(bench, report, expected, bound):
    given = inputs_of(expected)
    exact = bench.on_cpu(given)
    got = bench.token(given)
    difference = error(got, exact)
    report.check(0 < difference <= bound, f"integers: {difference:.2e} away from a CPU's, at most {bound:.0e}")
    theirs = error(bench.step(given, "kernels"), expected)
    report.check(error(got, expected) <= NOISE * theirs, f"integers: {error(got, expected):.2e} away from float64, kernel by kernel {theirs:.2e}")


def check_orders(bench, report, expected):
    """Blocks share out channels, warps columns: neither moves a sum."""
    given = inputs_of(expected)
    reference = bench.token(given)
    for blocks in bench.blocks:
        for schedule in bench.schedules:
            report.same_bits(bench.token(given, *schedule, blocks=blocks), reference, f"{blocks} blocks, {' '.join(schedule)}")


def check_batches(bench, report, expected, small_chip):
    """A sequence alone, and at each place of a batch."""
    given = inputs_of(expected)
    sequences = len(given["tokens"])
    alone = [bench.token({name: value[i : i + 1] for name, value in given.items()}) for i in range(sequences)]
    more = MORE_BLOCKS if bench.blocks[0] else None
    runs = [(batch, [], None) for batch in BATCHES] + [(batch, [], more) for batch in MORE]
    runs += [(batch, [SMALL_CHIP], None) for batch in SMALL_BATCHES if small_chip]
    for batch, chip, blocks in runs:
        order = [(place + batch) % sequences for place in range(batch)]
        got = bench.token({name: value[order] for name, value in given.items()}, *chip, blocks=blocks)
        for place, index in enumerate(order):
            part = {name: value[place : place + 1] for name, value in got.items()}
            report.same_bits(part, alone[index], f"batch of {batch}{' on ' * bool(chip)}{''.join(chip)}: sequence {index} at place {place}")


def check_pieces(bench, report, expected):
    """States go out and come in again: two halves are the whole."""
    given = inputs_of(expected)
    positions = given["tokens"].shape[1]
    if positions < 2:
        return
    whole, cut = bench.token(given), positions // 2
    head = bench.token({**given, "tokens": given["tokens"][:, :cut]})
    state = {name.replace("out", "in"): value for name, value in head.items() if name.startswith("state_out.")}
    tail = bench.token({**state, "tokens": given["tokens"][:, cut:]})
    tail["logits"] = np.concatenate([head["logits"], tail["logits"]], axis=1)
    report.same_bits(tail, whole, "two pieces")


def main():
    parser = device_parser(__doc__)
    parser.add_argument("--package", required=True)
    parser.add_argument("--golden", required=True)
    parser.add_argument("--positions", type=int, default=10**6)
    parser.add_argument("--integers", type=float)
    parser.add_argument("--small-chip", action="store_true", help="PKG is for sm_120, too, which the emulator shall be")
    arguments = parser.parse_args()
    programs = programs_of(arguments)
    report = Report()
    bench = Bench(programs, arguments.package)
    golden = tensors.load(arguments.golden)
    one, few = first(golden, 1, arguments.positions), first(golden, 3, min(2, arguments.positions))
    several = first(golden, 3, arguments.positions)
    done = programs.run(programs.sm1_run, "generate", arguments.package, "--device=cuda", "--step=token", "--max-tokens=1", "--greedy",
                        "--tokens-out", programs.work / "one.json", *([f"SM1_EMULATOR_SMS={bench.blocks[0]}"] if bench.blocks[0] else []))
    if "no NVRTC" in done.stderr:
        report.skip(done.stderr.strip())
        return report.finish()
    if arguments.integers:
        check_integers(bench, report, one, arguments.integers)
        return report.finish()
    check_golden(bench, report, several)
    check_orders(bench, report, few)
    check_batches(bench, report, few, arguments.small_chip)
    check_pieces(bench, report, one)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
