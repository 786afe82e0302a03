#!/usr/bin/env python3
"""A sequence's bits depend on nothing but the sequence: not on its neighbours, its place, the others' lengths, or how it is cut.

  batching.py --bin DIR --work DIR --package PKG --vocab V

Everything is compared, bit for bit, with each sequence run alone and whole. Thousands of cuts are drawn in process by SplitsTest;
here the same goes through the command line and through states in files.
"""
import sys

import numpy as np

from harness import Programs, Report, parser, random_tokens, state_of


def alone(programs, package, tokens):
    return programs.logits(package, {"tokens": tokens[None]})


def row(outputs, index, length):
    """One sequence of a batch, its logits up to its own length."""
    part = {name: value[index : index + 1] for name, value in outputs.items() if name != "tokens"}
    part["logits"] = part["logits"][:, :length]
    return part


def wanted(outputs):
    return {name: outputs[name] for name in ("logits", "state_out.h", "state_out.conv")}


def check_ragged(programs, report, package, vocab):
    """A batch of different lengths, in a drawn order, in every mode: each sequence as if alone."""
    random = np.random.RandomState(7)
    lengths = np.array([1, 37, 2, 16, 31, 5, 36], np.int32)
    tokens = random_tokens(8, vocab, len(lengths), int(lengths.max()))
    single = [wanted(alone(programs, package, tokens[i, :n])) for i, n in enumerate(lengths)]
    for mode in ("prefill", "step", "chunked:7"):
        order = random.permutation(len(lengths))
        given = {"tokens": tokens[order], "lengths": lengths[order]}
        got = programs.logits(package, given, f"--mode={mode}", "--threads=2")
        for place, index in enumerate(order):
            name = f"{mode}: sequence {index} of length {lengths[index]} at place {place}"
            report.same_bits(row(got, place, lengths[index]), single[index], name)


def check_batch_sizes(programs, report, package, vocab):
    """One sequence at every place of batches of 1 to 33."""
    tokens = random_tokens(9, vocab, 33, 19)
    expected = wanted(alone(programs, package, tokens[0]))
    for batch in (2, 3, 8, 17, 33):
        place = batch * 2 // 3
        given = tokens[:batch].copy()
        given[[0, place]] = given[[place, 0]]
        got = programs.logits(package, {"tokens": given})
        report.same_bits(row(got, place, 19), expected, f"batch of {batch}, place {place}")


def check_cuts(programs, report, package, vocab):
    """A sequence in pieces, the state carried from file to file."""
    random = np.random.RandomState(11)
    tokens = random_tokens(12, vocab, 2, 90)
    whole = wanted(programs.logits(package, {"tokens": tokens}))
    for case in range(6):
        cuts = [0, *sorted(random.choice(np.arange(1, 90), random.randint(1, 6), replace=False)), 90]
        state, pieces = {}, []
        for begin, end in zip(cuts, cuts[1:]):
            got = programs.logits(package, {"tokens": np.ascontiguousarray(tokens[:, begin:end]), **state})
            state = state_of(got)
            pieces.append(got["logits"])
        joined = {**wanted(got), "logits": np.concatenate(pieces, 1)}
        report.same_bits(joined, whole, f"cut at {cuts[1:-1]}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--package", required=True)
    arguments.add_argument("--vocab", required=True, type=int)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    for check in (check_ragged, check_batch_sizes, check_cuts):
        check(programs, report, a.package, a.vocab)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
