#!/usr/bin/env python3
"""Schedules of bf16 prefills: whatever tiles, blocks and bands a kernel has, the bits are the same, or near where sums are added in another
order or rounded elsewhere.

On sm_90a:
- a block of one of two projections has the bits of one of both; rows in bands are near rows with a warp each (`check_other_schedules`)
- blocks that go on from tile to tile, of rows as they lie or of chunks of segments (`check_walks`)
- norms that tiles divide have the same bits however many blocks there are, and are near whole ones (`check_divided_norms`)
- with some rows, blocks of one projection and steps of 128 bytes (`check_tiles_of_some`)
On sm_90:
- tiles of mma.sync have the bits of each other, whoever brings the operands (`check_mma_tiles`)
- three warps to a row in bands read no sums that nobody wrote (`check_three_warps`)

  bf16_schedules.py --bin DIR --work DIR [--device NAME]
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of, ragged_tokens, state_of

VOCAB, LENGTHS = 37, (70, 45, 2)  # segments that begin and end inside bands and tiles
LATER = 4, 9, 31  # behind those: bands that begin a segment with what it came with, one of them all of it, and one in the middle
# Kernel, what the compiler chooses by itself, and what it is set against.
APART = "ssm_in_proj", "threads = 384, row_tile = 128, row_split = 128, panel_split = 8", "panel_split=4"
BANDS = "conv1d", "threads = 64, row_tile = 1, row_split = 4", "threads=128 row_tile=4 row_split=4"
BF16 = "--weights=bf16", "--compute=bf16"
TWO = "--variants=none",  # the entries that run here, of twelve; schedules change kernels of these alone
SOME_ROWS = "--variants=prefill_some"
CLOSE = 1e-2
DIVIDED = 3e-2  # of norms in halves, whose rows are rounded before they are scaled; 1.8e-2 on the emulator
BLOCKS = 1, 3, 100  # multiprocessors, and so blocks that go on from tile to tile: one has all tiles, or each has one
# Blocks that go on: two warpgroups to a tile, or one tile to each of two; where each block has one tile, two warpgroups share that, too.
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
# The same where a multiprocessor has room for one block (sm_120): two steps, and what is added to sums in fewer slots than there are rows.
MMA_TILES_OF_ONE = {
    "ssm_in_proj": "threads=256 row_tile=64 row_split=256 panel_split=4 stages=2",
    "ssm_x_proj": "threads=256 row_tile=48 row_split=192 panel_split=4 stages=2",
    "ssm_out_proj": "threads=256 row_tile=64 row_split=256 panel_split=8 stages=2",
    "mlp_w1": "threads=256 row_tile=32 row_split=128 panel_split=4 stages=3",
    "mlp_w2": "threads=256 row_tile=32 row_split=128 panel_split=8 stages=3",
}


def schedule_file(programs, name, numbers, form=""):
    """The option that gives kernels these schedules, all of one form."""
    path = programs.work / f"{name}.txt"
    path.write_text("".join(f"{kernel} {form and f'form={form} '}{schedule}\n" for kernel, schedule in numbers.items()))
    return f"--schedule={path}"


def refused(programs, report, checkpoint, says, what, *options):
    done = programs.run(programs.sm1c, checkpoint, "-o", programs.work / "none.sm1pkg", *options)
    report.check(done.returncode == 1 and says in done.stderr, f"{what}: {done.stderr}")


def whole(programs, package, given):
    """What the program for any number of rows makes of it."""
    return programs.logits(package, given, "--variants=none")


def with_blocks(programs, package, given):
    """(blocks, what comes) on chips of so many multiprocessors."""
    for blocks in BLOCKS:
        programs.environment["SM1_EMULATOR_SMS"] = str(blocks)
        yield blocks, whole(programs, package, given)
    del programs.environment["SM1_EMULATOR_SMS"]


def check_close(report, got, expected, text):
    """Each number, by the root of the mean square of all."""
    for name, right in expected.items():
        worst = np.abs(got[name] - right).max() / np.sqrt(np.square(right).mean())
        report.check(worst < CLOSE, f"{text}: {name} is {worst:.1e} away, must be less than {CLOSE}")


def check_other_schedules(programs, checkpoint, report, own, given, expected, options):
    """Also for segments that go on from the states of others."""
    later = {**ragged_tokens(5, VOCAB, LATER), **state_of(expected)}
    going_on = whole(programs, own, later)
    for kernel, chosen, other in (APART, BANDS):
        programs.check_scheduled(report, checkpoint, kernel, chosen, *options)
        package = programs.compile(checkpoint, kernel, schedule_file(programs, "schedule", {kernel: other}), *TWO, *options)
        for inputs, right in (given, expected), (later, going_on):
            got = whole(programs, package, inputs)
            if kernel == APART[0]:
                report.same_bits(got, right, f"{kernel} {other}")
            check_close(report, got, right, f"{kernel} {other}")


def check_walks(programs, checkpoint, report, own, given, expected, options):
    walks = schedule_file(programs, "walks", WALKS, "wgmma_tiles")
    chunks = schedule_file(programs, "chunks", CHUNKS, "wgmma_tiles")
    refused(programs, report, checkpoint, "row_split must be the same where chunks is true",
            "chunks of 64 rows beside a scan's of 128", chunks, *options)
    packages = {
        "those chosen": own,
        "others": programs.compile(checkpoint, "walking", walks, *TWO, *options, assembled=True),
        "chunks": programs.compile(checkpoint, "chunked", chunks, "--no-fuse=sm1-fuse-projection-scan", *TWO, *options,
                                   assembled=True),
    }
    for name, package in packages.items():
        for blocks, got in with_blocks(programs, package, given):
            report.same_bits(got, expected, f"blocks that go on, {name}, {blocks} of them")


def check_divided_norms(programs, checkpoint, report, given, undivided, options):
    scheduled = programs.must(programs.sm1c, checkpoint, "--emit=scheduled", *options)
    report.check("parts 4" in scheduled, "no norm is divided between tiles of many rows")
    walks = schedule_file(programs, "walks", WALKS, "wgmma_tiles")
    for i, (name, schedule) in enumerate({"those chosen": (), "others": (walks,)}.items()):
        package, first = programs.compile(checkpoint, f"divided{i}", *schedule, *TWO, *options), None
        for blocks, got in with_blocks(programs, package, given):
            first = first or got
            report.same_bits(got, first, f"norms in halves, {name}, {blocks} blocks")
        report.near(first, undivided, DIVIDED, f"norms in halves, {name}, beside whole ones")


def check_tiles_of_some(programs, checkpoint, report, given, options):
    chosen = programs.compile(checkpoint, "some", SOME_ROWS, *options)
    expected = programs.logits(chosen, given, SOME_ROWS)
    package = programs.compile(checkpoint, "some-others", schedule_file(programs, "some", SOME), SOME_ROWS, *options, assembled=True)
    report.same_bits(programs.logits(package, given, SOME_ROWS), expected, "one projection, wide steps")
    multiplied = schedule_file(programs, "multiplied", {"mlp_w1_some": "of_one=true"})
    refused(programs, report, checkpoint, "of_one = true", "one of two that are multiplied", multiplied, *options)


def check_mma_tiles(programs, checkpoint, report, given):
    options = *BF16, *TWO, "--target=sm_90", "--tuned=none"
    expected = whole(programs, programs.compile(checkpoint, "mma", *options), given)
    for name, tiles in {"mma-tiles": MMA_TILES, "mma-one": MMA_TILES_OF_ONE}.items():
        schedule = schedule_file(programs, name, tiles, "tensor_tiles")
        package = programs.compile(checkpoint, name, schedule, *options, assembled=True)
        report.same_bits(whole(programs, package, given), expected, f"tiles of mma.sync, {name}")
    # Operands by the copy engine, which sm_80 has not: steps of another size, the same sums.
    programs.check_scheduled(report, checkpoint, "ssm_x_proj", "{boxes}", *options)
    copies = *(option.replace("sm_90", "sm_80") for option in options),
    report.same_bits(whole(programs, programs.compile(checkpoint, "mma-copies", *copies), given), expected,
                     "operands by cp.async beside those by the copy engine")


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
    undivided = *divided, "--no-fuse=sm1-fuse-norm-halves"
    given = ragged_tokens(3, VOCAB, LENGTHS)
    own = programs.compile(checkpoint, "own", *TWO, *undivided)
    expected = whole(programs, own, given)
    report.check(np.abs(expected["state_out.h"]).min() > 0, "states are zero")
    check_other_schedules(programs, checkpoint, report, own, given, expected, undivided)
    check_walks(programs, checkpoint, report, own, given, expected, undivided)
    check_divided_norms(programs, checkpoint, report, given, expected, divided)
    check_tiles_of_some(programs, checkpoint, report, given, divided)
    check_mma_tiles(programs, checkpoint, report, given)
    check_three_warps(programs, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
