#!/usr/bin/env python3
"""Wrong models must be caught: each mutation breaks one thing, and the comparison that accepts the right model has to refuse it.

  mutations.py --bin DIR --work DIR [--device NAME]

A mutation is a function from the bench to outputs. Those of the description compile an edited `--emit=spec`.
"""
import re
import sys

import numpy as np

from harness import DATA, Report, device_parser, inputs_of, programs_of, state_of
from spec_text import Spec
import reference
import tensors

CHECKPOINT = DATA / "golden" / "tiny-b"
# A broken model is wrong in the first digits; an error near the tolerance would mean that the test, not the model, is sharp.
CLEARLY_WRONG = 1e-3


class Bench:
    def __init__(self, programs):
        self.programs = programs
        self.expected = tensors.load(CHECKPOINT / "expected.safetensors")
        self.given = inputs_of(self.expected)
        self.middle = 100
        if programs.device.is_emulated:
            self.shorten(1, 24)
        self.package = programs.compile(CHECKPOINT, "right", best=True)
        self.spec = Spec(programs.spec(CHECKPOINT))

    def shorten(self, batch, time):
        """A part of the golden, with float64 computed here."""
        self.given = {name: np.ascontiguousarray(value[:batch]) for name, value in self.given.items()}
        self.given["tokens"] = np.ascontiguousarray(self.given["tokens"][:, :time])
        state = (self.given["state_in.h"], self.given["state_in.conv"])
        self.expected = {**self.given, **reference.Sm1(str(CHECKPOINT)).run(self.given["tokens"], state)}
        self.middle = time // 2

    def right(self):
        return self.programs.logits(self.package, self.given)

    def edited(self, text):
        """Outputs of the description after an edit."""
        if text == self.spec.text():
            sys.exit("FAILED  an edit left the description as it was")
        source = self.programs.work / "edited.mlir"
        source.write_text(text)
        return self.programs.logits(self.programs.compile(source, "edited", f"--params={CHECKPOINT}", best=True), self.given)

    def cut(self, spoil):
        """Outputs of two pieces with `spoil` applied to the state between them."""
        first = {**self.given, "tokens": np.ascontiguousarray(self.given["tokens"][:, : self.middle])}
        second = {"tokens": np.ascontiguousarray(self.given["tokens"][:, self.middle :])}
        left = self.programs.logits(self.package, first)
        right = self.programs.logits(self.package, {**second, **spoil(state_of(left))})
        return {**right, "logits": np.concatenate([left["logits"], right["logits"]], 1)}


def zero_output(bench):
    return {name: np.zeros_like(value) for name, value in bench.right().items()}


def zero_state_out(bench):
    outputs = bench.right()
    return {**outputs, "state_out.h": np.zeros_like(outputs["state_out.h"])}


def missing_state(bench):
    return {"logits": bench.right()["logits"]}


def one_position_late(bench):
    outputs = bench.right()
    return {**outputs, "logits": np.roll(outputs["logits"], 1, axis=1)}


def closed_form(bench):
    package = bench.programs.compile(CHECKPOINT, "closed", "--form=closed_form", best=True)
    tokens = {"tokens": bench.given["tokens"]}  # the form starts from zero state
    exact = reference.Sm1(str(CHECKPOINT)).run(tokens["tokens"])
    bench.expected = {**bench.expected, **exact}
    return bench.programs.logits(package, tokens, "--form=closed_form")


def dropped_carry(bench):
    return bench.cut(lambda state: {**state, "state_in.h": np.zeros_like(state["state_in.h"])})


def dropped_taps(bench):
    return bench.cut(lambda state: {**state, "state_in.conv": np.zeros_like(state["state_in.conv"])})


def reversed_taps(bench):
    return bench.cut(lambda state: {**state, "state_in.conv": np.ascontiguousarray(state["state_in.conv"][..., ::-1])})


def layers_of_state_swapped(bench):
    return bench.cut(lambda state: {name: np.ascontiguousarray(value[:, ::-1]) for name, value in state.items()})


def scan_without_init(bench):
    scan = bench.spec.scan()
    return bench.edited(bench.spec.with_line(scan, re.sub(r" init %[\w#$.-]+", "", bench.spec.lines[scan].text)))


def swapped_b_and_c(bench):
    text, split = bench.spec.text(), bench.spec.split_of(3)
    b, c = (bench.spec.result(split, part) for part in (0, 1))
    if "#" not in b:  # results by name: exchange the names where they are defined
        head = bench.spec.lines[split].text
        return bench.edited(bench.spec.with_line(split, head.replace(f"{b}, {c}", f"{c}, {b}", 1)))
    exchange = {b: c, c: b}
    return bench.edited(re.sub(r"%[\w$.-]+#\d+", lambda use: exchange.get(use[0], use[0]), text))


def skip_of_the_convolution(bench):
    u, conv = bench.spec.result(bench.spec.input_norm()), bench.spec.result(bench.spec.conv())
    return bench.edited(bench.spec.with_operand(bench.spec.skip(), u, conv))


def dropped_skip(bench):
    state = bench.spec.lines[bench.spec.state_readout()]
    return bench.edited(bench.spec.with_operation(bench.spec.readout(), "arith.mulf", *state.operands))


def input_from_decay(bench):
    """The decay in place of the first factor of the scan's input."""
    scan = bench.spec.scan()
    decay, value = bench.spec.lines[scan].operands[:2]
    product = next(i for i, line in enumerate(bench.spec.lines) if value in line.results)
    return bench.edited(bench.spec.with_operand(product, bench.spec.lines[product].operands[0], decay))


MUTATIONS = [
    zero_output,
    zero_state_out,
    missing_state,
    one_position_late,
    dropped_carry,
    dropped_taps,
    reversed_taps,
    layers_of_state_swapped,
    scan_without_init,
    swapped_b_and_c,
    skip_of_the_convolution,
    dropped_skip,
    input_from_decay,
    closed_form,  # last: it changes what is expected
]


def main():
    a = device_parser(__doc__).parse_args()
    bench, report = Bench(programs_of(a)), Report()
    report.close(bench.right(), bench.expected, "the right model")
    report.close(bench.edited(bench.spec.text() + "// the same\n"), bench.expected, "the description compiled by itself")
    report.close(bench.cut(lambda state: state), bench.expected, "the right model in two pieces")
    for mutation in MUTATIONS:
        outputs = mutation(bench)
        worst = max(reference.errors(outputs, bench.expected).values())
        report.check(worst > CLEARLY_WRONG, f"{mutation.__name__}: passed as right, largest relative error {worst:.2e}")
        print(f"{mutation.__name__}: largest relative error {worst:.2e}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
