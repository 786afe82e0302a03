#!/usr/bin/env python3
"""Shapes that fit nothing: widths that are no multiple of 16, odd K, one row and one more or less than a block's, 300 sequences.

  shapes.py --bin DIR --work DIR [--device NAME]

The models are made here: minGRU and scan with other sizes in their descriptions. f32 is compared with float64 and, bit for bit, a GPU
with the CPU; bf16 with float64 of the same rounded weights. On a real GPU one sequence has 100,000 tokens.
"""
import re
import sys
from collections import namedtuple

import numpy as np

from harness import HERE, Report, device_parser, programs_of, random_tokens
from relatives import printed, random_params
import spec_reference
import tensors

SPECS = HERE.parent.parent / "kernels" / "specs"
BF16 = 1e-1  # random weights
# minGRU: model, inner and MLP width, vocabulary. What its description says is 40, 72, 100, 50.
Widths = namedtuple("Widths", "model inner mlp vocab")
WRITTEN = Widths(40, 72, 100, 50)
NARROW, ODD, LONG = Widths(20, 36, 51, 37), Widths(17, 33, 65, 19), Widths(129, 131, 67, 23)
# Rows of one pass, as lengths of its sequences: around a block's 64 and 128 rows, in one piece and in many.
ROWS = [[1], [2], [7], [63], [64], [65], [127], [128], [129], [130], [1, 62, 1], [64, 1, 63], [3] * 43]
MANY = [1] * 300


def resized(text, widths):
    """The description of minGRU with other sizes."""
    sizes = dict(zip(map(str, WRITTEN), map(str, widths)))
    return re.sub(r"(?<=[<x])\d+(?=x)", lambda size: sizes.get(size[0], size[0]), text)


class Case:
    """One model: its packages, parameters and meaning; with bf16 matrices are rounded and multiplied as bf16."""

    def __init__(self, programs, widths, bf16=False):
        self.programs, self.widths = programs, widths
        name = "-".join(map(str, widths)) + "-bf16" * bf16
        source = programs.work / f"{name}.mlir"
        source.write_text(resized((SPECS / "min-gru.mlir").read_text(), widths))
        self.model = printed(programs, source, name)
        self.file = random_params(programs, self.model, name, 31)
        rounded = lambda x: spec_reference.round_to("bf16", x) if bf16 and x.ndim == 2 else x
        self.params = {tensor: rounded(x) for tensor, x in tensors.load(self.file).items()}
        options = ["--weights=bf16", "--compute=bf16"] if bf16 else []
        self.package = programs.compile(source, name, f"--params={self.file}", *options, for_host=not bf16, best=not bf16)

    def given(self, lengths, seed):
        tokens = random_tokens(seed, self.widths.vocab, len(lengths), max(lengths))
        states = spec_reference.random_inputs(self.model, len(lengths), 1, seed)
        return {**states, "tokens": tokens, "lengths": np.array(lengths, np.int32)}

    def expected(self, given):
        """Whole batches at once, then zeros past each length; states of full lengths only."""
        got = spec_reference.run(self.model, self.params, {name: value for name, value in given.items() if name != "lengths"})
        inside = np.arange(given["tokens"].shape[1]) < given["lengths"][:, None]
        got["logits"] = got["logits"] * inside[..., None]
        return got

    def check(self, report, lengths, mode, tolerance, bits):
        given = self.given(lengths, sum(lengths))
        got = self.programs.logits(self.package, given, f"--mode={mode}")
        text = f"{self.widths}, {mode}, {len(lengths)} sequences of {sum(lengths)} rows"
        expected = self.expected(given)
        full = len(set(lengths)) == 1  # the reference knows the states at full length
        worst = report.close(got, expected, text, tolerance, states=("state_out.h",) if full else ())
        if bits:
            cpu = self.programs.on_cpu().logits(self.package, given)
            report.same_bits(got, {name: cpu[name] for name in expected}, f"{text} against the CPU")
        return worst


def check_rows(programs, report):
    small = programs.device.is_emulated
    worst = 0
    narrow = Case(programs, NARROW)
    for lengths in ROWS:
        worst = max(worst, narrow.check(report, lengths, "prefill", 1e-5, bits=True))
    for lengths in ([1], [2], [3] * 7, [2] * 17):
        worst = max(worst, narrow.check(report, lengths, "step", 1e-5, bits=True))
    worst = max(worst, narrow.check(report, MANY, "prefill", 1e-5, bits=True), narrow.check(report, MANY, "step", 1e-5, bits=True))
    for widths in (ODD, LONG):
        case = Case(programs, widths)
        for lengths, mode in (([1], "step"), ([5, 2, 1], "step"), ([66] if small else [130], "prefill")):
            worst = max(worst, case.check(report, lengths, mode, 1e-5, bits=True))
    print(f"f32: largest relative error {worst:.2e}")


def check_bf16(programs, report):
    """On a GPU these go through tensor cores: K tails, rows that fill no tile of 8 or 128."""
    worst = 0
    for widths in (NARROW, LONG):
        case = Case(programs, widths, bf16=True)
        for lengths, mode in (([1], "prefill"), ([65, 63, 1], "prefill"), ([129], "prefill"), ([1] * 9, "step"), ([2] * 33, "step")):
            worst = max(worst, case.check(report, lengths, mode, BF16, bits=False))
    print(f"bf16: largest relative error {worst:.2e}")


def scan_reference(decay, value, init):
    h = np.empty(value.shape, np.float64)
    state = init.astype(np.float64)
    for t in range(value.shape[1]):
        h[:, t] = state = decay[:, t].astype(np.float64) * state + value[:, t]
    return {"h": h.astype(np.float32), "last": h[:, -1].astype(np.float32)}


def check_decays(programs, report):
    """Decays of 1e-6, of 1 - 1e-6, exactly 0 and 1, over every place of a tile of rows."""
    package = programs.compile(SPECS / "scan.mlir", "decays", for_host=True, best=True)
    length = 130 if programs.device.is_emulated else 5000
    random = np.random.RandomState(17)
    choice = random.randint(0, 4, (3, length, 48))
    given = {"decay": np.choose(choice, np.array([1e-6, 1 - 1e-6, 0, 1], np.float32)).astype(np.float32),
             "input": random.standard_normal((3, length, 48)).astype(np.float32),
             "init": (1e6 * random.standard_normal((3, 48))).astype(np.float32)}
    expected = scan_reference(**{"decay": given["decay"], "value": given["input"], "init": given["init"]})
    got = programs.call(package, "prefill", given)
    report.close(got, expected, "extreme decays", streams=("h",), states=("last",))
    report.same_bits(got, programs.on_cpu().call(package, "prefill", given), "extreme decays against the CPU")


def check_long(programs, report):
    """100,000 tokens in one sequence, whole and in chunks."""
    case = Case(programs, NARROW)
    given = case.given([100_000], 5)
    cpu = programs.on_cpu().logits(case.package, given)
    report.same_bits(programs.logits(case.package, given), {name: cpu[name] for name in ("logits", "state_out.h")}, "100,000 tokens")
    report.same_bits(programs.logits(case.package, given, "--mode=chunked:4096"), {"logits": cpu["logits"]}, "100,000 tokens in chunks")


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    for check in (check_rows, check_bf16, check_decays):
        check(programs, report)
    if a.device == "cuda":
        check_long(programs, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
