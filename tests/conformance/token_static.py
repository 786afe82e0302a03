#!/usr/bin/env python3
"""What can be seen of the kernel for whole tokens without running it: ptxas on every chip and number of blocks that it is meant for.

  token_static.py --bin DIR --work DIR

The text that `sm1c --dump-stages` leaves is compiled by nvcc as the runtime compiles it with NVRTC: it fits the chip's registers, spills
next to nothing, and the ring holds what a phase of one block needs (the text asserts that). Skips without nvcc.
"""
import json
import pathlib
import re
import shutil
import sys

from kept import digest_of
from harness import DATA, HERE, Report, parser, Programs

KERNELS = HERE.parent.parent / "kernels"
# chip, blocks, bytes of shared memory, copies of the words: an H200, RTX 5060 Ti, 5080 and 5090
CHIPS = [("sm_90", 132, 231424, 4), ("sm_120", 36, 100352, 4), ("sm_120", 84, 100352, 4), ("sm_120", 170, 100352, 4)]
SPILLS = 64  # bytes; they lie in the first cache


def compiled(programs, nvcc, text, chip, blocks, shared, copies, sequences):
    """(exit code, what it said), as it was said of the same text before."""
    options = [f"-DSM1_TOKEN_{name}={value}" for name, value in
               (("BLOCKS", blocks), ("SEQUENCES", sequences), ("SHARED", shared), ("REPLICAS", copies))]
    words = ["-cubin", f"-arch={chip}", "-std=c++17", "-fmad=false", f"-I{KERNELS}", *options, "-Xptxas", "-v", "-o",
             programs.work / "token.cubin", text]

    def compile():
        done = programs.run(nvcc, *words)
        return json.dumps([done.returncode, done.stderr])

    version = programs.must(nvcc, "--version")
    headers = [f"{file.name} {digest_of(file)}" for file in sorted(KERNELS.glob("*.*h"))]
    return json.loads(programs.kept.text(compile, version, *words, *headers, text.read_text()))


def main():
    arguments = parser(__doc__).parse_args()
    programs, report = Programs(arguments.bin, arguments.work), Report()
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if not nvcc:
        report.skip("there is no nvcc")
        return report.finish()
    stages = programs.work / "stages"
    programs.must(programs.sm1c, DATA / "checkpoints" / "chorales", "--target=sm_90", "-o", programs.work / "model.sm1pkg", f"--dump-stages={stages}")
    text = stages / "35-sm_90-token.cu"
    quotients = re.findall(r"sm1token::(\w*quotient)\(", text.read_text(), re.IGNORECASE)
    report.check(quotients == ["gateQuotient"] * 3, f"quotients by 1 + exp(x), which need no look at their range: {quotients}")
    for chip, blocks, shared, copies in CHIPS:
        for sequences in (1, 4, 8):
            name = f"{chip}, {blocks} blocks, {sequences} sequences"
            code, said = compiled(programs, nvcc, text, chip, blocks, shared, copies, sequences)
            if not report.check(code == 0, f"{name}: {said[-500:]}"):
                continue
            spills = [int(bytes) for bytes in re.findall(r"(\d+) bytes spill stores", said)]
            report.check(spills and max(spills) <= SPILLS, f"{name}: spills {spills} bytes, at most {SPILLS}")
    broken = pathlib.Path(programs.work / "broken.cu")
    broken.write_text(text.read_text().replace("k.publish<1, ", "k.publish<99, "))
    report.check(compiled(programs, nvcc, broken, *CHIPS[0], 1)[0] != 0, "a phase that is not there compiles")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
