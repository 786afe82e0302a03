"""lit: the .mlir and .test files of dialect/, transforms/, lowering/ and tools/, run with sm1-opt, sm1c, sm1-run and FileCheck."""
import os

import lit.formats

config.name = "sm1"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.test_source_root = os.path.dirname(__file__)
config.excludes = ["conformance", "data", "reference", "report", "structure", "unit"]

config.environment["PATH"] = os.pathsep.join([config.sm1_bin, config.llvm_bin, os.environ["PATH"]])
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
# Checkpoint directories given to sm1-run are compiled into a cache; keep the user's own out of it.
config.environment["XDG_CACHE_HOME"] = os.path.join(config.test_exec_root, "cache")

config.substitutions.append(("%data", os.path.join(config.test_source_root, "data")))
config.substitutions.append(("%specs", os.path.join(config.sm1_source, "kernels", "specs")))
config.substitutions.append(("%python", config.sm1_python))

# REQUIRES: x86-64-v4 for what can only be executed with AVX-512.
with open("/proc/cpuinfo") as cpuinfo:
    flags = set(next((line for line in cpuinfo if line.startswith("flags")), "").split())
if {"avx2", "fma", "f16c"} <= flags:
    config.available_features.add("x86-64-v3")
if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
    config.available_features.add("x86-64-v4")
