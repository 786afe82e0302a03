#!/usr/bin/env python3
"""Predictions beside the clock: runs sm1-bench on packages and prints every kernel, with a mark where the two differ by more than 1.5
times.

  compare_costs.py --bench build/bin/sm1-bench PACKAGE... [--markdown] [-- OPTIONS OF sm1-bench kernels]

Read and multiply rates are measured in the same process, in turns with the kernels. Kernels that take less than a hundredth of their run
are listed without a mark: launches of a microsecond say more about the clock than about the model. Fails when a kernel is marked.
"""
import argparse
import json
import subprocess
import sys

FACTOR = 1.5
LEAST_SHARE = 0.01


def measured(bench, package, options):
    done = subprocess.run([bench, "kernels", package, "--json", *options], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def lines_of(report):
    """(run, kernel, measured us, predicted us, share of the run) of every kernel that has a prediction."""
    for row in report["rows"]:
        variant = report["variants"][row["variant"]]
        run = f"{row['name']} {variant['target']} {variant['threads']}t batch {row['batch']} time {row['time']}"
        total = sum(kernel["seconds"]["median"] for kernel in row["kernels"])
        for kernel in row["kernels"]:
            if kernel["predicted_seconds"] is None:
                continue
            seconds = kernel["seconds"]["median"]
            times = kernel["launches"] / 1e6
            yield run, kernel["kernel"], seconds / times, kernel["predicted_seconds"] / times, seconds / total


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bench", required=True, help="the program sm1-bench")
    arguments.add_argument("packages", nargs="+")
    arguments.add_argument("--markdown", action="store_true", help="a table for a document")
    own, _, options = " ".join(sys.argv[1:]).partition(" -- ")
    a = arguments.parse_args(own.split())
    form = "| {} | {} | {} | {} | {} |" if a.markdown else "{:<46}{:<18}{:>12}{:>12}{:>8}"
    print(form.format("run", "kernel", "measured us", "predicted", "ratio"))
    if a.markdown:
        print("|---|---|---|---|---|")
    listed = marked = 0
    for package in a.packages:
        for run, kernel, clock, model, share in lines_of(measured(a.bench, package, options.split())):
            ratio = model / clock
            wrong = share >= LEAST_SHARE and not 1 / FACTOR <= ratio <= FACTOR
            listed, marked = listed + 1, marked + wrong
            print(form.format(run, kernel, f"{clock:.1f}", f"{model:.1f}", f"{ratio:.2f}" + "*" * wrong))
    print(f"{listed} kernels, {marked} off by more than {FACTOR}")
    return int(marked > 0 or not listed)


if __name__ == "__main__":
    sys.exit(main())
