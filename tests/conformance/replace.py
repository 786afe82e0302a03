#!/usr/bin/env python3
"""Kernels in CUDA C++: what `sm1c --emit=cuda` prints runs with the bits of the generated kernels (in bf16 nearly), and wrong ones are found.

  replace.py --bin DIR --work DIR [--device NAME] --golden DIR --specs DIR --examples DIR

Without NVRTC only what goes before it is tested; the rest is a visible skip.
"""
import ctypes
import os
import pathlib
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
from layer import NARROW, narrow
from relatives import printed, random_params
import tensors

LIBRARIES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so")
LENGTHS = np.array([23, 1, 9], np.int32)
APART = "--no-fuse=sm1-fuse-projection-scan"  # the scan of a step as a kernel of its own

# What no model here has: parts that begin inside a panel, sqrt, fma, a choice among constants.
GATE = """
sm1.model @gate(%x: tensor<?x?x40xf32> {sm1.name = "x"}) -> (tensor<?x?x20xf32> {sm1.name = "y"}) {
  %a, %b = sm1.split %x : tensor<?x?x40xf32> into tensor<?x?x20xf32>, tensor<?x?x20xf32>
  %third = arith.constant 0.333333343 : f32
  %thirds = sm1.broadcast %third : f32 to tensor<?x?x20xf32>
  %size = math.absf %b : tensor<?x?x20xf32>
  %root = math.sqrt %size : tensor<?x?x20xf32>
  %ninth = arith.mulf %thirds, %thirds : tensor<?x?x20xf32>
  %y = math.fma %a, %root, %ninth : tensor<?x?x20xf32>
  sm1.return %y : tensor<?x?x20xf32>
}
"""

# (name, what is changed in the printed scan, by what, what the error says)
WRONG = [
    ("swapped", "sm1::load(B + ", "sm1::load(C + ", "argument 9 (state h)"),
    ("no D", "y = ch + du;", "y = ch;", "argument 10 row 0"),
    ("zero", "column, g);", "column, 0.0f);", "becomes 0,"),
    ("no last state", "last_out[segment * stride + channel] = h_state;", ";", "argument 9 (state h)"),
    ("state not read", "? h_prev[segment * stride + channel] : 0.0f", "? 0.0f : 0.0f", "argument 9 (state h)"),
    ("last row forgotten", "if (tileRow < rows) {", "if (tileRow < rows - 1) {", "argument 10 row 0"),
    ("second tile forgotten", "first += tileRows", "first += 10 * tileRows", "on 130 rows,"),
    ("wrong segment", "segmentStart[segment], end", "segmentStart[0], end", "in 5 segments,"),
    ("one row too many", "if (tileRow < rows) {", "g_out[end * stride] = 1.0f; if (tileRow < rows) {", "behind the end of argument 10"),
    ("slightly off", "y = ch + du;", "y = (ch + du) * 1.0001f;", "relative error"),
]


def has_nvrtc():
    for name in [os.environ["SM1_NVRTC"]] if os.environ.get("SM1_NVRTC") else LIBRARIES:
        try:
            return bool(ctypes.CDLL(name))
        except OSError:
            pass
    return False


def cuda_of(programs, source, name, *options):
    """The printed kernels of a model: path and text."""
    path = programs.work / f"{name}.cu"
    programs.must(programs.sm1c, source, "--emit=cuda", f"--target={programs.device.target}", "-o", path, *options)
    return path, path.read_text()


def check_same_bits(programs, report, package, cuda, given, name):
    """Every printed kernel in place of its own; the comparison is part of it. In bf16 a generated one takes the GPU's functions for exp and
    quotients, 2 ulp off, which may also move a value between two phases by one step of bf16."""
    for mode, variant in zip(("prefill", "step"), 2 * programs.device.variants(few=True)):
        expected = programs.logits(package, given, f"--mode={mode}")
        report.check(any(value.any() for value in expected.values()), f"{name}: outputs are all zero")
        got = programs.logits(package, given, f"--mode={mode}", f"--replace=*={cuda}", *variant)
        text = f"{name}, {mode} {' '.join(variant)}"
        if "bf16" in name:
            report.close(got, expected, text, 1e-2)
        else:
            report.same_bits(got, expected, text)


def check_models(programs, report, golden, specs):
    given = {"tokens": random_tokens(3, 50, len(LENGTHS), LENGTHS.max()), "lengths": LENGTHS}
    for name, source, options in (
        ("tiny-b", golden / "tiny-b", (APART,)),
        ("tiny-d-unfused", golden / "tiny-d", ("--no-fuse=all",)),
        ("tiny-b-bf16", golden / "tiny-b", ("--weights=bf16", "--compute=bf16")),
        ("tiny-b-closed-form", golden / "tiny-b", ("--form=closed_form", APART)),
    ):
        package = programs.compile(source, name, *options)
        check_same_bits(programs, report, package, cuda_of(programs, source, name, *options)[0], given, name)
    spec = specs / "min-gru.mlir"
    params = random_params(programs, printed(programs, spec, "min-gru"), "min-gru", 5)
    package = programs.compile(spec, "min-gru", f"--params={params}", APART)
    check_same_bits(programs, report, package, cuda_of(programs, spec, "min-gru", APART)[0], given, "min-gru")


def check_layers(programs, report, specs):
    """Single layers, of which one has weights."""
    random = np.random.RandomState(6)
    scan = {"decay": random.uniform(0.5, 1, (2, 70, 48)), "input": random.normal(size=(2, 70, 48)), "init": random.normal(size=(2, 48))}
    width, inner, layer_text = 704, 1408, (specs / "sm1-layer.mlir").read_text()
    if programs.device.is_emulated:  # the same kernels; these widths end inside a tile of columns and of k
        width, inner, layer_text = NARROW[width], NARROW[inner], narrow(layer_text)
    layer = {"x": random.normal(size=(2, 5, width)), "state_in.h": random.normal(size=(2, inner)), "state_in.conv": random.normal(size=(2, inner, 3))}
    gate, layer_spec = programs.work / "gate.mlir", programs.work / "sm1-layer.mlir"
    gate.write_text(GATE)
    layer_spec.write_text(layer_text)
    for spec, given in ((specs / "scan.mlir", scan), (gate, {"x": random.normal(size=(2, 9, 40))}), (layer_spec, layer)):
        name, options = spec.stem, ()
        if name == "sm1-layer":
            options = (f"--params={random_params(programs, printed(programs, spec, name), name, 7)}",)
        package = programs.compile(spec, name, *options)
        cuda, _ = cuda_of(programs, spec, name)
        given = {key: value.astype(np.float32) for key, value in given.items()}
        expected = programs.call(package, "prefill", given)
        report.check(any(value.any() for value in expected.values()), f"{name}: outputs are all zero")
        report.same_bits(programs.call(package, "prefill", given, f"--replace=*={cuda}"), expected, name)


def scan_alone(text):
    """The head of a printed file and its kernel 'scan'."""
    head, *kernels = text.split("\n\n// ")
    return head + "\n\n// " + next(kernel for kernel in kernels if kernel.startswith("scan:"))


def check_wrong(programs, report, package, text, given):
    """Each planted mistake is found, unless the user vouches for it."""
    right = programs.logits(package, given)
    path = programs.work / "wrong.cu"
    for name, good, bad, says in WRONG:
        if not report.check(good in text, f"{name}: the printed scan has no '{good}'"):
            continue
        path.write_text(text.replace(good, bad, 1))
        done = run_logits(programs, package, f"--replace=scan={path}", "SM1_EMULATOR_RACECHECK=0")  # which finds one of them first
        report.check(done.returncode == 1 and says in done.stderr and "--trust" in done.stderr, f"{name}: not found: {done.stderr}")
    path.write_text(text.replace(*WRONG[1][1:3]))
    trusted = programs.logits(package, given, f"--replace=scan={path}", "--trust")
    report.check((trusted["logits"] != right["logits"]).any(), "--trust: the wrong kernel did not run")


def run_logits(programs, package, *options):
    """`sm1-run logits`, which may fail; its tokens are those of the last call."""
    return programs.run(programs.sm1_run, "logits", package, "--tokens", programs.work / "in.safetensors", "--out",
                        programs.work / "unused.safetensors", *programs.device.options, *options)


def refused(programs, report, package, says, *options):
    done = run_logits(programs, package, *options)
    report.check(done.returncode == 1 and done.stderr.startswith("error: ") and says in done.stderr,
                 f"{' '.join(options)}: expected '{says}', got exit code {done.returncode}: {done.stderr}")


def check_errors_before(programs, report, package, cuda):
    """What is said without NVRTC."""
    refused(programs, report, package, "is not KERNEL=FILE.cu", "--replace=scan")
    refused(programs, report, package, "none.cu: no such file", "--replace=scan=none.cu")
    refused(programs, report, package, "drop ':scan'", f"--replace=*={cuda}:scan")
    refused(programs, report, package, "/nonexistent: cannot open shared object", f"--replace=scan={cuda}", "SM1_NVRTC=/nonexistent")
    refused(programs, report, package, "has no function nvrtcVersion", f"--replace=scan={cuda}", "SM1_NVRTC=libm.so.6")


def check_errors(programs, report, package, cuda, text):
    refused(programs, report, package, "no kernel 'scam'", f"--replace=scam={cuda}")
    refused(programs, report, package, "has no kernel 'nothing', its kernels are 'embedding_kernel', 'norm1_kernel'", f"--replace=scan={cuda}:nothing")
    refused(programs, report, package, "as a kernel", f"--replace=*={edited(programs, 'extern C', '_kernel(', '_function(', text)}")
    wrong = edited(programs, "mistake", "const f32x4 bu = B_t * u_t;", "const f32x4 bu = B_t * v_t;", text)
    line = next(number for number, line in enumerate(wrong.read_text().splitlines(), 1) if "v_t" in line)
    refused(programs, report, package, f'{wrong}({line}): error: identifier "v_t" is undefined', f"--replace=scan={wrong}")
    shape = edited(programs, "shape", "// sm1: threads=256 shared=0 row_split=1 panel_split=1", "// sm1: threads=100", text)
    refused(programs, report, package, "'threads=100' is outside 32 to 1024", f"--replace=scan={shape}")
    split = edited(programs, "split", "row_split=1 panel_split=1", "row_split=2", text)
    refused(programs, report, package, "in 5 segments", f"--replace=scan={split}")


def edited(programs, name, good, bad, text):
    path = programs.work / f"{name.replace(' ', '-')}.cu"
    path.write_text(text.replace(good, bad))
    return path


def check_example(programs, report, package, examples, given):
    """The hand-written scan, near the generated one and in no variant different from itself."""
    expected, first = programs.logits(package, given), None
    for variant in programs.device.variants():
        got = programs.logits(package, given, f"--replace=scan={examples / 'scan.cu'}", *variant)
        report.close(got, expected, f"the example {' '.join(variant)}", states=("state_out.h",))
        report.same_bits(got, first or got, f"the example {' '.join(variant)}")
        first = first or got


def main():
    arguments = device_parser(__doc__)
    for folder in ("golden", "specs", "examples"):
        arguments.add_argument(f"--{folder}", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    given = {"tokens": random_tokens(8, 60, 2, 30)}
    package = programs.compile(a.golden / "tiny-b", "errors")
    cuda, text = cuda_of(programs, a.golden / "tiny-b", "errors")
    tensors.save(programs.work / "in.safetensors", given)
    check_errors_before(programs, report, package, cuda)
    if not has_nvrtc():
        report.skip("everything that needs NVRTC, which is not here")
        return report.finish()
    check_wrong(programs, report, package, scan_alone(text), given)
    check_errors(programs, report, package, cuda, scan_alone(text))
    check_example(programs, report, package, a.examples, given)
    check_models(programs, report, a.golden, a.specs)
    check_layers(programs, report, a.specs)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
