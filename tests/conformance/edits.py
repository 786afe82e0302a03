#!/usr/bin/env python3
"""Edited descriptions give what the edited model gives: another activation, a dropped term, another width, against float64.

  edits.py --bin DIR --work DIR
"""
import re
import sys

import numpy as np

from harness import Programs, Report, parser, random_tokens
from spec_text import Spec
import reference

# Sizes that appear nowhere else in the model, so that a width can be edited as text.
SIZES = {"vocab": 29, "d_model": 40, "layers": 2, "d_ff": 112}


class TanhGate(reference.Sm1):
    def gate_activation(self, x):
        return np.tanh(x)


def tanh_gate(spec):
    z = spec.gate_input()
    return spec.with_operation(spec.find("arith.divf", z), "math.tanh", z)


class ReluMlp(reference.Sm1):
    def mlp_activation(self, x):
        return np.maximum(x, 0)


def relu_mlp(spec):
    """The last division of the description is that of the MLP's SiLU."""
    index = max(i for i, line in enumerate(spec.lines) if line.name == "arith.divf")
    line = spec.lines[index]
    zero = ["%relu_zero_f = arith.constant 0.0 : f32", f"%relu_zero = sm1.broadcast %relu_zero_f : f32 to {line.type()}"]
    return spec.with_line(index, *zero, f"{line.results[0]} = arith.maximumf {line.operands[0]}, %relu_zero : {line.type()}")


class NoSkip(reference.Sm1):
    def readout(self, c, h, skip, u):
        return c * h + u


def plain_skip(spec):
    """y = C * h + u. D is no longer used but still declared, so the checkpoint still has to hold it."""
    u = spec.result(spec.input_norm())
    skip = spec.result(spec.skip())
    return spec.with_operand(spec.readout(), skip, u)


class IdentityConv(reference.Sm1):
    def conv_activation(self, x):
        return x


def identity_conv(spec):
    conv = spec.result(spec.conv())
    silu = spec.result(spec.find("arith.divf", conv))
    return spec.with_operand(spec.input_norm(), silu, conv)


EDITS = [(tanh_gate, TanhGate), (relu_mlp, ReluMlp), (plain_skip, NoSkip), (identity_conv, IdentityConv)]


def check(programs, report, name, text, checkpoint, model, tokens):
    source = programs.work / f"{name}.mlir"
    source.write_text(text)
    package = programs.compile(source, name, f"--params={checkpoint}", best=True)
    expected = model.run(tokens)
    for mode in ("prefill", "step", "chunked:7"):
        report.close(programs.logits(package, {"tokens": tokens}, f"--mode={mode}"), expected, f"{name}, {mode}")


def main():
    a = parser(__doc__).parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    checkpoint = programs.checkpoint("checkpoint", **SIZES)
    spec = Spec(programs.spec(checkpoint))
    tokens = random_tokens(3, SIZES["vocab"], 2, 75)
    plain = reference.Sm1(str(checkpoint)).run(tokens)
    for edit, reference_class in EDITS:
        model = reference_class(str(checkpoint))
        check(programs, report, edit.__name__, edit(spec), checkpoint, model, tokens)
        changed = max(reference.errors(model.run(tokens), plain).values())
        report.check(changed > 1e-3, f"{edit.__name__}: the edit changes nothing that shows")

    wide = programs.checkpoint("wide", **{**SIZES, "d_ff": 72})
    text = re.sub(r"(?<!\d)112(?!\d)", "72", spec.text())
    check(programs, report, "other_width", text, wide, reference.Sm1(str(wide)), tokens)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
