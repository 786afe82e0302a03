#!/usr/bin/env python3
"""Checks what executables link.

  links.py runtime EXE...    none needs an LLVM or MLIR library, directly or through another library
  links.py compiler EXE...   each needs libMLIR.so.22.1 and holds no second copy of MLIR
"""
import re
import subprocess
import sys

# Instantiations of MLIR's inline templates are strong now and then; a static archive brings thousands.
STRONG_MLIR_FUNCTIONS = 60


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(exe):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", exe))


def check_runtime(exe):
    libraries = sorted(set(needed(exe) + re.findall(r"^\s*(\S+)", output("ldd", exe), re.M)))
    return [f"{exe}: needs {library}; the runtime must not link LLVM" for library in libraries if re.search("LLVM|MLIR", library)]


def check_compiler(exe):
    problems = []
    if "libMLIR.so.22.1" not in needed(exe):
        problems.append(f"{exe}: does not need libMLIR.so.22.1 but {needed(exe)}; link sm1_mlir")
    strong = [line for line in output("nm", "-C", exe).splitlines() if re.search(r" T mlir::", line)]
    if len(strong) > STRONG_MLIR_FUNCTIONS:
        example = strong[0].split(" T ")[1]
        problems.append(f"{exe}: {len(strong)} strong functions of MLIR, e.g. {example}; some target links a static MLIR archive")
    return problems


def main(kind, *executables):
    check = {"runtime": check_runtime, "compiler": check_compiler}[kind]
    problems = [problem for exe in executables for problem in check(exe)]
    print("\n".join(problems) or f"{len(executables)} executables link what they should")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
