#!/usr/bin/env python3
"""ptx.py ROOT NVCC [--write]: PTX in this repository is what nvcc makes of the CUDA C++ beside it; --write makes it so.

Users need no toolkit. The kernels that the runtime embeds are compiled for sm_75, the oldest chip that current toolkits know, or sm_80,
which reduces words of a warp, those of the bench for sm_80, which has tensor cores for bf16, or sm_89, for e4m3, a test of the emulator
for sm_90; without fused multiply-adds that the source does not ask for. They claim PTX 8.0, so that every driver since CUDA 12.0 reads them, the one with e4m3 8.4 (CUDA 12.4): ptxas checks that they use nothing newer. Skips without
nvcc. Releases of nvcc choose registers differently, so another release than the one named in the file's first line only has to compile
the source and assemble the file.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
SOURCES = {"kernels/ceilings.cu": ("compute_80", "8.0"), "kernels/ceilings_fp8.cu": ("compute_89", "8.4"),
           "kernels/sample.cu": ("compute_80", "8.0"), "kernels/states.cu": ("compute_75", "8.0"),
           "tests/emulator/persistent/ring.cu": ("compute_90", "8.0")}  # fmt: skip


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def release_of(nvcc):
    return re.search(r"release ([\d.]+)", output(nvcc, "--version"))[1]


def compiled(nvcc, source, arch, version):
    """PTX of one source: no comments, which name the machine's compiler, and no blank lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.ptx")
        output(nvcc, "-ptx", "-arch=" + arch, "-O3", "-fmad=false", "-std=c++17", "-o", path, source)
        text = re.sub(r"//.*", "", pathlib.Path(path).read_text())
    text = re.sub(r"\.version \d+\.\d+", f".version {version}", text)
    text = re.sub(r"_INTERNAL_[0-9a-f]{8}_", "_INTERNAL_00000000_", text)  # in names of its own, a hash of where the source lies
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return f"// From {source.name} by nvcc {release_of(nvcc)}, tests/structure/ptx.py --write\n" + "\n".join(lines) + "\n"


def assembles(nvcc, path):
    ptxas = shutil.which("ptxas") or str(pathlib.Path(nvcc).with_name("ptxas"))
    output(ptxas, "-arch=sm_90", "-o", os.devnull, path)


def main(root, nvcc, write):
    nvcc = shutil.which(nvcc)
    if not nvcc:
        print("not run: there is no nvcc")
        return SKIP
    problems = 0
    for name, (arch, version) in SOURCES.items():
        source = pathlib.Path(root, name)
        path, text = source.with_suffix(".ptx"), compiled(nvcc, source, arch, version)
        if write:
            path.write_text(text)
        assembles(nvcc, path)
        same_release = path.read_text().split("\n")[0] == text.split("\n")[0]
        if same_release and path.read_text() != text:
            print(f"{path}: is not what nvcc makes of {source.name}; run tests/structure/ptx.py {root} {nvcc} --write")
            problems += 1
    print(f"{problems} files differ" if problems else "the PTX is that of the sources")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], "--write" in sys.argv[3:]))
