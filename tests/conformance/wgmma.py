#!/usr/bin/env python3
"""The instructions of one chip against those of all: one package for sm_90 and sm_90a, run with each.

  wgmma.py --bin DIR --work DIR [--device NAME] --package PKG --whole PKG --vocab V

Without options the chip's own program is taken, its tiles for many, some and few rows, and those of steps. Their logits and states are
near those of mma.sync, where both divide the same norms, and each program's near those of the one for the other numbers of rows, which has its norms whole: so a norm that is
divided between kernels has the weights of its own layer. On the emulator, where both add sixteen products to a sum at a time, those of the tiles for many rows are the same
bits where no norm is divided, as in the other package.
"""
import itertools
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens

CLOSE = 4e-2  # of some 100,000 elements the largest: against float64 the root mean square of either one's errors is 1.6e-2
APART = 5e-2  # by norms, of programs that round at other places: 1.8e-2 on the emulator, 0.36 with the norm of another layer
ROWS = {False: [(3, 700), (1, 300), (1, 1)], True: [(2, 70), (1, 5)]}  # batch and length; on the emulator the second
STEPS = {False: [(300, 4), (5, 4)], True: [(66, 2)]}
FAMILIES = (("none", "prefill_large", "prefill_most", "prefill_more", "prefill_some", "prefill_several", "prefill_few"),
            ("step_few", "step_several", "step_some", "step_many", "step_most"))
# What sm_90 has in its place, or what divides the same norms there.
FOR_ALL = {"step_few": "step_some", "step_several": "step_some", "step_most": "step_many",
           **{f"prefill_{rows}": "prefill_few" for rows in ("large", "most", "more", "some", "several")}}


def largest_difference(got, wanted):
    """Largest difference, by the root mean square of what is wanted."""
    return max(np.abs(got[name] - wanted[name]).max() / np.sqrt(np.square(wanted[name]).mean()) for name in wanted)


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--package", required=True)
    arguments.add_argument("--whole", required=True)
    arguments.add_argument("--vocab", required=True, type=int)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    for (rows, mode), families in zip(((ROWS, "prefill"), (STEPS, "step")), FAMILIES):
        for (batch, length), family in itertools.product(rows[programs.device.is_emulated], families):
            given = {"tokens": random_tokens(9, a.vocab, batch, length)}
            name = f"{batch} x {length}, --variants={family}"
            run = lambda variant, *options: programs.logits(a.package, given, f"--mode={mode}", f"--variants={variant}", "--trace", *options)
            common, own = run(FOR_ALL.get(family, family), "--isa=sm_90"), run(family)
            report.check("(sm_90a," in programs.said, f"{name}: not the program of sm_90a: {programs.said[:300]}")
            # The tiles of sm_90 for many rows divide no norm.
            alike = programs.logits(a.whole, given, f"--mode={mode}", "--variants=none", "--isa=sm_90a") if family == "none" else own
            worst = largest_difference(alike, common)
            print(f"{name}: {worst:.1e} away from sm_90")
            report.check(worst < CLOSE, f"{name}: {worst:.1e} away from sm_90, must be less than {CLOSE}")
            whole = common if family == "none" else run("none", "--isa=sm_90")
            report.near(own, whole, APART, f"{name}, beside norms that are whole")
            if programs.device.is_emulated and family == "none":
                report.same_bits(alike, common, name)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
