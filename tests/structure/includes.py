#!/usr/bin/env python3
"""includes.py ROOT: the arrows between folders hold in every #include.

runtime/ and kernels/ know nothing of the compiler; the dialect knows neither the compiler nor the runtime; the compiler sees of the
runtime only the package format and the packing library.
"""
import pathlib
import re
import sys

# folder -> [(include that is refused, why)]
REFUSED = {
    "runtime": [(r"(mlir|llvm|sm1|sm1c)/", "the runtime must build without the compiler")],
    "kernels": [(r"(mlir|llvm|sm1|sm1c|sm1rt)/", "kernels stand alone")],
    "dialect": [(r"(sm1c|sm1rt)/", "the dialect depends on MLIR only")],
    "compiler": [
        (r"sm1rt/(?!packing/|(PackageFormat|Packing|DType|Safetensors|Error)\.h)",
         "the compiler shares with the runtime only the package format and packing"),
    ],
    "tools/sm1-run": [(r"(mlir|llvm|sm1|sm1c)/", "sm1-run is part of the runtime half")],
    "tools/examples": [(r"(?!(sm1rt|sm1|sm1c|mlir|llvm)/)[\w-]+/", "an example is a program outside of the project: installed headers and its system's")],
    "tools/sm1-bench": [(r"(mlir|llvm|sm1|sm1c)/", "sm1-bench is part of the runtime half")],
}
SUFFIXES = {".h", ".cpp", ".c", ".cu", ".cuh", ".td", ".inc", ".def"}


def problems_of(root):
    for folder, rules in REFUSED.items():
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SUFFIXES:
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                include = re.match(r'\s*#\s*include\s+["<]([^">]+)', line)
                for pattern, why in rules if include else []:
                    if re.match(pattern, include[1]):
                        yield f"{path.relative_to(root)}:{number}: includes {include[1]}; {why}"


def main(root):
    problems = list(problems_of(pathlib.Path(root)))
    print("\n".join(problems) or "every include follows the arrows")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
