#!/usr/bin/env python3
"""One request gives the same bytes, though NVIDIA's assembler orders instructions by where its memory happens to lie: sm1c starts it so
that its memory lies at the same places each time. A stand-in for it gives its own addresses for a cubin.

  assembler.py --bin DIR --work DIR
"""
import ctypes
import os
import sys

from harness import DATA, Programs, Report, parser
import tensors

ASSEMBLER = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
exec cat /proc/self/maps >"$2"
"""
QUERY, ADDR_NO_RANDOMIZE = 0xFFFFFFFF, 0x0040000


def is_refused():
    """Containers may not let anybody ask for it; addresses are random then, and bytes with them."""
    libc = ctypes.CDLL(None)
    before = libc.personality(QUERY)
    refused = libc.personality(before | ADDR_NO_RANDOMIZE) < 0
    libc.personality(before)
    return refused


def main():
    arguments = parser(__doc__).parse_args()
    programs, report = Programs(arguments.bin, arguments.work), Report()
    if is_refused():
        report.skip("the system does not let a process start at fixed addresses")
        return report.finish()
    folder = programs.work / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "ptxas").write_text(ASSEMBLER)
    (folder / "ptxas").chmod(0o755)
    programs.environment["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    packages = [programs.work / f"{number}.sm1pkg" for number in range(2)]
    for package in packages:
        programs.must(programs.sm1c, DATA / "golden" / "tiny-a", "--target=sm_90", "-o", package)
    header, start = tensors.read_header(packages[0])
    begin, end = (start + offset for offset in header["cubin/sm_90"]["data_offsets"])
    maps = [package.read_bytes()[begin:end] for package in packages]
    report.check(b"[stack]" in maps[0], f"the stand-in was not asked: {maps[0][:200]}")
    report.check(maps[0] == maps[1], f"its memory lies elsewhere the second time:\n{maps[0].decode()}\n{maps[1].decode()}")
    report.check(packages[0].read_bytes() == packages[1].read_bytes(), "the packages differ")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
