#!/usr/bin/env python3
"""Schedules of bf16 prefills on sm_90a: a block that has one of two projections gives the bits of one that has both, so do blocks that go
on from tile to tile, of rows as they lie or of chunks of segments, and rows in bands are near rows with a warp each, whose sums of squares
have another order. Blocks of one projection of some rows, and steps of 128 bytes, keep bits, too. Norms that tiles divide have the same bits however many blocks there are, and are near whole ones. Three warps to a row
in bands read no sums that nobody wrote. On sm_90 tiles of mma.sync have the bits of each other.

  bf16_schedules.py --bin DIR --work DIR [--device NAME]
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of, ragged_tokens, state_of

VOCAB, LENGTHS = 37, (70, 45, 2)  # segments that begin and end inside bands and tiles
LATER = 4, 9, 31  # behind those: bands that begin a segment with what it came with, one of them all of it, and one in the middle
# What the compiler chooses by itself, and what it is set against.
APART = "ssm_in_proj", "threads = 384, row_tile = 128, row_split = 128, panel_split = 8", "panel_split=4"
BANDS = "conv1d", "threads = 64, row_tile = 1, row_split = 4", "threads=128 row_tile=4 row_split=4"
BF16 = "--weights=bf16", "--compute=bf16"
TWO = "--variants=none",  # the entries that run here, of twelve; schedules change kernels of these alone
SOME_ROWS = "--variants=prefill_some"
CLOSE = 1e-2
# By norms: rows are rounded before they are scaled. 1.8e-2 on the emulator.
DIVIDED = 3e-2
# Blocks that go on: two warpgroups to a tile, one tile to each of two. On the emulator one multiprocessor has them all,
# or each has one: then two warpgroups share what else is one tile to each.
WALKS = {
    "ssm_in_proj": "threads=384 row_tile=128 row_split=256 panel_split=8 stages=3",
    "ssm_x_proj": "threads=384 row_tile=64 row_split=128 panel_split=2 stages=4",
    "ssm_out_proj": "threads=384 row_tile=128 row_split=128 panel_split=4 stages=3",
    "mlp_w1": "threads=640 row_tile=64 row_split=128 panel_split=2 stages=3",
    "mlp_w2": "threads=384 row_tile=64 row_split=64 panel_split=2 stages=5",
}
# Tiles that are chunks of segments: of 64 rows, some of which have rows of the next segment behind their last one.
CHUNKS = {
    "ssm_in_proj": "threads=384 row_tile=64 row_split=64 panel_split=8 stages=3 chunks=true",
    "ssm_x_proj": "threads=384 row_tile=64 row_split=64 panel_split=4 stages=3 chunks=true",
    "mlp_w2": "threads=384 row_tile=64 row_split=64 panel_split=2 stages=5 chunks=true",
}
# Of some rows, behind halves of norms: blocks of one projection, and steps of 128 bytes of 128 rows.
SOME = {
    "ssm_in_proj_some": "threads=256 row_tile=64 row_split=128 panel_split=4 stages=3 of_one=true wide_steps=true",
    "ssm_x_proj_some": "threads=128 row_tile=128 row_split=128 panel_split=4 stages=3 wide_steps=true",
    "mlp_w1_some": "threads=256 row_tile=64 row_split=128 panel_split=2 stages=3 wide_steps=true",
}
# Tiles of mma.sync whose lanes have one channel of a panel at once, two or four, of which halves are exchanged or not; panels that
# come in threes and do not divide the matrix's.
MMA_TILES = {
    "ssm_in_proj": "threads=128 row_tile=32 row_split=128 panel_split=4 stages=4",
    "ssm_x_proj": "threads=256 row_tile=48 row_split=96 panel_split=4 stages=3",
    "ssm_out_proj": "threads=64 row_tile=32 row_split=64 panel_split=4 stages=4",
    "mlp_w1": "threads=64 row_tile=32 row_split=64 panel_split=3 stages=4",
    "mlp_w2": "threads=128 row_tile=48 row_split=96 panel_split=4 stages=4",
}


def check_mma_tiles(programs, checkpoint, report, given):
    options = *BF16, *TWO, "--target=sm_90", "--tuned=none"
    expected = programs.logits(programs.compile(checkpoint, "mma", *options), given, "--variants=none")
    (programs.work / "mma.txt").write_text("".join(f"{kernel} form=tensor_tiles {numbers}\n" for kernel, numbers in MMA_TILES.items()))
    package = programs.compile(checkpoint, "mma-tiles", f"--schedule={programs.work / 'mma.txt'}", *options, assembled=True)
    report.same_bits(programs.logits(package, given, "--variants=none"), expected, "tiles of mma.sync")
    # Operands by the copy engine, which sm_80 has not: steps of another size, the same sums.
    programs.check_scheduled(report, checkpoint, "ssm_x_proj", "{boxes}", *options)
    copies = *(option.replace("sm_90", "sm_80") for option in options),
    report.same_bits(programs.logits(programs.compile(checkpoint, "mma-copies", *copies), given, "--variants=none"), expected,
                     "operands by cp.async beside those by the copy engine")


def check_tiles_of_some(programs, checkpoint, report, given, options):
    chosen = programs.compile(checkpoint, "some", SOME_ROWS, *options)
    expected = programs.logits(chosen, given, SOME_ROWS)
    text = programs.work / "some.txt"
    text.write_text("".join(f"{kernel} {numbers}\n" for kernel, numbers in SOME.items()))
    package = programs.compile(checkpoint, "some-others", f"--schedule={text}", SOME_ROWS, *options, assembled=True)
    report.same_bits(programs.logits(package, given, SOME_ROWS), expected, "one projection, wide steps")
    text.write_text("mlp_w1_some of_one=true\n")
    refused = programs.run(programs.sm1c, checkpoint, "-o", programs.work / "none.sm1pkg", f"--schedule={text}", *options)
    report.check(refused.returncode == 1 and "of_one = true" in refused.stderr, f"one of two that are multiplied: {refused.stderr}")


def check_three_warps(programs, report):
    """Segments that begin and end inside bands, whose rows go one by one."""
    checkpoint = programs.checkpoint("three", vocab=VOCAB, d_model=192, layers=1, d_ff=64)
    package = programs.compile(checkpoint, "three", *BF16, *TWO, "--target=sm_90")
    given = ragged_tokens(7, VOCAB, (9, 2))
    bands, steps = (programs.logits(package, given, *mode) for mode in (("--variants=none",), ("--mode=step",)))
    report.near(bands, steps, DIVIDED, "three warps to a row, beside steps")


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    checkpoint = programs.checkpoint("wide", vocab=VOCAB, d_model=128, layers=2, d_ff=64)
    divided = *BF16, "--target=sm_90a"
    options = *divided, "--no-fuse=sm1-fuse-norm-halves"
    given = ragged_tokens(3, VOCAB, LENGTHS)
    run = lambda package: programs.logits(package, given, "--variants=none")
    chosen_by_itself = programs.compile(checkpoint, "own", *TWO, *options)
    own = run(chosen_by_itself)
    report.check(np.abs(own["state_out.h"]).min() > 0, "states are zero")
    later = {**ragged_tokens(5, VOCAB, LATER), **state_of(own)}
    going_on = programs.logits(chosen_by_itself, later, "--variants=none")
    for kernel, chosen, other in (APART, BANDS):
        programs.check_scheduled(report, checkpoint, kernel, chosen, *options)
        (programs.work / "schedule.txt").write_text(f"{kernel} {other}\n")
        package = programs.compile(checkpoint, kernel, f"--schedule={programs.work / 'schedule.txt'}", *TWO, *options)
        for inputs, expected in (given, own), (later, going_on):
            got = programs.logits(package, inputs, "--variants=none")
            if kernel == APART[0]:
                report.same_bits(got, expected, f"{kernel} {other}")
            for name in expected:
                worst = np.abs(got[name] - expected[name]).max() / np.sqrt(np.square(expected[name]).mean())
                report.check(worst < CLOSE, f"{kernel} {other}: {name} is {worst:.1e} away, must be less than {CLOSE}")
    (programs.work / "schedule.txt").write_text("".join(f"{kernel} form=wgmma_tiles {numbers}\n" for kernel, numbers in WALKS.items()))
    walking = programs.compile(checkpoint, "walking", f"--schedule={programs.work / 'schedule.txt'}", *TWO, *options, assembled=True)
    (programs.work / "chunks.txt").write_text("".join(f"{kernel} form=wgmma_tiles {numbers}\n" for kernel, numbers in CHUNKS.items()))
    chunks = f"--schedule={programs.work / 'chunks.txt'}"
    refused = programs.run(programs.sm1c, checkpoint, "-o", programs.work / "none.sm1pkg", chunks, *options)
    report.check(refused.returncode == 1 and "row_split must be the same where chunks is true" in refused.stderr,
                 f"chunks of 64 rows beside a scan's of 128: {refused.stderr}")
    chunked = programs.compile(checkpoint, "chunked", chunks, "--no-fuse=sm1-fuse-projection-scan", *TWO, *options, assembled=True)
    for blocks in (1, 3, 100):
        programs.environment["SM1_EMULATOR_SMS"] = str(blocks)
        for name, package in ("those chosen", chosen_by_itself), ("others", walking), ("chunks", chunked):
            report.same_bits(run(package), own, f"blocks that go on, {name}, {blocks} of them")
    scheduled = programs.must(programs.sm1c, checkpoint, "--emit=scheduled", *divided)
    report.check("parts 4" in scheduled, "no norm is divided between tiles of many rows")
    schedules = {"those chosen": [], "others": [f"--schedule={programs.work / 'schedule.txt'}"]}
    for i, (name, scheduled) in enumerate(schedules.items()):
        package, first = programs.compile(checkpoint, f"divided{i}", *scheduled, *TWO, *divided), None
        for blocks in (1, 3, 100):
            programs.environment["SM1_EMULATOR_SMS"] = str(blocks)
            got = run(package)
            first = first or got
            report.same_bits(got, first, f"norms in halves, {name}, {blocks} blocks")
        report.near(first, own, DIVIDED, f"norms in halves, {name}, beside whole ones")
    check_mma_tiles(programs, checkpoint, report, given)
    check_tiles_of_some(programs, checkpoint, report, given, divided)
    check_three_warps(programs, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
