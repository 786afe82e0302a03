#!/usr/bin/env python3
"""sm1-bench on a GPU: every figure is there and adds up. On the emulator times mean nothing; bytes, operations and launches do.

  bench_gpu.py --bin DIR --work DIR --device NAME --package PKG --nvml LIBRARY

The package is bf16 by bf16. LIBRARY stands in for NVIDIA's management library on the emulator.
"""
import json
import pathlib
import sys

from harness import Report, device_parser, programs_of

CEILINGS = {"read", "copy", "read L2", "mma.sync bf16", "FMA f32", "empty launch"}
CARDS = {"h200", "rtx-5060-ti", "rtx-5080", "rtx-5090"}
LAYERS, LAUNCHES_OF_LAYER = 20, 7


class Bench:
    def __init__(self, programs, report):
        self.programs, self.report = programs, report
        self.tool = str(pathlib.Path(programs.sm1c).parent / "sm1-bench")
        emulated = programs.device.is_emulated
        self.options = ["--device=cuda", "--repeat=1", *(["--toy-ceilings"] if emulated else [])]
        # A fraction of a ceiling: on the emulator anything that is a number.
        self.most = float("inf") if emulated else 20

    def json(self, *arguments):
        return json.loads(self.programs.must(self.tool, *arguments, *self.options, "--json"))


def check_ceilings(bench, found):
    ceilings = {ceiling["name"]: ceiling for ceiling in found["ceilings"]}
    bench.report.check(set(ceilings) == CEILINGS, f"ceilings {sorted(ceilings)}")
    for name, ceiling in ceilings.items():
        bench.report.check(ceiling["threads"] == 0 and ceiling["per_second"]["median"] > 0, f"ceiling {name}: {ceiling}")


def check_row(bench, row, tokens):
    name = f"{row['name']} of {row['tokens']} tokens"
    bench.report.check(row["tokens"] == tokens, f"{name}, {tokens} expected")
    for ceiling in ("memory", "arithmetic"):
        fraction = row[f"fraction_of_{ceiling}_ceiling"]
        bench.report.check(fraction is not None and 0 < fraction < bench.most, f"{name}: {fraction} of its {ceiling} ceiling")
    for cache in ("warm_seconds", "cold_seconds"):
        bench.report.check(row[cache]["median"] > 0 and row[cache]["p99"] >= row[cache]["median"], f"{name}: {cache} {row[cache]}")
    expected = sum(row["work"][kind] for kind in ("weight_bytes", "read_bytes", "written_bytes")) / tokens
    bench.report.check(abs(row["bytes_per_token"] / expected - 1) < 1e-9, f"{name}: {row['bytes_per_token']} bytes a token of {expected}")


def check_kernels(bench, row):
    """Events time each launch; a decode runs one step ahead, so only a prefill has the same launches as its row."""
    kernels = row["kernels"]
    bench.report.check(all(kernel["predicted_seconds"] > 0 for kernel in kernels), f"{row['name']}: every kernel has a prediction")
    bench.report.check(len(kernels) > 5 and all(kernel["seconds"]["least"] > 0 for kernel in kernels), f"{row['name']}: kernels {kernels}")
    if row["name"] != "prefill":
        return
    launches = sum(kernel["launches"] for kernel in kernels)
    bench.report.check(launches == row["work"]["launches"], f"{launches} launches were timed, {row['work']['launches']} are planned")
    bench.report.check(row["launches_per_token"] == launches / row["tokens"], f"{row['launches_per_token']} launches a token")
    for figure in ("weight_bytes", "read_bytes", "written_bytes", "flops"):
        total = sum(kernel["work"][figure] for kernel in kernels)
        bench.report.check(total == row["work"][figure], f"{figure} of kernels {total}, of the run {row['work'][figure]}")
    # Scans go over sequences: they read all rows of them.
    (scan,) = [kernel for kernel in kernels if kernel["kernel"] == "scan"]
    bench.report.check(scan["work"]["written_bytes"] > 0 and scan["work"]["read_bytes"] > scan["work"]["written_bytes"], f"scan {scan['work']}")


def check_rows(bench, package):
    found = bench.json("kernels", package, "--time=2", "--step=kernels")
    check_ceilings(bench, found)
    bench.report.check([row["name"] for row in found["rows"]] == ["decode", "prefill"], "rows")
    for row in found["rows"]:
        check_row(bench, row, tokens=2)
        check_kernels(bench, row)
    return found


def check_energy(bench, package, nvml):
    """Of a library that does not exist, and of one that tells 250 W."""
    arguments = ("decode", package, "--time=1", "--step=kernels")
    found = bench.json(*arguments, "SM1_NVML=libno-such-library.so")
    bench.report.check(found["no_energy"].startswith("libno-such-library.so: "), f"without a library: {found['no_energy']}")
    bench.report.check(found["rows"][0]["joules_per_token"] is None, "energy from nowhere")
    if not bench.programs.device.is_emulated:
        return
    found = bench.json(*arguments, f"SM1_NVML={nvml}")
    row = found["rows"][0]
    bench.report.check(found["no_energy"] is None and abs(row["watts"] - 250) < 25, f"{row['watts']} W of 250")
    found = bench.json(*arguments, "SM1_NVML=libc.so.6")
    bench.report.check("is too old to tell energy" in found["no_energy"], f"of a library without a counter: {found['no_energy']}")


def check_many_launches(bench):
    """More launches in a pass than are timed at once."""
    checkpoint = bench.programs.checkpoint("layers", vocab=32, d_model=16, layers=LAYERS, d_ff=16)
    package = bench.programs.compile(checkpoint, "layers", "--weights=bf16")
    row = bench.json("prefill", package, "--time=1", "--kernels")["rows"][0]
    launches = sum(kernel["launches"] for kernel in row["kernels"])
    bench.report.check(launches == row["work"]["launches"] > LAYERS * LAUNCHES_OF_LAYER >= 128, f"{launches} launches of {LAYERS} layers")


def check_projection(bench, package):
    """What cards are expected to take: parts within the whole, whole tokens for steps alone."""
    runs = json.loads(bench.programs.must(bench.tool, "predict", package, "--batch=1,40", "--time=600", "--json"))["runs"]
    entries = {(run["card"], run["entry"]) for run in runs}
    bench.report.check(entries == {(card, entry) for card in CARDS for entry in ("step", "step_some", "prefill_some")}, f"entries {entries}")
    for run in runs:
        name = f"{run['card']}, {run['entry']}"
        total = sum(kernel["launches"] * kernel["seconds"] for kernel in run["kernels"])
        bench.report.check(abs(total / run["seconds"] - 1) < 1e-9, f"{name}: {run['seconds']} of {total} seconds")
        bench.report.check((run["token_seconds"] is None) == (run["name"] == "prefill"), f"{name}: whole tokens")
        for kernel in run["kernels"]:
            parts = [kernel[part] for part in ("launch", "waiting", "memory", "products", "elementwise")]
            bench.report.check(0 < max(parts) <= kernel["seconds"] and kernel["blocks"] >= 1, f"{name}: {kernel}")
    text = bench.programs.must(bench.tool, "predict", package, "--card=rtx-5080")
    bench.report.check("projection by the cost model, nothing here was measured" in text, "a projection says what it is")


def check_text(bench, package):
    text = bench.programs.must(bench.tool, "end-to-end", package, "--time=1", "--steps=1", "--step=kernels", *bench.options)
    for word in ("p99", "cold ms", "launch/token", "mJ/token", "mma.sync bf16"):
        bench.report.check(word in text, f"the tables have '{word}'")
    bench.report.check(max(map(len, text.splitlines())) <= 120, "lines of at most 120 columns")


def main():
    parser = device_parser(__doc__)
    parser.add_argument("--package", type=pathlib.Path, required=True)
    parser.add_argument("--nvml", required=True)
    a = parser.parse_args()
    bench = Bench(programs_of(a), Report())
    check_rows(bench, a.package)
    check_energy(bench, a.package, a.nvml)
    check_many_launches(bench)
    check_projection(bench, a.package)
    check_text(bench, a.package)
    return bench.report.finish()


if __name__ == "__main__":
    sys.exit(main())
