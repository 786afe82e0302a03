#!/usr/bin/env python3
"""The program for long sequences on sm_90a, whose tiles are chunks of a sequence that end in a scan: as near float64 as the one for many
rows, whatever the number of blocks the same bits, alone and in a batch, and in pieces with the state carried near the whole; beside it
the one for fewer rows than fill the chip, with tiles of half as many for kernels of one matrix.

  long_prompts.py --bin DIR --work DIR [--device NAME]
"""
import sys

import numpy as np

from harness import Report, device_parser, distance, programs_of, ragged_tokens, state_of
import reference

VOCAB, LONG, LARGER = 37, "prefill_long", "prefill_larger"
LENGTHS = 257, 7, 128       # chunks of 128 rows: two and a row of one, part of one, a whole one
PROMPTS = ragged_tokens(3, VOCAB, LENGTHS)
WORSE = 1.1                 # of the other program's error against float64
PIECES = 3e-2               # by norms, a sequence in two pieces: what is rounded lies on other rows' sides of it
CLEARLY_WRONG = 0.1         # the same with a state of zeros: some 0.5


def check_batches(programs, report, package, run, whole):
    """Every sequence by itself has the bits that it has beside others."""
    for index, length in enumerate(LENGTHS):
        alone = run({"tokens": PROMPTS["tokens"][index:index + 1, :length]})
        beside = {name: value[index:index + 1] for name, value in whole.items()}
        beside["logits"] = beside["logits"][:, :length]
        report.same_bits(alone, beside, f"{length} rows alone and in a batch")


def check_pieces(report, run):
    tokens = PROMPTS["tokens"][:1]
    first, second = (np.ascontiguousarray(part) for part in np.split(tokens, [170], axis=1))
    whole, left = run({"tokens": tokens}), run({"tokens": first})
    joined = lambda right: {**right, "logits": np.concatenate([left["logits"], right["logits"]], 1)}
    report.near(joined(run({"tokens": second, **state_of(left)})), whole, PIECES, "in pieces")
    dropped = state_of(left)
    dropped["state_in.h"] = np.zeros_like(dropped["state_in.h"])
    difference, _ = distance(joined(run({"tokens": second, **dropped})), whole)
    report.check(difference > CLEARLY_WRONG, f"a state that is not carried makes a difference of {difference:.1e} alone")


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    checkpoint = programs.checkpoint("wide", vocab=VOCAB, d_model=128, layers=2, d_ff=64)
    options = "--weights=bf16", "--compute=bf16", "--target=sm_90a"
    programs.check_scheduled(report, checkpoint, "ssm_x_proj_long", "panel_split = 4", *options)
    programs.check_scheduled(report, checkpoint, "ssm_out_proj_larger", "row_split = 64", *options)
    package = programs.compile(checkpoint, "long", f"--variants={LONG},{LARGER}", *options)

    def run(given, blocks=1, variant=LONG):
        settings = (f"SM1_EMULATOR_SMS={blocks}", f"SM1_EMULATOR_RESIDENTS={blocks}") if programs.device.is_emulated else ()
        return programs.logits(package, given, f"--variants={variant}", *settings)

    whole = run(PROMPTS)
    for blocks in (3, 40):
        report.same_bits(run(PROMPTS, blocks), whole, f"{blocks} blocks")
    check_batches(programs, report, package, run, whole)
    check_pieces(report, run)

    tokens = PROMPTS["tokens"][:1]
    exact = reference.Sm1(str(checkpoint)).run(tokens)
    error = {variant: distance(run({"tokens": tokens}, variant=variant), exact)[0] for variant in (LONG, LARGER, "none")}
    print(f"away from float64: {error}")
    for variant in (LONG, LARGER):
        report.check(error[variant] <= WORSE * error["none"], f"away from float64: {error}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
