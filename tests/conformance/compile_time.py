#!/usr/bin/env python3
"""How long sm1c takes: as long for a hundred layers as for ten, and to PTX of the 130M configuration within a generous bound.

  compile_time.py --bin DIR --work DIR [--rounds 3]

Times are of the processor (user and system, all threads), of which a neighbour takes less than of the clock; 10 and 100 layers take turns,
and the least of each counts. Another round is for a first one that something disturbed: what grew with layers would show in each.
"""
import json
import os
import subprocess
import sys
import time

from harness import Programs, Report, parser

SIZES = {"model_type": "sm1", "vocab_size": 442, "d_model": 704, "d_conv": 4, "expand": 2, "d_ff": 1920, "tie_word_embeddings": True}
SPREAD = 0.25  # the rest of a second on a busy machine; what grew with layers would be several times as much
PROCESSOR_SECONDS = 15  # 3.5 to 4.5 on the machine that the README speaks of, and 6.1 to 8 when kernels were compiled one entry after the other


def config(folder, layers, dtype):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**SIZES, "n_layers": layers, "torch_dtype": dtype}))
    return folder


def seconds(*command):
    """(of the processor, of the clock)"""
    begin, start = os.times(), time.monotonic()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    end = os.times()
    if done.returncode:
        sys.exit(f"FAILED  {' '.join(map(str, command))}\n{done.stderr}")
    return end.children_user + end.children_system - begin.children_user - begin.children_system, time.monotonic() - start


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    ten, hundred = (config(programs.work / f"{layers}-layers", layers, "float32") for layers in (10, 100))
    for what in (["--emit=ptx", "--target=sm_90"], ["--emit=asm", "--target=x86-64-v3"]):
        few = many = float("inf")
        for _ in range(a.rounds):
            few, many = (min(least, seconds(programs.sm1c, model, *what, "-o", programs.work / "text")[0])
                         for least, model in ((few, ten), (many, hundred)))
            if many / few <= 1 + SPREAD:
                break
        print(f"{' '.join(what)}: 100 layers take {many / few:.3f} times as long as 10, {many:.2f} and {few:.2f} s")
        report.check(many / few <= 1 + SPREAD, f"{what[0]}: 100 layers take {many / few:.3f} times as long as 10")
    full = config(programs.work / "130m", 10, "bfloat16")
    processor = float("inf")
    for _ in range(a.rounds):
        processor, clock = seconds(programs.sm1c, full, "--emit=ptx", "--target=sm_120", "-o", programs.work / "text")
        if processor < PROCESSOR_SECONDS:
            break
    print(f"130M configuration in bf16 to PTX: {processor:.2f} s of the processor, {clock:.2f} s by the clock")
    report.check(processor < PROCESSOR_SECONDS, f"PTX takes {processor:.1f} s of the processor, {PROCESSOR_SECONDS} are too many")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
