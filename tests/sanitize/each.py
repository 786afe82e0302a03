#!/usr/bin/env python3
"""each.py FOLDER PROGRAM...: runs programs of a folder, one after the other; the first that fails ends it."""
import pathlib
import subprocess
import sys


def main(folder, *programs):
    folder = pathlib.Path(folder).resolve()
    for program in programs:
        done = subprocess.run([folder / program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
        print(f"{program}: exit code {done.returncode}, {(done.stdout.splitlines() or ['nothing said'])[-1]}", flush=True)
        if done.returncode:
            return print(done.stdout) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
