#!/usr/bin/env python3
"""--compute=fp8: projections of a norm's rows by e4m3, against float64 with the same numbers rounded at the same places.

  fp8.py --bin DIR --work DIR [--device NAME] --model DIR

The products are exact and sums have at least fourteen bits, so a projection is much nearer to its rounded reference than that is to the
unrounded one; scales of other channels, integers of int8 in place of e4m3, or zeros, are not. Beyond that: widths that end inside lines
and panels, numbers beyond 448, rows of NaN and infinity, that few rows and steps keep the bits of --compute=bf16, that norms which suit no e4m3 are warned of wherever their numbers come from, and
that a checkpoint directory is compiled for what the device has. On the emulator for wgmma and for mma.sync, on a GPU for what it has.
"""
import re
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
from spec_reference import round_to
import quantise
import reference
import tensors

CHANNELS = 37  # three panels, the last with 5 channels
WIDTHS = (43, 200, 704)  # e4m3 of a row: less than a line of 64, three and a part, eleven
EMULATED = {"sm_90a": "9.0", "sm_89": "8.9", "sm_120": "12.0"}  # targets and the capability of a chip that runs them
NEAR, FAR = 2e-3, (1e-2, 6e-2)  # root mean squares by that of what is wanted: from the rounded reference, from the other
MODEL_NEAR = 8e-2  # of logits: random weights let every rounding that goes the other way grow
WALKS = {  # blocks that go on from tile to tile, whose last step may be half a one
    "ssm_in_proj_fp8": "threads=384 row_tile=64 row_split=64 panel_split=1 stages=3",
    "ssm_x_proj_fp8": "threads=384 row_tile=64 row_split=128 panel_split=1 stages=3",
    "mlp_w1_fp8": "threads=640 row_tile=64 row_split=128 panel_split=1 stages=4",
}
# Entries that run here beside prefill and step, in packages of projections alone.
VARIANTS = "prefill_most", "prefill_some", "prefill_few", "step_few"
SPECIAL = 3  # rows before it have a channel that is too large, infinity and NaN


def description():
    arguments, lines, results = [], [], []
    for width in WIDTHS:
        x, y, w = f"tensor<?x?x{width}xf32>", f"tensor<?x?x{CHANNELS}xf32>", f"tensor<{CHANNELS}x{width}xf32>"
        arguments.append(f'%x{width}: {x} {{sm1.name = "x{width}"}}')
        lines.append(f'%n{width} = sm1.param "n{width}" : tensor<{width}xf32>')
        lines.append(f"%r{width} = sm1.rms_norm %x{width}, %n{width} eps 1.0e-6 : {x}")
        for name in "ab":
            lines.append(f'%w{name}{width} = sm1.param "{name}{width}" : {w}')
            lines.append(f"%{name}{width} = sm1.linear %r{width}, %w{name}{width} : {x}, {w}")
            results.append((f"%{name}{width}", y, f'{y} {{sm1.name = "{name}{width}"}}'))
    values, types, named = zip(*results)
    lines.append(f"sm1.return {', '.join(values)} : {', '.join(types)}")
    return f"sm1.model @fp8({', '.join(arguments)}) -> ({', '.join(named)}) {{\n  " + "\n  ".join(lines) + "\n}\n"


def parameters():
    random = np.random.RandomState(3)
    made = {}
    for width in WIDTHS:
        made[f"n{width}"] = np.exp(random.standard_normal(width) / 2).astype(np.float32)
        made[f"n{width}"][0] = 200
        for name in "ab":
            matrix = random.standard_normal((CHANNELS, width)) * np.exp(2 * random.standard_normal((CHANNELS, 1)))
            made[f"{name}{width}"] = round_to("bf16", matrix.astype(np.float32)).astype(np.float32)
            made[f"{name}{width}"][5] = 0
    return made


def inputs(rows):
    random = np.random.RandomState(4)
    given = {f"x{width}": random.standard_normal((1, rows, width)).astype(np.float32) for width in WIDTHS}
    for x in given.values():
        x[..., 0] *= 1e-2  # whose weight is 200: of the size of the others, but in the first row
        x[0, 0, 0], x[0, 1, 1], x[0, 2, 2] = 20, np.inf, np.nan
    return given


def project(given, stored, rounds, spoil=lambda scales: scales):
    """{name: float64}"""
    made = {}
    for width in WIDTHS:
        with np.errstate(invalid="ignore"):
            r = reference.rms_norm(given[f"x{width}"].astype(np.float64), stored[f"n{width}"].astype(np.float64), 1e-6)
        for name in "ab":
            w = stored[f"{name}{width}"]
            values, scales = quantise.e4m3_of(w) if rounds else (w.astype(np.float64), np.ones((CHANNELS, 1)))
            made[f"{name}{width}"] = (quantise.e4m3(r) if rounds else r) @ values.T * spoil(scales)[:, 0]
    return made


def distance(got, wanted):
    """Of the rows without special values; infinite for what is missing or not a number."""
    worst = 0
    for name, value in wanted.items():
        difference = (got[name].astype(np.float64) - value)[:, SPECIAL:]
        error = np.sqrt(np.square(difference).mean() / np.square(value[:, SPECIAL:]).mean())
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


def targets_on(device):
    """{target: words for sm1-run}"""
    if device.is_emulated:
        return {target: [f"SM1_EMULATOR_CAPABILITY={capability}"] for target, capability in EMULATED.items()}
    return {target: [] for target in (("sm_90a",) if device.target == "sm_90" else ()) + (device.target,)}


WARNING = "tensor 'n43' has 1 of 43 weights outside 0.02 to 60 (200 to 200), and some of 2 other norms': "


def check_warnings(programs, report, target, words, held):
    """In the compilation of the packages `held`, or in the binding of what is outside; never for bf16."""
    for compute in ("fp8", "bf16"):
        for place in ("package", "external"):
            package, at_compilation = held[compute] if place == "package" else compile_projections(programs, target, compute, "--weights-in=external")
            said = [at_compilation]
            programs.call(package, "step", {name: x[:, :1] for name, x in inputs(SPECIAL).items()}, *words,
                          *([f"--params={programs.work}/weights.safetensors"] if place == "external" else []))  # fmt: skip
            said.append(programs.said)
            found = [WARNING in text and "--compute=bf16 keeps them" in text for text in said]
            report.check(found == [compute == "fp8" and place == where for where in ("package", "external")],
                         f"{compute}, weights in {place}: warns at compilation and binding: {found}")  # fmt: skip


def check_directory(programs, report, model, given, words, wanted):
    options = "--weights=bf16", "--compute=fp8", "--mode=prefill", "--variants=none"
    report.same_bits(programs.logits(model, given, *options, *words), wanted, f"the checkpoint itself, {words}")
    report.check("warning" not in programs.said, f"{model}: {programs.said}")


def check_asked(programs, report, model, target, words):
    """What sm1-run asks a compiler for, which here only says so."""
    compiler, tokens = programs.work / "asked", programs.work / "in.safetensors"
    compiler.write_text('#!/bin/sh\necho "error: asked for $* and no more"\nexit 1\n')
    compiler.chmod(0o755)
    done = programs.run(programs.sm1_run, "logits", model, "--device=cuda", "--weights=bf16", "--compute=fp8", "--tokens", tokens,
                        "--out", programs.work / "none.safetensors", f"SM1C={compiler}", *words)  # fmt: skip
    asked = re.search(r"--target=(\S+,)?(\w+) --weights=bf16 --compute=fp8 and no more", done.stderr)
    report.check(done.returncode == 1 and asked and asked[2] == target, f"{model} on {target}: {done.returncode}, {done.stderr}")


def check_refusals(programs, report, model):
    tokens = programs.work / "in.safetensors"
    for options, says in ((["SM1_EMULATOR_CAPABILITY=8.6", "--device=cuda"], "GPUs from sm_89 on, and this one is sm_86"),
                          (["--device=cpu"], "GPUs from sm_89 on, and this would run on the CPU")):  # fmt: skip
        done = programs.run(programs.sm1_run, "logits", model, "--weights=bf16", "--compute=fp8", "--tokens", tokens,
                            "--out", programs.work / "none.safetensors", *options)  # fmt: skip
        report.check(done.returncode == 1 and says in done.stderr, f"{options}: {done.returncode}, {done.stderr}")


def compile_projections(programs, target, compute, *where):
    """The package, and what the compiler said."""
    package = programs.compile(programs.work / "fp8.mlir", f"projections-{compute}{len(where)}", f"--target={target}", "--weights=bf16",
                               f"--compute={compute}", f"--variants={','.join(VARIANTS)}", f"--params={programs.work}/weights.safetensors", *where)  # fmt: skip
    return package, programs.said


def check_projections(programs, report, target, words):
    """Returns the packages, and what the compiler said."""
    source, stored = programs.work / "fp8.mlir", parameters()
    source.write_text(description())
    tensors.save(programs.work / "weights.safetensors", stored)
    made = {compute: compile_projections(programs, target, compute) for compute in ("fp8", "bf16")}
    (package, _), (plain, _) = made.values()
    given = inputs(140)  # tiles of 64 or 128 rows and one of a part
    wanted, unrounded = project(given, stored, rounds=True), project(given, stored, rounds=False)
    of_bf16 = ["prefill_few"] + (["prefill_most"] if target == "sm_90a" else [])
    for family in ("none", "prefill_some"):
        got = programs.call(package, "prefill", given, f"--variants={family}", *words)
        near, far = distance(got, wanted), distance(got, unrounded)
        family = f"{target}, {family}"
        print(f"{family}: {near:.1e} from the rounded reference, {far:.1e} from the other")
        report.check(near < NEAR, f"{family}: {near:.1e} from what e4m3 gives, must be less than {NEAR}")
        report.check(FAR[0] < far < FAR[1], f"{family}: {far:.1e} from what no rounding gives, must be in {FAR}")
        for what, spoil in (("of neighbours", lambda scales: np.roll(scales, 1, axis=0)), ("of one", np.ones_like)):
            report.check(distance(got, project(given, stored, True, spoil)) > 10 * NEAR, f"{family}: scales {what} look right, too")
        for name, value in got.items():
            report.check(np.isnan(value[0, 1:3]).any(-1).all() and np.isfinite(value[0, SPECIAL:]).all(),
                         f"{family}, {name}: infinity and NaN must spoil their rows, and no other")
            largest = np.abs(value[0, 0] - wanted[name][0, 0]).max() / np.abs(wanted[name][0, 0]).max()
            report.check(largest < NEAR, f"{family}, {name}: {largest:.1e} off where a number is beyond 448")
    for entry, options in [("prefill", [f"--variants={family}"]) for family in of_bf16] + [("step", [])]:
        some = given if entry == "prefill" else {name: x[:, 5:6] for name, x in given.items()}
        report.same_bits(programs.call(package, entry, some, *options, *words), programs.call(plain, entry, some, *options, *words),
                         f"{target}, {entry} {options}")  # fmt: skip
    return made


class Matrix:
    """In the place of an array: `x @ matrix.T` of rounded numbers; rows that tokens look up are bf16."""

    __array_ufunc__ = None  # numpy leaves x @ matrix to the class

    def __init__(self, values, fp8):
        self.rows, self.fp8, self.T = round_to("bf16", values), fp8, self
        self.values, self.scales = quantise.e4m3_of(self.rows.astype(np.float32)) if fp8 else (self.rows, np.ones((len(values), 1)))

    def __getitem__(self, token):
        return self.rows[token]

    def __rmatmul__(self, x):
        return (quantise.e4m3(x) if self.fp8 else round_to("bf16", x)) @ self.values.T * self.scales[:, 0]


class Rounded(reference.Sm1):
    OF_NORMS = ("in_proj", "x_proj", "w1", "w3")

    def __init__(self, directory, fp8=True):
        super().__init__(str(directory))
        self.weights = {name: Matrix(x, fp8 and any(part in name for part in self.OF_NORMS)) if x.ndim == 2 else x
                        for name, x in self.weights.items()}


def check_walk(programs, report, model, given, words, own):
    """Blocks that go on from tile to tile, on the emulator as one."""
    (programs.work / "schedule.txt").write_text("".join(f"{kernel} {numbers}\n" for kernel, numbers in WALKS.items()))
    package = programs.compile(model, "walking-fp8", f"--schedule={programs.work / 'schedule.txt'}", "--target=sm_90a", "--weights=bf16",
                               "--compute=fp8", "--variants=none", assembled=True)
    walking = programs.logits(package, given, "--mode=prefill", "--variants=none", "SM1_EMULATOR_SMS=1", *words)
    report.same_bits(walking, own, "blocks that go on")


def check_model(programs, report, model, vocab, target, words):
    package = programs.compile(model, "model-fp8", f"--target={target}", "--weights=bf16", "--compute=fp8", "--variants=none")
    given = {"tokens": random_tokens(9, vocab, *((2, 40) if programs.device.is_emulated else (3, 300)))}
    outputs = programs.logits(package, given, "--mode=prefill", "--variants=none", *words)
    got = outputs["logits"]
    if target == "sm_90a":
        check_walk(programs, report, model, given, words, outputs)
    apart = {}
    for name, fp8 in (("e4m3", True), ("bf16", False)):
        wanted = Rounded(model, fp8).run(given["tokens"])["logits"]
        apart[name] = np.sqrt(np.square(got - wanted).mean() / np.square(wanted).mean())
    print(f"{target}, {model}: {apart['e4m3']:.1e} from float64 with e4m3, {apart['bf16']:.1e} with bf16 alone")
    report.check(apart["e4m3"] < MODEL_NEAR, f"{target}, logits: {apart['e4m3']:.1e} from float64 with e4m3, must be less than {MODEL_NEAR}")
    report.check(apart["bf16"] > 1.5 * apart["e4m3"], f"{target}, logits: as near to what bf16 gives, {apart['bf16']:.1e}")
    return given, outputs


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--vocab", required=True, type=int)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    for number, (target, words) in enumerate(targets_on(programs.device).items()):
        made = check_projections(programs, report, target, words)
        given, got = check_model(programs, report, a.model, a.vocab, target, words)
        if programs.device.is_emulated:  # what a directory is compiled for is best of all
            check_asked(programs, report, a.model, target, words)
        if number == 0:
            check_directory(programs, report, a.model, given, words, got)
            check_warnings(programs, report, target, words, made)
    if programs.device.is_emulated:
        check_refusals(programs, report, a.model)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
