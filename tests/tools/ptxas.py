#!/usr/bin/env python3
"""NVIDIA's assembler for tests: every text is assembled once, and what came of it is kept.

  ptxas.py PTXAS FOLDER ARGUMENTS OF ptxas...

Half of what sm1c takes for a GPU is ptxas, and many packages of the tests have kernels of the same text. The cubin and what was said are
kept in FOLDER under a hash of the assembler, its options, which stand in the cubin, and the text; what is refused is not kept, and with
SM1_TEST_COMPILE=always nothing is.
"""
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile

MOST = 2000  # files, of which the older half goes


def put(target, data):
    """Whole or not at all: several may assemble the same."""
    handle, name = tempfile.mkstemp(dir=os.path.dirname(target))
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(name, target)


def make_room(folder):
    with contextlib.suppress(FileNotFoundError):  # another one may be making room, too
        with os.scandir(folder) as entries:
            files = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
        for _, path in files[: len(files) // 2] if len(files) > MOST else []:
            os.unlink(path)


def main():
    ptxas, folder, *arguments = sys.argv[1:]
    if os.environ.get("SM1_TEST_COMPILE") == "always" or "-o" not in arguments or not os.path.isfile(arguments[-1]):
        os.execv(ptxas, [ptxas, *arguments])
    place = arguments.index("-o")
    options, target, source = arguments[:place] + arguments[place + 2 : -1], arguments[place + 1], arguments[-1]
    assembler = os.stat(ptxas)
    digest = hashlib.blake2b(f"{ptxas} {assembler.st_size} {assembler.st_mtime_ns} {options}\n".encode(), digest_size=20)
    with open(source, "rb") as file:
        digest.update(file.read())
    cubin, said = (os.path.join(folder, f"{digest.hexdigest()}.{ending}") for ending in ("cubin", "said"))
    if not os.path.isfile(said) or not os.path.isfile(cubin):
        with tempfile.TemporaryDirectory() as scratch:
            made = os.path.join(scratch, "made.cubin")
            done = subprocess.run([ptxas, *options, "-o", made, source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode or source.encode() in done.stdout:
                os.execv(ptxas, [ptxas, *arguments])
            make_room(folder)
            with open(made, "rb") as file:
                put(cubin, file.read())
            put(said, done.stdout)
    with open(cubin, "rb") as kept, open(target, "wb") as file:
        file.write(kept.read())
    with open(said, "rb") as file:
        sys.stdout.buffer.write(file.read())
    os.utime(cubin), os.utime(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
