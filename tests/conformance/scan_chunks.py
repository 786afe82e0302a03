#!/usr/bin/env python3
"""A scan that is cut in time, in bf16: chunks that take their inputs through shared memory have the bits of those that take them through
registers, alone and in a batch, however many blocks run at once, and are near a scan with one chain over all rows.

  scan_chunks.py --bin DIR --work DIR [--device NAME]
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of, ragged_tokens

VOCAB, LENGTHS = 37, (700, 257, 128, 1)  # six chunks, three, and one
CUT = "scan form=scan threads=256 row_tile=128 row_split=1 panel_split=4 stages={}"
CHOSEN = "row_tile = 128, row_split = 1, panel_split = 4, stages = 2"
WHOLE = "scan form=scan threads=256 row_tile=64 row_split=1 panel_split=1"
CLOSE = 1e-2  # streams are rounded to bf16 behind the scan


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    checkpoint = programs.checkpoint("narrow", vocab=VOCAB, d_model=32, layers=2, d_ff=32)
    options = "--weights=bf16", "--compute=bf16", "--variants=none", f"--target={a.target}"

    if a.target.startswith("sm_90"):
        programs.check_scheduled(report, checkpoint, "scan", CHOSEN, *options)

    def compiled(name, schedule):
        (programs.work / f"{name}.txt").write_text(schedule + "\n")
        return programs.compile(checkpoint, name, f"--schedule={programs.work / f'{name}.txt'}", *options)

    given = ragged_tokens(3, VOCAB, LENGTHS)
    run = lambda package, inputs=given: programs.logits(package, inputs, "--variants=none")
    staged = compiled("staged", CUT.format(2))
    own = run(staged)
    report.check(np.abs(own["state_out.h"]).min() > 0, "states are zero")
    report.same_bits(run(compiled("registers", CUT.format(1))), own, "inputs through registers")
    longest = run(staged, {"tokens": given["tokens"][:1]})
    report.same_bits(longest, {name: own[name][:1] for name in own}, "the longest alone")
    if programs.device.is_emulated:
        programs.environment |= {"SM1_EMULATOR_RESIDENTS": "5", "SM1_EMULATOR_SCHEDULE": "shuffled:3"}
        report.same_bits(run(staged), own, "five blocks at once")
    report.near(own, run(compiled("whole", WHOLE)), CLOSE, "chunks beside one chain")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
