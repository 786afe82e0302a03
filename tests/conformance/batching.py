#!/usr/bin/env python3
"""A sequence's bits depend on nothing but the sequence: not on its neighbours, its place, the others' lengths, or how it is cut.

  batching.py --bin DIR --work DIR [--device NAME] --package PKG --vocab V [--compute f32|bf16]

Everything is compared, bit for bit, with each sequence run alone and whole. Thousands of cuts are drawn in process by SplitsTest;
here the same goes through the command line and through states in files. With --compute=bf16 a GPU multiplies on tensor cores, in one
order for a step and others for few and for many rows: a batch is then compared with a sequence alone in the same mode, for each choice of
kernels that the number of rows would otherwise make.
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens, state_of

RAGGED = {False: [1, 37, 2, 16, 31, 5, 36], True: [1, 9, 2, 16, 5]}  # lengths; on the emulator the second
WHOLE = {False: 19, True: 3}
CUTS = {False: (90, 6), True: (24, 2)}  # length, cases
LONG = {False: 1000, True: 270}
CLOSE = 2e-2  # bf16: what was rounded up in one piece may be rounded down in another


class Bench:
    def __init__(self, programs, package, vocab, compute, family):
        self.programs, self.package, self.vocab, self.compute, self.family = programs, package, vocab, compute, family
        self.small = programs.device.is_emulated

    def run(self, given, mode, *options):
        outputs = self.programs.logits(self.package, given, f"--mode={mode}", *self.family, *options)
        return {name: outputs[name] for name in ("logits", "state_out.h", "state_out.conv")}

    def alone(self, tokens, mode):
        """One sequence; on every device f32 has the bits of its prefill in all modes."""
        return self.run({"tokens": tokens[None]}, mode if self.compute == "bf16" else "prefill")


def row(outputs, index, length):
    """One sequence of a batch, its logits up to its own length."""
    part = {name: value[index : index + 1] for name, value in outputs.items()}
    part["logits"] = part["logits"][:, :length]
    return part


def check_ragged(bench, report):
    """A batch of different lengths, in a drawn order, in every mode: each sequence as if alone."""
    random = np.random.RandomState(7)
    lengths = np.array(RAGGED[bench.small], np.int32)
    tokens = random_tokens(8, bench.vocab, len(lengths), int(lengths.max()))
    for mode in ("prefill", "step", "chunked:7"):
        single = [bench.alone(tokens[i, :n], mode) for i, n in enumerate(lengths)]
        order = random.permutation(len(lengths))
        given = {"tokens": tokens[order], "lengths": lengths[order]}
        got = bench.run(given, mode)
        for place, index in enumerate(order):
            name = f"{mode}: sequence {index} of length {lengths[index]} at place {place}"
            report.same_bits(row(got, place, lengths[index]), single[index], name)


def check_batch_sizes(bench, report):
    """One sequence at every place of batches of 1 to 33, whole and a token at a time."""
    tokens = random_tokens(9, bench.vocab, 33, WHOLE[bench.small])
    for mode in ("prefill", "step"):
        expected = bench.alone(tokens[0], mode)
        for batch in (1, 2, 3, 8, 9, 17, 33):
            place = batch * 2 // 3
            given = tokens[:batch].copy()
            given[[0, place]] = given[[place, 0]]
            got = bench.run({"tokens": given}, mode)
            report.same_bits(row(got, place, given.shape[1]), expected, f"{mode}, batch of {batch}, place {place}")


def check_cuts(bench, report):
    """A sequence in pieces, the state carried from file to file; in bf16 a scan over time adds in groups that begin where a piece does."""
    random = np.random.RandomState(11)
    length, cases = CUTS[bench.small]
    tokens = random_tokens(12, bench.vocab, 2, length)
    whole = bench.run({"tokens": tokens}, "prefill")
    for _ in range(cases):
        cuts = [0, *sorted(random.choice(np.arange(1, length), random.randint(1, 6), replace=False)), length]
        state, pieces = {}, []
        for begin, end in zip(cuts, cuts[1:]):
            got = bench.run({"tokens": np.ascontiguousarray(tokens[:, begin:end]), **state}, "prefill")
            state = state_of(got)
            pieces.append(got["logits"])
        pieces, name = {**got, "logits": np.concatenate(pieces, 1)}, f"cut at {cuts[1:-1]}"
        if bench.compute == "bf16":
            report.close(pieces, whole, name, CLOSE)
        else:
            report.same_bits(pieces, whole, name)


def check_long(bench, report):
    """Longer than the tile of any scan, and a shorter one beside it: whole, and in pieces that end elsewhere."""
    tokens, lengths = random_tokens(13, bench.vocab, 2, LONG[bench.small]), np.array([LONG[bench.small], 65], np.int32)
    given = {"tokens": tokens, "lengths": lengths}
    whole, pieces = bench.run(given, "prefill"), bench.run(given, "chunked:100")
    if bench.compute == "bf16":
        report.close(pieces, whole, "long, in pieces", CLOSE)
    else:
        report.same_bits(pieces, whole, "long, in pieces")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--package", required=True)
    arguments.add_argument("--vocab", required=True, type=int)
    arguments.add_argument("--compute", choices=["f32", "bf16"], default="f32")
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    for family in programs.device.families(a.compute):
        bench = Bench(programs, a.package, a.vocab, a.compute, family)
        for check in (check_ragged, check_batch_sizes, check_cuts, check_long):
            check(bench, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
