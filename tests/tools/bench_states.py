#!/usr/bin/env python3
"""bench_states.py BENCH_STATES BIN FOLDER: what tools/bench-states prints of a small model, and where it cannot run."""
import re
import subprocess
import sys

SIZES = ["--layers=2", "--hidden=32", "--vocab=40", "--time=40", "--rounds=1", "--sm1c=--target=native"]
TIMES = ("decode", "decode scan", "prefill", "prefill scan")


def run(tool, bin_folder, folder, *options):
    command = [sys.executable, tool, "--bin", bin_folder, "--work", folder, *SIZES, *options]
    return subprocess.run(command, capture_output=True, text=True)


def main(tool, bin_folder, folder):
    done = run(tool, bin_folder, folder, "--states", "1", "16")
    assert done.returncode == 0, done.stderr
    title, head, one, sixteen = done.stdout.splitlines()
    assert "1 thread" in title and "2 layers of width 32" in title, title
    assert all(name in head for name in TIMES), head
    # Two layers of 64 channels carry N numbers and three taps each.
    for line, states in (one, 1), (sixteen, 16):
        assert f"{2 * 64 * (states + 3) * 4 / 1e3:.1f} kB" in line and line.split()[0] == str(states), line
    times = {line: [float(time) for time in re.findall(r"([\d.]+) us", line)] for line in (one, sixteen)}
    assert all(len(found) == 4 and min(found) > 0 for found in times.values()), times
    assert times[sixteen][3] > 1.5 * times[one][3], "sixteen exponentials a channel take longer than one"
    assert re.findall(r"x *([\d.]+)", one) == ["1.00"] * 4, one

    done = run(tool, bin_folder, folder, "--states", "300")
    assert done.returncode == 1 and "field 'state_size' must be an integer from 1 to 256, got 300" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
