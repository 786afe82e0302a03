#!/usr/bin/env python3
"""exp and log1p as sm1c writes them, against float64, in units in the last place of f32, and at the values where they end.

  math_functions.py --bin DIR --work DIR

The bounds are those stated in compiler/lib/Lowering/ExpandMath.cpp.
"""
import sys

import numpy as np

from harness import Programs, Report, machine_isas, parser

SPEC = """
sm1.model @functions(%x: tensor<?x?x16xf32> {sm1.name = "x"})
    -> (tensor<?x?x16xf32> {sm1.name = "exp"}, tensor<?x?x16xf32> {sm1.name = "log1p"}) {
  %e = math.exp %x : tensor<?x?x16xf32>
  %l = math.log1p %x : tensor<?x?x16xf32>
  sm1.return %e, %l : tensor<?x?x16xf32>, tensor<?x?x16xf32>
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


def run(programs, package, values, isa):
    values = np.asarray(values, np.float32)
    padded = np.zeros(-(-len(values) // 16) * 16, np.float32)
    padded[: len(values)] = values
    got = programs.call(package, "prefill", {"x": padded.reshape(1, -1, 16)}, f"--isa={isa}")
    return {name: got[name].reshape(-1)[: len(values)] for name in ULPS}


def worst_ulps(got, exact):
    """Largest distance in units of the last place of the exact value, where that is a normal number of f32."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(exact) & (np.abs(exact) < np.finfo(np.float32).max) & (np.abs(exact) >= np.finfo(np.float32).tiny)
        unit = np.spacing(np.abs(exact[finite]).astype(np.float32)).astype(np.float64)
        return float(np.max(np.abs(got[finite].astype(np.float64) - exact[finite]) / unit))


def main():
    a = parser(__doc__).parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    source = programs.work / "functions.mlir"
    source.write_text(SPEC)
    package = programs.compile(source, "functions")
    x = arguments()
    first = None
    for isa in machine_isas():
        got = run(programs, package, x, isa)
        with np.errstate(all="ignore"):
            exact = {"exp": np.exp(x.astype(np.float64)), "log1p": np.log1p(x.astype(np.float64))}
        for name, bound in ULPS.items():
            worst = worst_ulps(got[name], exact[name])
            print(f"{name} {isa}: {worst:.2f} ulp")
            report.check(worst <= bound, f"{name} {isa}: {worst:.2f} ulp, at most {bound}")
        for name, at, value in ENDS:
            is_right = np.array_equal(run(programs, package, [at], isa)[name], np.array([value], np.float32), equal_nan=True)
            report.check(is_right, f"{name}({at}) on {isa} is not {value}")
        first = first or got
        report.same_bits(got, first, isa)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
