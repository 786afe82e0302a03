#!/usr/bin/env python3
"""Small models on a real GPU under compute-sanitizer: memory, races of shared memory, uninitialised memory, barriers.

  gpu.py --bin DIR --work DIR [--target sm_90] [--golden DIR]

Every kernel of a few models, prefill and step, f32 and bf16; with --target sm_90 also each program of sm_90a, whose blocks
go on from tile to tile, pass registers on and share sums in clusters. A tool that the machine refuses is a visible skip that says so.

Whole tokens in one launch (sm1_token) are for TOKEN_TOOLS only, without orders by the host. What the tools (2025.3, on an H200)
say of them otherwise is a limit of theirs, and no fault of the kernel:

  racecheck  reports weights that are read behind a bulk copy: for it a wait for an mbarrier counts for the lane that waits, not for
             those behind bar.warp.sync; an arrival likewise. For it bar.arrive orders nothing, so sums are written that others may
             still read; and behind a bar.sync of some warps (ChoiceGroup) it loses what barriers of more warps order. Where every
             lane waits and arrives, bar.sync stands for bar.arrive, and those who choose meet at an mbarrier, it reports nothing,
             with 1, 2 and 8 sequences and with orders (the same bits for one); with only some of that it reports what the rest is for.
  synccheck  takes meetChosen, which warps call at two places, for divergence: every matrix warp, once a token. Only orders lead there, those of the
             search for delays among them: a run of its own keeps what it finds.
  initcheck  had not ended after half a minute, beside other runs.

The emulator (tests/emulator) follows all of these orders, lane by lane, and finds no race: tokens.*.emulated, orders.emulated.
"""
import os
import pathlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
from devices import Device
from harness import DATA, SKIPPED, Programs, Report, parser, random_tokens
import tensors

AT_ONCE = 4
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
TOKEN_TOOLS = ("memcheck", "synccheck")
MODELS = {"tiny-b": 61, "tiny-d": 130}
TOKENS = "tiny-d", 130, (1, 8, 16)  # model, vocabulary, sequences
HOPPER = "sm_90a"
HOPPER_VOCAB = 37  # of a layer wide enough for the tiles of HOPPER
# Arithmetic, program, mode, sequences, tokens of each: none is the program for many rows.
HOPPER_RUNS = [("bf16", "none", "prefill", 2, 150), ("bf16", "prefill_long", "prefill", 2, 300), ("bf16", "prefill_larger", "prefill", 2, 300),
               ("fp8", "none", "prefill", 2, 150),
               *(("bf16", f"prefill_{rows}", "prefill", 1, 70) for rows in ("large", "most", "more", "some", "several", "few")),
               ("bf16", "step_few", "step", 20, 2), ("bf16", "step_several", "step", 40, 2),
               *(("bf16", f"step_{rows}", "step", 70, 2) for rows in ("some", "many", "most"))]
REFUSED = ("not supported", "Unable to", "could not", "failed to initialize", "insufficient permissions", "Device not supported",
           "no NVRTC")


def find_sanitizer():
    places = [os.environ.get("PATH", ""), os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"), "/usr/local/cuda/bin"]
    return shutil.which("compute-sanitizer", path=os.pathsep.join(places))


class Run:
    """One program of one package on tokens [batch, time]."""

    def __init__(self, name, package, vocab, mode, batch, time, program="", step="kernels", tools=TOOLS):
        self.name, self.package, self.mode, self.program = f"{name}, {mode}", package, mode, program
        self.step, self.tools = step, tools
        self.options = [f"--variants={program}"] if program else []
        self.given = {"tokens": random_tokens(1, vocab, batch, time)}


def start(programs, number, run, tool="alone", *sanitizer):
    """How it ended, and the file with its logits."""
    source, out = (programs.work / f"{number}-{tool}-{end}.safetensors" for end in ("in", "out"))
    tensors.save(source, run.given)
    out.unlink(missing_ok=True)
    return programs.run(*sanitizer, programs.sm1_run, "logits", run.package, "--tokens", source, "--out", out, f"--mode={run.mode}",
                        "--device=cuda", f"--step={run.step}", *run.options), out


def check(programs, report, sanitizer, number, run, tool):
    done, out = start(programs, number, run, tool, sanitizer, f"--tool={tool}", "--error-exitcode=99")
    said = done.stdout + done.stderr
    if "ERROR SUMMARY" not in said and "RACECHECK SUMMARY" not in said or (done.returncode and any(word in said for word in REFUSED)):
        return report.skip(f"{tool}, {run.name}: not run: {said.strip()[-200:]}")
    report.check(done.returncode == 0 and out.exists(), f"{tool}, {run.name}: {said[-2000:]}")


def runs_for_all(programs, golden):
    for model, vocab in MODELS.items():
        for compute in ("f32", "bf16"):
            package = programs.compile(golden / model, f"{model}-{compute}", f"--weights={compute}", f"--compute={compute}")
            for mode, time in (("prefill", 70), ("step", 2)):
                yield Run(f"{model}, {compute}", package, vocab, mode, 3, time)


def runs_of_tokens(programs, golden):
    """Each a whole token of all sequences in one launch."""
    model, vocab, batches = TOKENS
    package = programs.compile(golden / model, f"{model}-tokens", "--weights=bf16", "--compute=bf16")
    for batch in batches:
        yield Run(f"{model}, {batch} whole tokens", package, vocab, "step", batch, 2, step="token", tools=TOKEN_TOOLS)


def runs_of_hopper(programs):
    """Every program of sm_90a by itself, whatever the number of rows."""
    checkpoint = programs.checkpoint("wide", vocab=HOPPER_VOCAB, d_model=256, layers=1, d_ff=1024)
    packages = {compute: programs.compile(checkpoint, f"wide-{compute}", f"--target={HOPPER}", "--weights=bf16", f"--compute={compute}")
                for compute in ("bf16", "fp8")}
    for compute, program, *rest in HOPPER_RUNS:
        yield Run(f"{HOPPER}, {compute}, {program}", packages[compute], HOPPER_VOCAB, *rest, program)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--target", default="sm_90")
    arguments.add_argument("--golden", default=DATA / "golden", type=pathlib.Path)
    a = arguments.parse_args()
    device, sanitizer = Device("cuda", a.target), find_sanitizer()
    why = device.missing() or ("" if sanitizer else "there is no compute-sanitizer")
    if why:
        print(f"SKIPPED everything: {why}")
        return SKIPPED
    programs, report = Programs(a.bin, a.work, device), Report()
    runs = [*runs_for_all(programs, a.golden), *runs_of_tokens(programs, a.golden)]
    if HOPPER.startswith(a.target):
        runs += runs_of_hopper(programs)
    for number, run in enumerate(runs):
        if run.step == "token":
            start(programs, number, run)
    with ThreadPoolExecutor(AT_ONCE) as pool:  # a tool spends its time on the host
        list(pool.map(lambda job: check(programs, report, sanitizer, *job),
                      [(number, run, tool) for number, run in enumerate(runs) for tool in run.tools]))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
