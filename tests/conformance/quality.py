#!/usr/bin/env python3
"""Samples of the trained checkpoint, with nothing but the model to keep order: they end, go forwards, and sound like what
it was trained on.

  quality.py --bin DIR --work DIR --package PKG
"""
import json
import sys

from harness import Programs, Report, parser

OPTIONS = ("--samples=64", "--temperature=1", "--top-p=0.95", "--no-grammar", "--max-tokens=2000", "--repetition-penalty=1")
TRAINING_DISSONANCE = 0.252  # of the chorales that it was trained on, by the same report


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--package", required=True)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    out = programs.work / "figures.json"
    print(programs.must(programs.sm1_run, "report", a.package, *OPTIONS, "--json", out))
    samples = json.loads(out.read_text())["samples"]
    backwards = samples["grammar_errors"]["positions that run backwards"]
    report.check(samples["number"] == 64 and samples["notes"] > 6_400, f"{samples['number']} samples, {samples['notes']} notes")
    report.check(samples["ended"] >= 0.9, f"{samples['ended']:.1%} end by themselves, at least 90 % should")
    report.check(backwards <= samples["tokens"] / 1000, f"{backwards} positions of {samples['tokens']} tokens run backwards")
    distance = abs(samples["dissonant_beats"] - TRAINING_DISSONANCE)
    report.check(distance <= 0.1, f"{samples['dissonant_beats']:.1%} dissonant beats, the training set has {TRAINING_DISSONANCE:.1%}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
