#!/usr/bin/env python3
"""Scores and greedy continuations of the trained checkpoint, against float64, for music of our own making.

  score.py --bin DIR --work DIR [--device NAME] --checkpoint DIR --exact PKG --closed-form PKG [--greedy PKG] [--lists LISTS.json]

With --lists, the test split that tests/data/golden/chorales.json has the figures of (not part of this repository) is scored too. A GPU multiplies the
package's bf16 as such, so that --greedy names one of f32 weights for it.
"""
import json
import os
import pathlib
import re
import sys

import numpy as np

from harness import DATA, Report, device_parser, programs_of
from kept import digest_of
import reference

EXACT, CLOSED, BF16 = 0.0005, 0.002, 0.002  # nats/token
# The vocabulary without conditioning ids.
BOS, EOS, BAR, POS, TRACK, PITCH, DUR, VEL, TEMPO, SECTION = 1, 2, 3, 4, 20, 29, 117, 133, 141, 158
STRINGS = TRACK + 7


def chord(position, pitches, duration):
    tokens = [POS + position, STRINGS]
    for pitch in sorted(pitches):
        tokens += [PITCH + pitch - 21, DUR + duration - 1, VEL + 5]
    return tokens


def cadence(root, bars):
    """BOS, bars of four chords (I IV V I over `root`, a MIDI pitch), EOS."""
    degrees = [(0, 7, 16, 24), (5, 12, 17, 21), (7, 14, 19, 23), (0, 12, 16, 19)]
    tokens = [BOS]
    for bar in range(bars):
        tokens += [BAR, SECTION + bar * 3 // bars] + ([TEMPO + 4] if bar == 0 else [])
        for beat, intervals in enumerate(degrees):
            tokens += chord(beat * 4, [root + interval for interval in intervals], 4)
    return tokens + [EOS]


def score(programs, model, lists, *options):
    """(nats/token, tokens) of the last line."""
    source = programs.work / "lists.json"
    source.write_text(json.dumps(lists))
    last = programs.must(programs.sm1_run, "score", model, "--tokens", source, *programs.device.options, *options).strip().splitlines()[-1]
    match = re.fullmatch(r"total ([\d.]+) nats/token over (\d+) tokens", last)
    if not match:
        sys.exit(f"FAILED  score ends with {last!r}")
    return float(match[1]), int(match[2])


def reference_score(model, lists):
    total = sum(reference.nats(model.run(np.array([tokens]))["logits"][0], np.array(tokens)) for tokens in lists)
    return total / sum(len(tokens) - 1 for tokens in lists)


def greedy(checkpoint, prompt, new):
    """The tokens that follow a prompt, up to where two are so close that f32 may choose the other."""
    model = reference.Sm1(checkpoint)
    h, taps = model.zero_state(1)
    chosen = []
    for t in range(len(prompt) + new - 1):
        token = prompt[t] if t < len(prompt) else chosen[-1]
        logits = model.step(np.array([token]), h, taps)[0]
        if t < len(prompt) - 1:
            continue
        second, first = np.sort(logits)[-2:]
        if first - second < 1e-3:
            break
        chosen.append(int(logits.argmax()))
        if chosen[-1] == EOS:
            break
    return chosen


def check_scores(programs, report, packages, checkpoint):
    lists = [cadence(48, 4), cadence(43, 1), cadence(50, 2)]
    predicted = sum(len(tokens) - 1 for tokens in lists)
    found = {}
    exact = BF16 if programs.device.is_gpu else EXACT
    for form, made, tolerance in (("exact", reference.Sm1, exact), ("closed_form", reference.ClosedForm, CLOSED)):
        wanted = programs.kept.reference(lambda: reference_score(made(checkpoint), lists), form, digest_of(pathlib.Path(checkpoint)), lists)
        found[form], count = score(programs, packages[form], lists, f"--form={form}")
        print(f"{form}: {found[form]:.4f} nats/token, float64 says {wanted:.4f}")
        report.check(abs(found[form] - wanted) <= tolerance, f"{form}: {found[form]} nats/token, float64 says {wanted}")
        report.check(count == predicted, f"{form}: {count} tokens, expected {predicted}")
    report.check(found["closed_form"] > found["exact"] + 0.05, f"the closed form costs nothing: {found}")


def check_greedy(programs, report, package, checkpoint, new=150):
    """Token for token."""
    prompt = cadence(48, 2)[:-1]
    source, kept = programs.work / "prompt.json", programs.work / "greedy.json"
    source.write_text(json.dumps([prompt]))
    options = (*programs.device.options, "--greedy", "--prompt", source, f"--max-tokens={new}", "--tokens-out", kept, "-o", programs.work / "greedy.mid")
    programs.must(programs.sm1_run, "generate", package, *options)
    got = json.loads(kept.read_text())[0]
    report.check(got[: len(prompt)] == prompt, "greedy: the written tokens do not begin with the prompt")

    wanted = programs.kept.reference(lambda: greedy(checkpoint, prompt, new), "greedy", digest_of(pathlib.Path(checkpoint)), prompt, new)
    report.check(len(wanted) >= 20, f"greedy: only {len(wanted)} tokens could be compared")
    report.check(got[len(prompt) :][: len(wanted)] == wanted, f"greedy: {got[len(prompt):]} differs from float64's {wanted}")
    print(f"greedy: {len(wanted)} tokens equal")


def check_figures(programs, report, packages, lists):
    """The recorded figures of the test split, where someone has it."""
    figures = json.loads((DATA / "golden" / "chorales.json").read_text())
    exact = BF16 if programs.device.is_gpu else EXACT
    for form, tolerance in (("exact", exact), ("closed_form", CLOSED)):
        figure = figures[f"chorales/test/{form}"]
        value, count = score(programs, packages[form], lists, f"--form={form}")
        recorded = figure["nats_per_token"]
        report.check(abs(value - recorded) <= tolerance, f"test split, {form}: {value}, recorded {recorded}")
        report.check(count == figure["tokens"], f"test split, {form}: {count} tokens, recorded {figure['tokens']}")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--checkpoint", required=True)
    arguments.add_argument("--exact", required=True, help="package of the checkpoint")
    arguments.add_argument("--closed-form", required=True, help="package compiled with --form=closed_form")
    arguments.add_argument("--greedy", help="package for the greedy continuation; default: --exact")
    arguments.add_argument("--lists", default=os.environ.get("SM1_CHORALES_TEST"), help="token lists of the test split")
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    packages = {"exact": a.exact, "closed_form": a.closed_form}
    check_scores(programs, report, packages, a.checkpoint)
    check_greedy(programs, report, a.greedy or a.exact, a.checkpoint)
    if a.lists:
        with open(a.lists) as file:
            check_figures(programs, report, packages, json.load(file))
    else:
        report.skip("figures of the chorales test split: SM1_CHORALES_TEST names no token lists")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
