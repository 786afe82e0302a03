#!/usr/bin/env python3
"""exp and log1p as sm1c writes them, against float64, in units in the last place of f32, and at the values where they end.

  math_functions.py --bin DIR --work DIR [--device NAME]

The bounds are those stated in compiler/lib/Lowering/ExpandMath.cpp.
"""
import sys

import numpy as np

from harness import Report, device_parser, programs_of

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


def run(programs, package, values, options):
    values = np.asarray(values, np.float32)
    padded = np.zeros(-(-len(values) // 16) * 16, np.float32)
    padded[: len(values)] = values
    got = programs.call(package, "prefill", {"x": padded.reshape(1, -1, 16)}, *options)
    return {name: got[name].reshape(-1)[: len(values)] for name in ULPS}


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
        # What a machine writes for no number is its own affair.
        for name in ULPS:
            report.check(np.array_equal(got[name], first[name], equal_nan=True), f"{name} {variant}: other bits than on the CPU")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
