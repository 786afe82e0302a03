#!/usr/bin/env python3
"""Small models on a real GPU under compute-sanitizer: memory, races of shared memory, uninitialised memory, barriers.

  gpu.py --bin DIR --work DIR [--target sm_90] [--golden DIR]

Every kernel of a few models, prefill and step, f32 and bf16. A tool that the machine refuses is a visible skip that says so.
"""
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
from devices import Device
from harness import DATA, SKIPPED, Programs, Report, parser, random_tokens
import tensors

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
MODELS = {"tiny-b": 61, "tiny-d": 130}
REFUSED = ("not supported", "Unable to", "could not", "failed to initialize", "insufficient permissions", "Device not supported")


def find_sanitizer():
    places = [os.environ.get("PATH", ""), os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"), "/usr/local/cuda/bin"]
    return shutil.which("compute-sanitizer", path=os.pathsep.join(places))


def check(programs, report, sanitizer, tool, package, given, mode, name):
    source, out = programs.work / "in.safetensors", programs.work / "out.safetensors"
    tensors.save(source, given)
    out.unlink(missing_ok=True)
    done = programs.run(sanitizer, f"--tool={tool}", "--error-exitcode=99", programs.sm1_run, "logits", package, "--tokens", source,
                        "--out", out, f"--mode={mode}", *programs.device.options)
    said = done.stdout + done.stderr
    if "ERROR SUMMARY" not in said and "RACECHECK SUMMARY" not in said or (done.returncode and any(word in said for word in REFUSED)):
        return report.skip(f"{tool}, {name}: not run: {said.strip()[-200:]}")
    report.check(done.returncode == 0 and out.exists(), f"{tool}, {name}: {said[-2000:]}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--target", default="sm_90")
    arguments.add_argument("--golden", default=DATA / "golden", type=pathlib.Path)
    a = arguments.parse_args()
    device, sanitizer = Device("cuda", a.target), find_sanitizer()
    why = device.missing() or ("" if sanitizer else "there is no compute-sanitizer")
    if why:
        print(f"SKIPPED everything: {why}")
        return SKIPPED
    programs, report = Programs(a.bin, a.work, device), Report()
    for model, vocab in MODELS.items():
        for options in (["--weights=f32"], ["--weights=bf16", "--compute=bf16"]):
            package = programs.compile(a.golden / model, "sanitized", *options)
            for mode, time in (("prefill", 70), ("step", 2)):
                for tool in TOOLS:
                    name = f"{model}, {' '.join(options)}, {mode}"
                    check(programs, report, sanitizer, tool, package, {"tokens": random_tokens(1, vocab, 3, time)}, mode, name)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
