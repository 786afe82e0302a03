#!/usr/bin/env python3
"""States as files, on the command line: a piece that is stopped and resumed is the unbroken one, token for token and bit for bit, on
other threads and at other places in a batch; a state of another model, or a damaged one, is refused.

  states.py --bin DIR --work DIR [--device NAME] --package PKG --checkpoint DIR
"""
import json
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
import tensors

SAMPLED = ["--seed=11", "--min-tokens=0"]


def generate(programs, package, name, *options):
    """The token lists of one call, and the name of the states it left: NAME, or NAME-0, NAME-1, ..."""
    tokens, state = programs.work / f"{name}.json", programs.work / f"{name}.state"
    programs.must(programs.sm1_run, "generate", *programs.device.options, package, "--tokens-out", tokens, "--state-out", state, *options)
    return json.loads(tokens.read_text()), state


def numbered(path, index):
    return path.with_name(f"{path.stem}-{index}{path.suffix}")


def check_resumed(programs, report, package):
    """Stopped after 40 of 100 tokens, resumed on other threads: the same tokens, the same state in every bit."""
    for how in ([], ["--greedy"], ["--no-grammar", "--temperature=1.2"]):
        whole, end = generate(programs, package, "whole", *SAMPLED, *how, "--max-tokens=100")
        _, half = generate(programs, package, "half", *SAMPLED, *how, "--max-tokens=40", "--threads=1")
        for threads in (1, 2, 3):
            resumed, state = generate(programs, package, "resumed", *how, "--max-tokens=60", "--state-in", half, f"--threads={threads}")
            report.check(resumed == whole, f"{how}, {threads} threads: resumed tokens differ from the unbroken ones")
            same = programs.run(programs.sm1_run, "state", "compare", end, state)
            report.check(same.returncode == 0 and "both go on alike" in same.stdout, f"{how}: {same.stdout}{same.stderr}")


def check_places(programs, report, package):
    """Pieces of a batch, resumed in another order beside others: each as in the batch that was not interrupted."""
    whole, _ = generate(programs, package, "whole", *SAMPLED, "--batch=4", "--max-tokens=60")
    _, half = generate(programs, package, "half", *SAMPLED, "--batch=4", "--max-tokens=25")
    order = [2, 0, 3, 1]
    files = [str(numbered(half, index)) for index in order]
    resumed, _ = generate(programs, package, "resumed", "--max-tokens=35", "--state-in", *files)
    report.check(resumed == [whole[index] for index in order], "a batch in another order goes on differently")
    alone, _ = generate(programs, package, "alone", "--max-tokens=35", "--state-in", str(numbered(half, 2)))
    report.check(alone == [whole[2]], "one piece of a batch goes on differently alone")


def check_branches(programs, report, package):
    """One state, several ways on: the first as unbroken, the others different; another seed, other ways."""
    whole, _ = generate(programs, package, "whole", *SAMPLED, "--max-tokens=80")
    _, half = generate(programs, package, "half", *SAMPLED, "--max-tokens=30")
    ways, state = generate(programs, package, "ways", "--max-tokens=50", "--batch=3", "--state-in", half)
    report.check(ways[0] == whole[0] and len({tuple(way) for way in ways}) == 3, "one state does not go on in three ways")
    other, _ = generate(programs, package, "other", "--max-tokens=50", "--state-in", half, "--seed=12")
    report.check(other[0][:31] == whole[0][:31] and other != whole, "another seed does not go on another way")
    differ = programs.run(programs.sm1_run, "state", "compare", numbered(state, 0), numbered(state, 1))
    report.check(differ.returncode == 1 and "relative distance" in differ.stdout and "go on differently" in differ.stderr,
                 f"compare: {differ.stdout}{differ.stderr}")
    said = programs.must(programs.sm1_run, "state", "info", half)
    for line in ("position     30", "tokens       31, of which 1 ", "seed 11, sequence 0"):
        report.check(line in said, f"info does not say {line!r}: {said}")


def check_logits(programs, report, package):
    """Logits of a sequence in two parts, the state between them in files."""
    tokens = random_tokens(4, 161, 2, 50)
    whole = programs.logits(package, {"tokens": tokens})
    state = programs.work / "logits.state"
    programs.logits(package, {"tokens": np.ascontiguousarray(tokens[:, :20])}, "--state-out", state)
    rest = programs.logits(package, {"tokens": np.ascontiguousarray(tokens[::-1, 20:])}, "--mode=step", "--state-in",
                           numbered(state, 1), numbered(state, 0))
    for name in ("state_out.h", "state_out.conv"):
        report.check(rest[name][::-1].tobytes() == whole[name].tobytes(), f"{name} differs after two parts")
    report.check(np.ascontiguousarray(rest["logits"][::-1]).tobytes() == np.ascontiguousarray(whole["logits"][:, 20:]).tobytes(),
                 "logits of the second part differ")


def check_refusals(programs, report, package, other):
    _, good = generate(programs, package, "good", *SAMPLED, "--max-tokens=10")
    raw, out = good.read_bytes(), programs.work / "refused.state"
    out.unlink(missing_ok=True)
    bad = {name: programs.work / f"bad-{name}.state" for name in ("cut", "bare", "nan", "ended")}
    bad["cut"].write_bytes(raw[:-5])
    held = tensors.load(good)
    tensors.save(bad["bare"], held)
    header, start = tensors.read_header(good)
    at = start + header["state.h"]["data_offsets"][0]
    bad["nan"].write_bytes(raw[:at] + b"\0\0\xc0\x7f" + raw[at + 4 :])
    last = start + header["tokens"]["data_offsets"][1] - 4
    bad["ended"].write_bytes(raw[:last] + b"\2\0\0\0" + raw[last + 4 :])
    cases = [
        (package, [bad["cut"]], "cut short"),
        (package, [bad["bare"]], "not a state file"),
        (package, [bad["nan"]], "not finite at element 0"),
        (package, [bad["ended"]], "ends with EOS"),
        (other, [good], "load it with the model that saved it"),
        (package, [good, good, "--batch=3"], "2 files for --batch=3"),
        (package, [good, "--cond", "tempo=3"], "leave --prompt and --cond away"),
        (package, [programs.work / "nowhere"], "no such file"),
    ]
    for model, options, says in cases:
        done = programs.run(programs.sm1_run, "generate", *programs.device.options, model, "--state-out", out, "--max-tokens=5", "--state-in", *options)
        report.check(done.returncode == 1 and says in done.stderr, f"{options}: {done.returncode}, {says!r} is not in {done.stderr!r}")
    report.check(not out.exists(), "a refused command left a file")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--package", required=True)
    arguments.add_argument("--checkpoint", required=True, help="what the package was made of")
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    for check in (check_resumed, check_places, check_branches, check_logits):
        check(programs, report, a.package)
    # The same shapes and names, other bytes in the packed weights.
    check_refusals(programs, report, a.package, programs.compile(a.checkpoint, "other", "--weights=f16", best=True))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
