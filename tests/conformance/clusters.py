#!/usr/bin/env python3
"""Tiles whose k the blocks of a cluster share, in a layer wide enough for them: logits and states are near those of mma.sync, and a
sequence has the same bits in every batch. Steps of up to 64 sequences take them, and prompts of few rows.

  clusters.py --bin DIR --work DIR [--device NAME]
"""
import re
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens, state_of

VOCAB = 37
BATCHES = 66, 18  # a tile and two rows more; a part of one
TAKEN = {1: "step_few", 33: "step_several", 65: "step_some"}  # by so many sequences
# Three matrices share k where one tile has all rows; one matrix of a small model would not.
CHOSEN = "scan_step_few", "depth_split = 2>"
SCHEDULE = """{0}_{1} form=wgmma_tiles threads=128 row_tile=64 row_split=64 panel_split=2 stages={2} depth_split={3}"""
SHARED = ("ssm_out_proj", 2, 4), ("mlp_w2", 8, 2)
# Stages for fewer steps than a block has are filled again.
REFILLED = ("ssm_out_proj", 3, 2), ("mlp_w2", 4, 2)
VARIANTS = {"step_few": SHARED, "step_several": SHARED[:1], "step_some": SHARED, "step_many": REFILLED}  # several: the others' are few's
FEW_ROWS = "prefill_few"
PROMPTS = "".join(SCHEDULE.format(kernel, "few@sm_90a", stages, split) + "\n" for kernel, stages, split in SHARED)
CLOSE = 1e-2  # both are as far from float64, 1.4e-2 for logits; one is 1e-3 from the other


def check_near(report, variant, own, common):
    report.check(np.abs(own["state_out.h"]).min() > 0, "states are zero")
    report.near(own, common, CLOSE, f"{variant} beside sm_90")


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    checkpoint = programs.checkpoint("wide", vocab=VOCAB, d_model=256, layers=2, d_ff=1024)
    options = "--weights=bf16", "--compute=bf16"
    programs.check_scheduled(report, checkpoint, *CHOSEN, "--target=sm_90a", *options)
    schedule = programs.work / "schedule.txt"
    schedule.write_text("".join(SCHEDULE.format(kernel, f"{variant}@sm_90a", stages, split) + "\n"
                                for variant, shared in VARIANTS.items() for kernel, stages, split in shared) + PROMPTS)
    package = programs.compile(checkpoint, "clusters", "--target=sm_90,sm_90a", f"--schedule={schedule}",
                               f"--variants={','.join([*VARIANTS, FEW_ROWS])}", *options, assembled=True)
    tokens, common_steps = random_tokens(5, VOCAB, max(BATCHES), 2), ("--mode=step", "--variants=step_some", "--isa=sm_90")
    # One step from states that are no zeros: the emulator takes its time.
    later = {"tokens": tokens[:, 1:], **state_of(programs.logits(package, {"tokens": tokens[:, :1]}, *common_steps))}
    run = lambda batch, *more: programs.logits(package, {name: value[:batch] for name, value in later.items()}, "--mode=step", *more)
    common = run(BATCHES[0], *common_steps[1:])
    for variant in VARIANTS:
        own = [run(batch, f"--variants={variant}") for batch in BATCHES]
        check_near(report, variant, own[0], common)
        report.same_bits(own[1], {name: own[0][name][:BATCHES[1]] for name in own[0]}, f"{variant}: {BATCHES[1]} of {BATCHES[0]} sequences")
    few, several = (run(BATCHES[1], f"--variants={variant}") for variant in ("step_few", "step_several"))
    report.same_bits(several, few, "step_several beside step_few")
    prompts = random_tokens(6, VOCAB, 2, 35)  # of two tiles of rows, and of a part of one
    of_prompts = lambda tokens, *more: programs.logits(package, {"tokens": tokens}, f"--variants={FEW_ROWS}", *more)
    own = of_prompts(prompts)
    check_near(report, "prefill_few", own, of_prompts(prompts, "--isa=sm_90"))
    report.same_bits(of_prompts(prompts[:1]), {name: own[name][:1] for name in own}, "prefill_few: one of 2 prompts")
    said = programs.must(programs.sm1_run, "inspect", package)
    report.check(re.search(r"entry +step_few: \d+ launches, in place of step for 1 to 32", said), "inspect says otherwise who takes step_few")
    for batch, variant in TAKEN.items():
        given = {"tokens": tokens[:batch, :1]}
        report.same_bits(programs.logits(package, given, "--mode=step"),
                         programs.logits(package, given, "--mode=step", f"--variants={variant}"), f"{batch} sequences, {variant}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
