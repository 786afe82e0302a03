#!/usr/bin/env python3
"""Projections of every storage and arithmetic, bit for bit against numpy in the order that sm1.linear states, in every instruction set.

  projections.py --bin DIR --work DIR

Widths with and without rest in steps, blocks, groups and tile registers; rows that tile registers leave over; rows of zeros, of ties
between two integers, and of numbers smaller than any that is divided by. Dot products of bf16 add in their own order: near, not equal.
"""
import sys

import numpy as np

from devices import machine_isas
from harness import Programs, Report, parser
from spec_reference import round_to
import projection
import tensors

WIDTHS = (1, 43, 64, 320)
OUTPUTS = {"a": WIDTHS, "b": (43, 320), "c": (43, 64)}  # x by one matrix, by a second one, and x * x by a third
CHANNELS = 37  # three panels, the last with 5 channels
SHAPE = (2, 37)  # 74 rows: a block of 48 in tile registers, one of 16, one of 8, and 2 more
FORMS = [("f32", "f32"), ("bf16", "f32"), ("bf16", "bf16")]
FORMS += [(weights, compute) for weights in ("int8", "int4") for compute in ("f32", "int8")]


def outputs():
    return [(name, width) for name, widths in OUTPUTS.items() for width in widths]


def description():
    """All outputs in one model."""
    y = f"tensor<?x?x{CHANNELS}xf32>"
    arguments = ", ".join(f'%x{width}: tensor<?x?x{width}xf32> {{sm1.name = "x{width}"}}' for width in WIDTHS)
    results = ", ".join(f'{y} {{sm1.name = "{name}{width}"}}' for name, width in outputs())
    lines = [f"sm1.model @projections({arguments}) -> ({results}) {{"]
    for name, width in outputs():
        x, matrix, source = f"tensor<?x?x{width}xf32>", f"tensor<{CHANNELS}x{width}xf32>", f"%x{width}"
        if name == "c":
            lines.append(f"%square{width} = arith.mulf {source}, {source} : {x}")
            source = f"%square{width}"
        lines.append(f'%w_{name}{width} = sm1.param "{name}{width}" : {matrix}')
        lines.append(f"%{name}{width} = sm1.linear {source}, %w_{name}{width} : {x}, {matrix}")
    lines.append(f"sm1.return {', '.join(f'%{name}{width}' for name, width in outputs())} : {', '.join([y] * len(outputs()))}")
    return "\n  ".join(lines) + "\n}\n"


def matrices():
    random = np.random.RandomState(5)
    made = {}
    for name, width in outputs():
        matrix = (random.standard_normal((CHANNELS, width)) / np.sqrt(width)).astype(np.float32)
        matrix[3] = 0
        matrix[5, width // 2] = 3  # an outlier
        made[f"{name}{width}"] = matrix
    return made


def inputs():
    random = np.random.RandomState(6)
    made = {}
    for width in WIDTHS:
        x = random.standard_normal((*SHAPE, width)).astype(np.float32)
        x[0, 1] = 0
        x[0, 2] = random.randint(-126, 126, width) + 0.5  # with 127 in it, halves stay halves when they are quantised
        x[0, 2, 0] = -127
        x[1, 3] *= np.float32(1e-32)
        made[f"x{width}"] = x
    return made


def expected_of(given, stored, weights, compute):
    """{name: float32}"""
    made = {}
    for name, width in outputs():
        x, matrix = given[f"x{width}"].reshape(-1, width), stored[f"{name}{width}"]
        x = x * x if name == "c" else x
        if weights == "bf16":
            matrix = round_to("bf16", matrix).astype(np.float32)
        if compute == "bf16":
            x = round_to("bf16", x).astype(np.float32)
        made[f"{name}{width}"] = projection.project(x, matrix, weights, compute).reshape(*SHAPE, CHANNELS)
    return made


def check_form(programs, report, source, given, stored, weights, compute):
    form = f"--weights={weights} --compute={compute}"
    options = [*form.split(), f"--params={programs.work}/weights.safetensors", f"--target={','.join(machine_isas(compute))}"]
    package = programs.compile(source, f"{weights}-{compute}", *options)
    expected = expected_of(given, stored, weights, compute)
    report.check(all(np.abs(value).max() > 0.1 for value in expected.values()), f"{form}: expects almost nothing")
    orders = programs.device.orders(compute, few=True)
    for place, variants in enumerate(orders):
        for options in variants:
            name, got = f"{form} {' '.join(options)}", programs.call(package, "prefill", given, *options)
            if place == 0:
                report.same_bits(got, expected, name)
            else:
                report.close(got, expected, name, streams=tuple(expected), states=())
                differs = any(got[output].tobytes() != expected[output].tobytes() for output in expected)
                report.check(differs, f"{name}: the bits of another order; it can be compared like the rest")
    print(f"{form}: {sum(map(len, orders))} variants", flush=True)


def main():
    a = parser(__doc__).parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    source, given, stored = programs.work / "projections.mlir", inputs(), matrices()
    source.write_text(description())
    tensors.save(programs.work / "weights.safetensors", stored)
    for weights, compute in FORMS:
        check_form(programs, report, source, given, stored, weights, compute)
    if programs.device.skip_reason():
        report.skip(programs.device.skip_reason())
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
