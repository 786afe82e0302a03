#!/usr/bin/env python3
"""Packages of int8 and int4 matrices: whole models against float64 with the numbers that the integers stand for.

  quantised.py --bin DIR --work DIR --model DIR
  quantised.py --bin DIR --work DIR --checkpoint DIR --bf16 PKG

With --compute=f32 nothing else is rounded, so the bound is that of f32. With --compute=int8 the reference quantises rows, too; its rows
come from a state in float64 and those of a package from one in f32, so that now and then a value next to the middle between two integers
goes the other way: one step of 127, about 1e-3 of that row's result. Every mode and every instruction set gives the same bits; wrong
scales and integers, which show in the second digit, have to be seen.

--checkpoint names a trained model and --bf16 its package: the loss of its own samples must hardly change.
"""
import json
import pathlib
import sys

import numpy as np

from devices import machine_isas
from harness import TOLERANCE, Programs, Report, parser, random_tokens
from score import score
from spec_reference import round_to
from storage import check_arithmetic, run_all
import projection
import quantise
import reference

FORMS = [(weights, compute) for weights in ("int8", "int4") for compute in ("f32", "int8")]
INT8_TOLERANCE = 4e-3
ODD = {"vocab": 29, "d_model": 43, "layers": 2, "d_ff": 57}  # ends inside words, groups and panels
LOSS = {"int8": 0.01, "int4": 0.05}  # nats/token more or less than with bf16


class Matrix:
    """A quantised matrix in the place of an array: `x @ matrix.T`; rows that tokens look up are bf16."""

    __array_ufunc__ = None  # numpy leaves x @ matrix to the class

    def __init__(self, values, weights, compute, spoil):
        bits, self.group, dtype = quantise.STORAGE[weights]
        self.rows, self.compute = round_to("bf16", values), compute
        self.integers = quantise.integers_of(values, bits, self.group, dtype).astype(np.float64)
        self.scales = quantise.scales_of(values, bits, self.group, dtype).astype(np.float64)
        self.T = self
        spoil(self)

    def __getitem__(self, token):
        return self.rows[token]

    def __rmatmul__(self, x):
        if self.compute == "f32":
            factor = 1
        else:
            x, factor = (part.astype(np.float64) for part in projection.quantised_rows(x))
        width = self.group or x.shape[-1]
        starts = range(0, x.shape[-1], width)
        groups = [x[..., k : k + width] @ self.integers[:, k : k + width].T * scale for k, scale in zip(starts, self.scales.T)]
        return sum(groups) * factor


class Quantised(reference.Sm1):
    def __init__(self, directory, weights, compute, spoil=lambda matrix: None):
        super().__init__(str(directory))
        self.weights = {name: Matrix(x, weights, compute, spoil) if x.ndim == 2 else x for name, x in self.weights.items()}


def scales_of_neighbours(matrix):
    matrix.scales = np.roll(matrix.scales, 1, axis=0)


def integers_plus_one(matrix):
    matrix.integers = matrix.integers + 1


def unquantised(matrix):
    """As if the package held bf16."""
    matrix.integers, matrix.scales, matrix.group = matrix.rows, np.ones((len(matrix.rows), 1)), 0


MUTATIONS = [scales_of_neighbours, integers_plus_one, unquantised]


def check_model(programs, report, checkpoint, weights, compute):
    name = f"{checkpoint.name}, --weights={weights} --compute={compute}"
    options = [f"--weights={weights}", f"--compute={compute}", f"--target={','.join(machine_isas(compute))}"]
    package = programs.compile(checkpoint, f"{checkpoint.name}-{weights}-{compute}", *options)
    check_arithmetic(programs, report, package, weights, compute, name)
    vocab = json.loads((checkpoint / "config.json").read_text())["vocab_size"]
    given = {"tokens": random_tokens(43, vocab, 2, 45)}
    got = run_all(programs, report, package, given, name, compute=compute)
    tolerance = TOLERANCE if compute == "f32" else INT8_TOLERANCE
    model = lambda *arguments: Quantised(checkpoint, weights, *arguments).run(given["tokens"])
    worst = report.close(got, model(compute), name, tolerance)
    least = {spoil.__name__: max(reference.errors(got, model(compute, spoil)).values()) for spoil in MUTATIONS}
    least["zeros"] = max(reference.errors({key: np.zeros_like(value) for key, value in got.items()}, got).values())
    least["the other arithmetic"] = max(reference.errors(got, model("f32" if compute == "int8" else "int8")).values())
    for mutation, error in least.items():
        report.check(error > 2 * tolerance, f"{name}: within {error:.2e} of {mutation}, which cannot be told apart")
    nearest = min(least, key=least.get)
    print(f"{name}: largest relative error {worst:.2e}; wrong models from {least[nearest]:.2e} ({nearest})", flush=True)


def check_bound_later(programs, report, checkpoint):
    """The runtime makes the integers that the compiler makes."""
    given = {"tokens": random_tokens(44, 16, 1, 20)}
    for weights in ("int8", "int4"):
        held, bound = (programs.compile(checkpoint, f"{weights}-{place}", f"--weights={weights}", f"--target={machine_isas()[-1]}",
                                        f"--weights-in={place}") for place in ("package", "external"))
        got = programs.logits(bound, given, f"--params={checkpoint}")
        report.same_bits(got, programs.logits(held, given), f"--weights={weights} bound by sm1-run")


def check_loss(programs, report, checkpoint, bf16_package):
    """Scores of pieces that the model makes."""
    kept = programs.work / "samples.json"
    programs.must(programs.sm1_run, "generate", bf16_package, "--device=cpu", "--seed=7", "--batch=4", "--max-tokens=400",
                  "--tokens-out", kept, "-o", programs.work / "sample.mid")
    lists = json.loads(kept.read_text())
    bf16, tokens = score(programs, bf16_package, lists)
    report.check(tokens > 800, f"only {tokens} tokens to score")
    print(f"bf16: {bf16:.6f} nats/token over {tokens} tokens")
    for weights, compute in FORMS:
        name, target = f"--weights={weights} --compute={compute}", machine_isas(compute)[-1]
        package = programs.compile(checkpoint, f"{weights}-{compute}", *name.split(), f"--target={target}")
        nats, _ = score(programs, package, lists)
        print(f"{name}: {nats:.6f} nats/token", flush=True)
        report.check(0 < abs(nats - bf16) < LOSS[weights], f"{name}: {nats} nats/token, bf16 {bf16}; at most {LOSS[weights]} apart")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--model", type=pathlib.Path, help="a small checkpoint")
    arguments.add_argument("--checkpoint", type=pathlib.Path, help="a trained one")
    arguments.add_argument("--bf16", help="its package")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    if a.model:
        for checkpoint in (a.model, programs.checkpoint("odd", **ODD)):
            for weights, compute in FORMS:
                check_model(programs, report, checkpoint, weights, compute)
        check_bound_later(programs, report, a.model)
    if a.checkpoint:
        check_loss(programs, report, a.checkpoint, a.bf16)
    elif programs.device.skip_reason():
        report.skip(programs.device.skip_reason())
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
