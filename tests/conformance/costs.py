#!/usr/bin/env python3
"""The counts that a package carries for its launches, worked out a second time from the plan: weights and streams from the sizes of
what a launch is given, products from the shapes of its matrices. Fusion moves work between kernels, but never makes or loses any.

  costs.py --bin DIR --work DIR --model DIR|FILE.mlir [--model ...]

The first model with each storage of matrices, the others with f32. Plans are those of --emit=plan, before any code is made; that a
package has the same one shows with the second model.
"""
import json
import math
import pathlib
import sys

from harness import Programs, Report, parser
import tensors

BYTES = {"f32": 4, "i32": 4, "bf16": 2, "f16": 2, "i8": 1, "u8": 1}
MATRIX_STEPS = ("panels", "pairs", "quads", "nibbles", "fragments", "images", "stages")
STORAGES = ("f32", "bf16", "f16", "int8", "int4")


def plan_of(package):
    header, _ = tensors.read_header(package)
    return json.loads(header["__metadata__"]["sm1.plan"])


def launches_of(program, entry):
    """(times, launch) of every launch."""
    for step in program["entries"][entry]:
        for launch in step.get("body", [step]):
            yield step.get("loop", 1), launch


def matrix_products(plan, weight):
    """N times K of a matrix before it was padded; 0 for a weight that is no matrix."""
    shape = next(param["shape"] for param in plan["params"] if param["name"] == weight["from"])
    for step in weight["steps"]:
        if step["op"] == "rows":
            shape = [step["end"] - step["begin"], *shape[1:]]
        if step["op"] in MATRIX_STEPS and "scales" not in [other["op"] for other in weight["steps"]]:
            return math.prod(shape)
    return 0


def expected_counts(plan, program, launch):
    """What a launch moves and multiplies, by its arguments."""
    counts = {"weight_bytes": 0, "stream_bytes": 0, "state_bytes": 0, "products": 0}
    looksUp = any(program["buffers"][arg["buffer"]]["dtype"] == "i32" for arg in launch["args"] if "buffer" in arg)
    for arg in launch["args"]:
        if "weight" in arg or "next_weight" in arg:
            weight = plan["weights"][arg.get("weight", arg.get("next_weight"))]
            size = math.prod(weight["shape"]) * BYTES[weight["dtype"]]
            if looksUp and len(weight["shape"]) == 2:
                counts["stream_bytes"] += size // weight["shape"][0]
            else:
                counts["weight_bytes"] += size
            counts["products"] += matrix_products(plan, weight)
        elif "buffer" in arg:
            buffer = program["buffers"][arg["buffer"]]
            counts["stream_bytes"] += buffer["stride"] * BYTES[buffer["dtype"]]
        else:
            channels, *rest = plan["states"][arg.get("state_in", arg.get("state_out"))]["shape"]
            counts["state_bytes"] += 4 * -(-channels // 16) * 16 * math.prod(rest)
    return counts


def check_plan(report, plan, name):
    """Every launch of every program; returns the totals of a prefill for each target."""
    totals = {}
    for target, program in plan["programs"].items():
        total = {"products": 0, "ops": 0}
        for entry, times, launch in ((entry, *pair) for entry in program["entries"] for pair in launches_of(program, entry)):
            kernel = f"{name}, {target}, {program['kernels'][launch['kernel']]['name']}"
            cost = launch["cost"]
            got = {
                "weight_bytes": cost["weight_bytes"],
                "stream_bytes": cost["read_bytes"] + cost["write_bytes"],
                "state_bytes": cost["state_bytes"],
                "products": cost["f32_products"] + cost["bf16_products"] + cost["int8_products"],
            }
            expected = expected_counts(plan, program, launch)
            report.check(got == expected, f"{kernel}: counts {got}, by its arguments {expected}")
            if target.startswith("sm_"):
                report.check(cost["stages"] >= 1, f"{kernel}: {cost} of a GPU")
            if entry == "prefill":
                total["products"] += times * got["products"]
                total["ops"] += times * (cost["vector_ops"] + cost["prologue_ops"])
        report.check(total["ops"] > 0, f"{name}, {target}: no operations were counted")
        totals[target] = total
    return totals


def without_code(plan):
    """What stands in a plan before there is code."""
    if isinstance(plan, list):
        return [without_code(part) for part in plan]
    made = ("registers", "offset", "hashes")
    return {name: without_code(part) for name, part in plan.items() if name not in made} if isinstance(plan, dict) else plan


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--model", required=True, type=pathlib.Path, action="append")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    for model in a.model:
        for storage in STORAGES if model is a.model[0] else STORAGES[:1]:
            options, name = ("--weights-in=external", f"--weights={storage}"), f"{model.stem}, {storage}"
            cpus = "native" if model is a.model[0] and storage == "bf16" else "x86-64-v3"
            emit = lambda *more: json.loads(programs.must(programs.sm1c, model, "--emit=plan", *options, *more))
            plan = emit(f"--target={cpus},sm_90")
            fused = check_plan(report, plan, name)
            apart = check_plan(report, emit(f"--target={cpus}", "--no-fuse=all"), f"{name} without fusion")
            report.check({target: fused[target] for target in apart} == apart, f"{name}: {fused} fused, {apart} without fusion")
            print(f"{name}: {fused}")
            if model is a.model[1]:
                package = plan_of(programs.compile(model, "same", *options, f"--target={cpus},sm_90"))
                report.check(without_code(plan) == without_code(package), f"{name}: the plan without code is not the package's")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
