#!/usr/bin/env python3
"""exp and log1p as sm1c writes them, against float64, in units in the last place of f32, and at the values where they end; and the
shorter forms that it takes where their users cannot tell, which have the same bits.

  math_functions.py --bin DIR --work DIR [--device NAME]

The bounds are those stated in compiler/lib/Lowering/ExpandMath.cpp.
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of

SPEC = """
sm1.model @functions(%x: tensor<?x?x16xf32> {sm1.name = "x"})
    -> (tensor<?x?x16xf32> {sm1.name = "exp"}, tensor<?x?x16xf32> {sm1.name = "log1p"}, tensor<?x?x16xf32> {sm1.name = "sigmoid"},
        tensor<?x?x16xf32> {sm1.name = "decay"}, tensor<?x?x16xf32> {sm1.name = "softplus"}) {
  %e = math.exp %x : tensor<?x?x16xf32>
  %l = math.log1p %x : tensor<?x?x16xf32>

  // Whether an exp is tiny is nothing to these sums and maxima; of two the argument is negative, and log1p has one in [0, 1].
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to tensor<?x?x16xf32>
  %zero_f = arith.constant 0.0 : f32
  %zero = sm1.broadcast %zero_f : f32 to tensor<?x?x16xf32>
  %least_f = arith.constant 1.0e-6 : f32
  %least = sm1.broadcast %least_f : f32 to tensor<?x?x16xf32>
  %x_neg = arith.negf %x : tensor<?x?x16xf32>
  %x_exp = math.exp %x_neg : tensor<?x?x16xf32>
  %den = arith.addf %one, %x_exp : tensor<?x?x16xf32>
  %sigmoid = arith.divf %one, %den : tensor<?x?x16xf32>
  %abs = math.absf %x : tensor<?x?x16xf32>
  %abs_neg = arith.negf %abs : tensor<?x?x16xf32>
  %decay_exp = math.exp %abs_neg : tensor<?x?x16xf32>
  %decay = arith.maximumf %decay_exp, %least : tensor<?x?x16xf32>
  %soft_exp = math.exp %abs_neg : tensor<?x?x16xf32>
  %soft_log = math.log1p %soft_exp : tensor<?x?x16xf32>
  %pos = arith.maximumf %x, %zero : tensor<?x?x16xf32>
  %sum = arith.addf %pos, %soft_log : tensor<?x?x16xf32>
  %softplus = arith.maximumf %sum, %least : tensor<?x?x16xf32>
  sm1.return %e, %l, %sigmoid, %decay, %softplus : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>,
      tensor<?x?x16xf32>
}
"""
INF, NAN = np.inf, np.nan
ULPS = {"exp": 1, "log1p": 1.5}
# (function, argument, value): where the formulas do not reach.
ENDS = [("exp", -INF, 0), ("exp", -200, 0), ("exp", 0, 1), ("exp", 200, INF), ("exp", INF, INF), ("exp", NAN, NAN),
        ("log1p", -2, NAN), ("log1p", -1, -INF), ("log1p", 0, 0), ("log1p", INF, INF), ("log1p", NAN, NAN), ("log1p", -INF, NAN)]


def arguments():
    """Every size that a model meets: dense around 0, from the smallest normal numbers to the largest, and past both ends."""
    random = np.random.RandomState(7)
    sizes = np.exp2(random.uniform(-126, 127, 200_000))
    return np.concatenate([random.uniform(-1, 1, 400_000), random.uniform(-104, 89, 400_000), sizes, -sizes]).astype(np.float32)


def run(programs, package, values, options):
    values = np.asarray(values, np.float32)
    padded = np.zeros(-(-len(values) // 16) * 16, np.float32)
    padded[: len(values)] = values
    got = programs.call(package, "prefill", {"x": padded.reshape(1, -1, 16)}, *options)
    return {name: value.reshape(-1)[: len(values)] for name, value in got.items()}


def composed(programs, package, x, options):
    """sigmoid, decay and softplus from exp and log1p on their own, every operation rounded to f32."""
    one, least = np.float32(1), np.float32(1e-6)
    with np.errstate(all="ignore"):
        small = run(programs, package, -np.abs(x), options)["exp"]
        log = run(programs, package, small, options)["log1p"]
        return {"sigmoid": one / (one + run(programs, package, -x, options)["exp"]), "decay": np.maximum(small, least),
                "softplus": np.maximum(np.maximum(x, np.float32(0)) + log, least)}


def worst_ulps(got, exact):
    """Largest distance in units of the last place of the exact value, where that is a normal number of f32."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(exact) & (np.abs(exact) < np.finfo(np.float32).max) & (np.abs(exact) >= np.finfo(np.float32).tiny)
        unit = np.spacing(np.abs(exact[finite]).astype(np.float32)).astype(np.float64)
        return float(np.max(np.abs(got[finite].astype(np.float64) - exact[finite]) / unit))


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    source = programs.work / "functions.mlir"
    source.write_text(SPEC)
    package = programs.compile(source, "functions", for_host=True)
    x = arguments()[:: 50 if programs.device.is_emulated else 1]
    first = run(programs.on_cpu(), package, x, [])
    for options in programs.device.variants(few=True):
        variant = " ".join(options)
        got = run(programs, package, x, options)
        with np.errstate(all="ignore"):
            exact = {"exp": np.exp(x.astype(np.float64)), "log1p": np.log1p(x.astype(np.float64))}
        for name, bound in ULPS.items():
            worst = worst_ulps(got[name], exact[name])
            print(f"{name} {variant}: {worst:.2f} ulp")
            report.check(worst <= bound, f"{name} {variant}: {worst:.2f} ulp, at most {bound}")
        for name, at, value in ENDS:
            is_right = np.array_equal(run(programs, package, [at], options)[name], np.array([value], np.float32), equal_nan=True)
            report.check(is_right, f"{name}({at}) on {variant} is not {value}")
        for name, value in composed(programs, package, x, options).items():
            report.check(np.array_equal(got[name], value, equal_nan=True), f"{name} {variant}: other bits than of its parts")
        # What a machine writes for no number is its own affair.
        for name in got:
            report.check(np.array_equal(got[name], first[name], equal_nan=True), f"{name} {variant}: other bits than on the CPU")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
