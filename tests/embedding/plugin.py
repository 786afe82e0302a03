#!/usr/bin/env python3
"""A plugin outside of the project: built against the installed tree, run by the installed sm1c and sm1-opt, and refused by another version.

  plugin.py --bin DIR --work DIR --build DIR --source DIR

The tree is installed into one folder and moved to another before it is used.
"""
import pathlib
import re
import shutil
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
from harness import Programs, Report, parser
import tensors

PIPELINE = "--pipeline=fused=default,recompute-elementwise"

CRASHING = """#include "sm1c/Plugin.h"
#include "mlir/Pass/Pass.h"
struct Crash : mlir::PassWrapper<Crash, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Crash)
  llvm::StringRef getArgument() const override { return "crash-here"; }
  void runOnOperation() override { __builtin_trap(); }
};
static void registerPasses() { mlir::PassRegistration<Crash>(); }
SM1_PASS_PLUGIN("crash", registerPasses)
"""


def install(programs, build):
    """The folder of a moved installation of the component `compiler`."""
    staging, prefix = programs.work / "staging", programs.work / "prefix"
    for folder in (staging, prefix):
        shutil.rmtree(folder, ignore_errors=True)
    done = programs.run("cmake", "--install", build, "--component", "compiler", "--prefix", staging)
    if done.returncode:
        sys.exit(f"{done.stderr}\nThe component is not built: cmake --build {build} --target libsm1c sm1c sm1-opt sm1-lsp-server")
    staging.rename(prefix)
    return prefix


def build_plugin(programs, prefix, source, name):
    build = programs.work / name
    programs.must("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    programs.must("cmake", "--build", build)
    return build


def refused(programs, report, what, says, *command):
    done = programs.run(*command)
    report.check(done.returncode == 1, f"{what}: exit code {done.returncode}")
    report.check(re.search(says, done.stderr) and done.stderr.count("\n") == 1, f"{what}: {done.stderr}")


def check_works(programs, report, sm1c, sm1_opt, plugin, model):
    """Fewer kernels, less traffic, the same bits."""
    load = f"--load-pass-plugin={plugin}"
    packages = {name: programs.work / f"{name}.sm1pkg" for name in ("own", "plugin")}
    weights = programs.work / "weights.safetensors"
    random = np.random.RandomState(1)
    tensors.save(weights, {f"{name}.weight": random.randn(32, 48).astype(np.float32) for name in "yz"})
    options = f"--target={programs.device.host}", f"--params={weights}"
    programs.must(sm1c, model, "-o", packages["own"], *options)
    programs.must(sm1c, model, "-o", packages["plugin"], *options, load, PIPELINE, "--remarks")
    report.check("RecomputeElementwise: addf computes" in programs.said, f"no remark of the plugin: {programs.said}")
    fused = {"own": programs.must(sm1c, model, "--emit=fused"), "plugin": programs.must(sm1c, model, "--emit=fused", load, PIPELINE)}
    counts = {name: text.count("sm1.kernel") for name, text in fused.items()}
    report.check(counts == {"own": 5, "plugin": 4}, f"kernels: {counts}")
    given = {"x": random.randn(2, 9, 48).astype(np.float32)}
    outputs = {name: programs.call(package, "prefill", given) for name, package in packages.items()}
    report.same_bits(outputs["plugin"], outputs["own"], "with the plugin")
    report.check(np.any(outputs["own"]["y"] != 0), "nothing was computed")
    text = programs.must(sm1_opt, model, load, "--pass-pipeline=builtin.module(sm1-form-kernels,sm1-fuse-elementwise,recompute-elementwise)")
    report.check(text.count("sm1.kernel") == 4, f"sm1-opt: {text}")


def check_crash(programs, report, prefix, sm1c, model):
    """Nothing can keep a plugin from crashing; it is said which pass it was."""
    source = programs.work / "crash"
    source.mkdir(exist_ok=True)
    (source / "crash.cpp").write_text(CRASHING)
    (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.22)\nproject(crash LANGUAGES C CXX)\nfind_package(sm1c REQUIRED)\n"
                                           "sm1_add_plugin(crash crash.cpp)\n")
    plugin = build_plugin(programs, prefix, source, "build-crash") / "crash.so"
    done = programs.run(sm1c, model, "--emit=fused", f"--load-pass-plugin={plugin}", "--pipeline=fused=default,crash-here")
    report.check(done.returncode < 0, f"a crash: exit code {done.returncode}")
    report.check(done.stderr.startswith("sm1c: error: the pass 'crash-here' crashed; "), f"a crash: {done.stderr}")


def check_refused(programs, report, prefix, sm1c, sm1_opt, plugin, model):
    """A plugin for another version, and what is no plugin, before any of their code runs."""
    text = plugin.read_bytes()
    for what, says, data in (
        ("a plugin for another version", r"built for sm1 9\.1\.0 .*, this is sm1 0\.1\.0 \(interface \w+, LLVM [\d.]+\); build it again",
         re.sub(rb"sm1 0\.1\.0 ", b"sm1 9.1.0 ", text)),
        ("a library that is no plugin", "no plugin of sm1: it lacks SM1_PASS_PLUGIN", next((prefix / "lib").rglob("libsm1c.so")).read_bytes()),
        ("a text file", "not a shared library", b"pass my_pass\n"),
    ):
        bad = programs.work / "bad.so"
        bad.write_bytes(data)
        for program in (sm1c, sm1_opt):
            refused(programs, report, what, says, program, model, "--emit=fused", f"--load-pass-plugin={bad}")
    refused(programs, report, "no file", "no such file", sm1c, model, "--emit=fused", "--load-pass-plugin=nowhere.so")
    refused(programs, report, "an unknown pass", "'recompute-elementwise' does not refer to a registered pass.*--load-pass-plugin adds",
            sm1c, model, "--emit=fused", PIPELINE)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--build", required=True)
    arguments.add_argument("--source", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    prefix = install(programs, a.build)
    sm1c, sm1_opt = prefix / "bin" / "sm1c", prefix / "bin" / "sm1-opt"
    source = a.source / "tools" / "examples" / "plugin"
    plugin = build_plugin(programs, prefix, source, "build") / "recompute.so"
    check_works(programs, report, sm1c, sm1_opt, plugin, source / "two-readers.mlir")
    check_refused(programs, report, prefix, sm1c, sm1_opt, plugin, source / "two-readers.mlir")
    check_crash(programs, report, prefix, sm1c, source / "two-readers.mlir")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
