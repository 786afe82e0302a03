#!/usr/bin/env python3
"""each.py FOLDER PROGRAM...: runs programs of a folder, two at a time, each in a folder of its own; fails if one of them does."""
import concurrent.futures
import pathlib
import subprocess
import sys


def run(program):
    own = program.with_name(f"{program.name}-run")
    own.mkdir(exist_ok=True)
    return subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=own)


def main(folder, *programs):
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for program, done in zip(programs, pool.map(run, [pathlib.Path(folder).resolve() / name for name in programs])):
            print(f"{program}: exit code {done.returncode}, {(done.stdout.splitlines() or ['nothing said'])[-1]}", flush=True)
            if done.returncode:
                print(done.stdout)
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
