#!/usr/bin/env python3
"""sm1-bench: every figure is there, adds up, and stands against the right ceiling; curves are drawn; bad options get one clear error.

Times are those of a machine that runs other tests at the same time: bounds on them are wide, those on bytes and operations are not.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

import harness
import tensors

SVG = "{http://www.w3.org/2000/svg}"
REPEAT = "--repeat=2"


class Bench:
    def __init__(self, programs, report):
        self.programs, self.report = programs, report
        self.tool = str(pathlib.Path(programs.sm1c).parent / "sm1-bench")

    def json(self, *arguments):
        return json.loads(self.programs.must(self.tool, *arguments, "--device=cpu", REPEAT, "--json"))

    def refuses(self, exit_code, says, *arguments):
        done = self.programs.run(self.tool, *arguments)
        told = done.stderr + done.stdout
        text = f"{' '.join(map(str, arguments))}: exit code {done.returncode} of {exit_code}, says: {told.strip()}"
        self.report.check(done.returncode == exit_code and re.search(says, told) and len(told.strip().splitlines()) <= 2, text)


def plan_of(package):
    header, _ = tensors.read_header(package)
    return json.loads(header["__metadata__"]["sm1.plan"])


def kernels_of(plan, target, entry):
    program = plan["programs"][target]
    bodies = [step.get("body", [step]) for step in program["entries"][entry]]
    return {program["kernels"][launch["kernel"]]["name"] for body in bodies for launch in body}


def matrix_elements(config):
    """Elements of all matrices that a token of SM1 is multiplied with."""
    width, inner, mlp = config["d_model"], config["d_model"] * config["expand"], config["d_ff"]
    layer = 2 * inner * width + 3 * inner * inner + inner * width + 3 * mlp * width
    return config["n_layers"] * layer + config["vocab_size"] * width


def check_fractions(report, row, name):
    for kind, most in (("memory", 30), ("arithmetic", 10)):
        fraction, ceiling = row[f"fraction_of_{kind}_ceiling"], row[f"{kind}_ceiling"]
        report.check(fraction is None or (ceiling and 1e-6 < fraction < most), f"{name}: {fraction} of the {kind} ceiling '{ceiling}'")


def check_kernels(report, row, plan, target, name):
    """A row for each kernel; together they take about what the run takes."""
    entry = {"decode": "step", "prefill": "prefill"}[row["name"]]
    names = {kernel["kernel"] for kernel in row["kernels"]}
    report.check(names == kernels_of(plan, target, entry), f"{name}: rows for kernels {sorted(names)}")
    for kernel in row["kernels"]:
        check_fractions(report, kernel, f"{name}, {kernel['kernel']}")
        report.check(kernel["entry"] == entry and kernel["launches"] > 0, f"{name}: {kernel['kernel']} ran in {kernel['entry']}")
    ratio = sum(kernel["seconds"]["least"] for kernel in row["kernels"]) / row["seconds"]["least"]
    report.check(0.2 < ratio < 4, f"{name}: kernels take {ratio:.2f} times the run")
    for figure in ("flops", "weight_bytes"):
        total = sum(kernel["work"][figure] for kernel in row["kernels"])
        report.check(abs(total / row["work"][figure] - 1) < 1e-9, f"{name}: {figure} of kernels {total}, of the run {row['work'][figure]}")


def check_work(report, row, config, name):
    """Operations and bytes from the model's sizes alone; norms, convolution and the table add little to the matrices."""
    elements = matrix_elements(config)
    head = config["vocab_size"] * config["d_model"]
    last_only = row["tokens"] - row["batch"] if row["name"] == "prefill" else 0
    flops = 2 * (elements * row["tokens"] - head * last_only)
    report.check(abs(row["work"]["flops"] / flops - 1) < 0.01, f"{name}: {row['work']['flops']} operations, {flops} expected")
    passes = row["steps"] if row["name"] == "decode" else 1
    ratio = row["work"]["weight_bytes"] / (2 * elements * passes)  # stored as bf16
    report.check(1 <= ratio < 1.05, f"{name}: {row['work']['weight_bytes']} bytes of weights, {ratio:.3f} times those of matrices")


def check_model(bench, package, checkpoint):
    report, plan = bench.report, plan_of(package)
    config = json.loads((checkpoint / "config.json").read_text())
    found = bench.json("kernels", package, "--batch=2", "--time=16", "--threads=1,2")
    report.check([v["threads"] for v in found["variants"]] == [1, 2], "variants of 1 and 2 threads")
    report.check([(row["variant"], row["name"]) for row in found["rows"]] == [(v, n) for v in (0, 1) for n in ("decode", "prefill")], "rows")
    for row in found["rows"]:
        variant = found["variants"][row["variant"]]
        name = f"{row['name']}, {variant['threads']} threads"
        check_fractions(report, row, name)
        check_kernels(report, row, plan, variant["target"], name)
        check_work(report, row, config, name)
        report.check(row["kernels"] and all("slices" not in kernel for kernel in row["kernels"]), f"{name}: slices that nobody asked for")
        report.check(row["memory_ceiling"] == "read" and row["arithmetic_ceiling"], f"{name}: has both ceilings")
        times = row["seconds"]
        ordered = [times[key] for key in ("least", "quarter", "median", "three_quarters", "p90", "most")]
        report.check(ordered == sorted(ordered) and ordered[0] > 0 and len(times["all"]) == 2, f"{name}: quantiles {ordered}")
    for ceiling in found["ceilings"]:
        report.check(1e8 < ceiling["per_second"]["median"] < 1e15, f"ceiling {ceiling['name']}: {ceiling['per_second']['median']}")


def check_end_to_end(bench, package):
    row = bench.json("end-to-end", package, "--time=16", "--steps=4")["rows"][0]
    bench.report.check(row["tokens"] == 20 and row["kernels"] == [], f"end to end: {row['tokens']} tokens of 20")


def check_isa(bench, golden):
    """What a row is set against follows the target."""
    package = bench.programs.compile(golden / "tiny-b", "v3", "--target=x86-64-v3")
    found = bench.json("scan", package, "--isa=x86-64-v3", "--time=8")
    bench.report.check({row["arithmetic_ceiling"] for row in found["rows"]} == {"FMA 256"}, "AVX2 code against AVX2's peak")
    names = {kernel["kernel"] for row in found["rows"] for kernel in row["kernels"]}
    bench.report.check(names and all("scan" in name for name in names), f"kernels of 'scan': {names}")
    bench.refuses(1, "x86-64-v4-none", "decode", package, "--isa=x86-64-v4-none")


def check_slices(bench, package):
    """Kernels that multiply are set against peaks around each launch."""
    (row,) = bench.json("prefill", package, "--time=64", "--kernels", "--slices")["rows"]
    for kernel in row["kernels"]:
        name, multiplies = f"slices, {kernel['kernel']}", kernel["work"]["flops"] > 0
        bench.report.check(("slices" in kernel) == multiplies, f"{name}: there are slices, and products: {multiplies}")
        if not multiplies:
            continue
        slices, launches = kernel["slices"], 2 * kernel["launches"]
        bench.report.check(slices["launches"] == launches and slices["steady"] <= launches, f"{name}: {slices['launches']} of {launches} launches")
        if slices["steady"]:
            part, peak = slices["fraction_of_peak"], slices["peak_per_second"]
            bench.report.check(0 < part["least"] <= part["median"] <= part["most"] < 1.5, f"{name}: {part['median']} of the peak")
            slowest, fastest = part["least"] * peak["least"], kernel["work"]["flops"] / kernel["seconds"]["least"]
            steady = slices["steady"] == launches  # else the slow ones may be missing
            bench.report.check(not steady or slowest <= fastest, f"{name}: {slowest} operations a second, all of a run {fastest}")


def check_scan(bench, spec):
    """A model that reads rows: bytes by its shape, and a ceiling with two bytes read for each written."""
    time, row_bytes = 300, 48 * 4
    package = bench.programs.compile(spec, "scan", best=True)
    found = bench.json("prefill", package, f"--time={time}", "--kernels", "--rows-per-pass=512")
    (kernel,) = found["rows"][0]["kernels"]
    work = kernel["work"]
    bench.report.check(work["read_bytes"] == (2 * time + 1) * row_bytes, f"scan reads {work['read_bytes']} bytes")
    bench.report.check(work["written_bytes"] == (time + 1) * row_bytes, f"scan writes {work['written_bytes']} bytes")
    bench.report.check(kernel["memory_ceiling"] == "read:write 2:1", f"scan against {kernel['memory_ceiling']}")
    check_fractions(bench.report, kernel, "scan")
    bench.refuses(1, "no kernel has 'conv' in its name; there are", "conv", package)


def check_text(bench, package):
    text = bench.programs.must(bench.tool, "all", package, "--device=cpu", REPEAT, "--time=8", "--kernels")
    long = [line for line in text.splitlines() if len(line) > 120]
    bench.report.check(not long, f"lines of more than 120 columns: {long}")
    for word in ("decode", "prefill", "end-to-end", "launches of step", "embed", "read", "tokens/s", "predict"):
        bench.report.check(word in text, f"the tables have '{word}'")
    bench.report.check(not re.search(r"\b(nan|inf)\b", text), "every figure is a number")


def check_curve(bench, package, subject, x_label, rows, *arguments):
    picture = bench.programs.work / f"{subject}.svg"
    found = bench.json(subject, package, *arguments, f"--svg={picture}")
    root = xml.parse(picture).getroot()
    points = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    width, height = float(root.get("width")), float(root.get("height"))
    bench.report.check(len(points) == len(found["rows"]) == rows, f"{subject}: {len(points)} points for {len(found['rows'])} rows of {rows}")
    bench.report.check(len({x for x, _ in points}) == rows and all(0 < x < width and 0 < y < height for x, y in points), f"{subject}: {points}")
    words = [text.text for text in root.iter(f"{SVG}text")]
    bench.report.check(x_label in words, f"{subject}: names its axis: {words}")
    return found


def check_curves(bench, package):
    found = check_curve(bench, package, "context", "tokens read before", 3, "--time=256,64,128", "--steps=4")
    bench.report.check([row["context"] for row in found["rows"]] == [64, 128, 256], "contexts in order")
    bench.report.check(all(row["resident_bytes"] > 1e6 for row in found["rows"]), "resident memory at each context")
    check_curve(bench, package, "batch", "sequences side by side", 3, "--batch=1,2,4", "--time=4")


def check_pipelines(bench, golden, package):
    """Packages of one model in turns: a ratio for each row of the second, repetition by repetition; another model is refused."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "tools"
    script = [sys.executable, folder / "bench-pipelines", golden / "tiny-b", f"--bin={pathlib.Path(bench.tool).parent}",
              f"--work={bench.programs.work}", "--common=--target=x86-64-v3", "--pipeline=fused="]  # fmt: skip
    options = ("--", "all", "--device=cpu", REPEAT, "--time=8", "--steps=2", "--json")
    found = json.loads(bench.programs.must(*script, "--pipeline=apart=--no-fuse=all", *options))
    packages = [str(bench.programs.work / f"{name}.sm1pkg") for name in ("fused", "apart")]
    bench.report.check([variant["package"] for variant in found["variants"]] == packages, f"variants {found['variants']}")
    bench.report.check([(ratio["row"], ratio["first"]) for ratio in found["ratios"]] == [(3, 0), (4, 1), (5, 2)], "a ratio for each row")
    for ratio in found["ratios"]:
        own, base = (found["rows"][ratio[key]]["seconds"]["all"] for key in ("row", "first"))
        expected = [before / after for before, after in zip(base, own)]
        bench.report.check(ratio["speedup"]["all"] == expected and len(expected) == 2, f"{ratio} of {base} and {own}")
    text = bench.programs.must(bench.tool, "decode", packages[0], f"--pipelines={packages[1]}", "--device=cpu", REPEAT, "--time=2")
    bench.report.check(f"times as fast as {packages[0]}" in text, "ratios are printed")
    bench.refuses(1, "is another model than", "decode", packages[0], f"--pipelines={package}", "--device=cpu")
    done = bench.programs.run(*script)
    bench.report.check(done.returncode == 1 and "there is nothing to compare" in done.stderr, f"one pipeline alone: {done.stderr}")


def check_refusals(bench, package):
    bench.refuses(2, "--threads", "decode", package, "--threads=0")
    bench.refuses(2, "--batch", "decode", package, "--batch=two")
    bench.refuses(2, "--svg", "decode", package, "--svg=a.svg")
    bench.refuses(1, "nowhere", "batch", package, f"--svg={bench.programs.work}/nowhere/a.svg")
    bench.refuses(1, "no such file", "decode", bench.programs.work / "missing.sm1pkg")
    bench.refuses(1, "card 'rtx-3090' is none of h200, rtx-5060-ti", "predict", package, "--card=rtx-3090")
    bench.refuses(1, r"has no code for h200 \(sm_90\); recompile with --target=sm_90", "predict", package)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--package", type=pathlib.Path, required=True, help="of the checkpoint, weights in bf16")
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("--spec", type=pathlib.Path, required=True, help="kernels/specs/scan.mlir")
    a = parser.parse_args()
    bench = Bench(harness.Programs(a.bin, a.work), harness.Report())
    check_model(bench, a.package, a.checkpoint)
    check_end_to_end(bench, a.package)
    check_text(bench, a.package)
    check_isa(bench, a.golden)
    check_slices(bench, a.package)
    check_scan(bench, a.spec)
    check_curves(bench, a.package)
    check_pipelines(bench, a.golden, a.package)
    check_refusals(bench, a.package)
    return bench.report.finish()


if __name__ == "__main__":
    sys.exit(main())
