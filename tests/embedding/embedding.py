#!/usr/bin/env python3
"""Programs outside of the project, against an installed tree: find_package, pkg-config, the two examples, bits of logits, the pages of
runtime/docs.

  embedding.py --bin DIR --work DIR --build DIR --source DIR [--music PKG --small PKG --layer-spec FILE]

The tree is installed into one folder and moved to another before it is used. Without the packages programs are built and not run.
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
from harness import Programs, Report, parser, random_tokens
from layer import checkpoint_layer
from pages import check_pages

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


class Installed:
    """A moved installation, and the two ways to build against it."""

    def __init__(self, programs, build):
        self.programs = programs
        staging, self.prefix = programs.work / "staging", programs.work / "prefix"
        for folder in (staging, self.prefix):
            shutil.rmtree(folder, ignore_errors=True)
        programs.must("cmake", "--install", build, "--component", "sdk", "--prefix", staging)
        staging.rename(self.prefix)
        config = next(self.prefix.rglob("sm1.pc")).parent
        programs.environment["PKG_CONFIG_PATH"] = str(config)
        self.flags = {what: shlex.split(programs.must("pkg-config", f"--{what}", "sm1")) for what in ("cflags", "libs")}

    def compile(self, source, name, *options):
        """cc or c++ with what pkg-config says; the object through what CMake would take, too, to keep what has not changed."""
        program = self.programs.work / name
        compiler = "cc" if pathlib.Path(source).suffix == ".c" else "c++"
        standard = "-std=c99" if compiler == "cc" else "-std=c++17"
        launcher = shlex.split(os.environ.get(f"CMAKE_{'C' if compiler == 'cc' else 'CXX'}_COMPILER_LAUNCHER", ""))
        made = f"{program}.o"
        self.programs.must(*launcher, compiler, standard, "-O1", *STRICT, *options, *self.flags["cflags"], "-c", source, "-o", made)
        self.programs.must(compiler, made, "-o", program, *self.flags["libs"])
        return program

    def cmake(self, source):
        """The folder of executables of a CMake project that finds the installation."""
        build = self.programs.work / "cmake"
        self.programs.must("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                           "-DCMAKE_BUILD_TYPE=Release")
        self.programs.must("cmake", "--build", build)
        return build


def check_logits(programs, report, package, logits, vocabulary):
    """The logits of a C program are those of `sm1-run logits`, bit for bit, whole and in pieces."""
    tokens = random_tokens(3, vocabulary, 1, 45)
    expected = programs.logits(package, {"tokens": tokens})["logits"]
    for chunk in (45, 7, 1):
        done = subprocess.run([logits, package, str(chunk), *map(str, tokens[0])], capture_output=True)
        report.check(done.returncode == 0, f"logits in pieces of {chunk}: {done.stderr.decode()}")
        report.check(done.stdout == expected.tobytes() and np.any(expected != 0), f"logits in pieces of {chunk}: other bits than sm1-run")


def check_layer(programs, report, spec, layer):
    _, params = checkpoint_layer(programs)
    package = programs.compile(spec, "layer", f"--params={params}")
    said = programs.must(layer, package, 40)
    report.check("y [2, 40, 704]" in said and said.rstrip().endswith("the same bits"), f"layer: {said}")


def converse(programs, report, program, package, script, *options):
    done = subprocess.run([program, package, *options], input=script, capture_output=True, text=True, cwd=programs.work)
    report.check(done.returncode == 0, f"converse: {done.stderr}")
    return done.stdout.splitlines()


def check_converse(programs, report, program, package):
    """A fork goes on as what it was forked from, a kept variation as it was tried, and a saved conversation as the unbroken one."""
    unbroken = converse(programs, report, program, package, "go 8\ngo 12\n", "5")
    broken = converse(programs, report, program, package, "go 8\ntry 3 12\nsave s.state\n", "5")
    report.check(broken[0] == unbroken[0], "converse: the same seed, other tokens")
    report.check(len(set(line.split(": ")[1] for line in broken[1:])) == 3, f"converse: variations do not differ: {broken[1:]}")
    resumed = converse(programs, report, program, package, "load s.state\ngo 12\n", "99")
    report.check(resumed == unbroken[1:], f"converse: resumed {resumed}, unbroken {unbroken[1:]}")
    kept = converse(programs, report, program, package, "go 8\ntry 2 5\nkeep 1\ngo 7\n", "5")
    report.check(kept[2].split()[2:] + kept[3].split()[1:] == broken[2].split()[2:], f"converse: kept {kept}, tried {broken[2]}")
    wrong = subprocess.run([program, package, "5x"], input="go 1\n", capture_output=True, text=True)
    report.check(wrong.returncode == 2 and "'5x' is no whole number" in wrong.stderr, f"converse: {wrong.returncode}: {wrong.stderr}")
    refused = subprocess.run([program, package], input="load nowhere\nfly\n", capture_output=True, text=True)
    report.check(refused.returncode == 1 and "nowhere: no such file" in refused.stderr and "'fly' is none" in refused.stderr,
                 f"converse: {refused.stderr}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--build", required=True)
    arguments.add_argument("--source", required=True, type=pathlib.Path)
    arguments.add_argument("--music")
    arguments.add_argument("--small")
    arguments.add_argument("--layer-spec")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    installed = Installed(programs, a.build)
    examples = a.source / "tools" / "examples"
    found = installed.cmake(examples)
    logits = installed.compile(a.source / "tests" / "embedding" / "logits.c", "logits")
    layers = [found / "layer", installed.compile(examples / "layer.c", "layer")]
    converses = [found / "converse", installed.compile(examples / "converse.cpp", "converse")]
    report.check(all(program.exists() for program in [logits, *layers, *converses]), "a program is missing")
    check_pages(programs, report, installed, a.build, a.source / "runtime" / "docs", a.music, a.small)
    if a.music:
        check_logits(programs, report, a.small, logits, 61)
        for layer in layers:
            check_layer(programs, report, a.layer_spec, layer)
        for program in converses:
            check_converse(programs, report, program, a.music)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
