#!/usr/bin/env python3
"""No fusion pass changes a bit: each switched off alone, all of them, and drawn sets, in prefill and step.

  fusion.py --bin DIR --work DIR --model FILE.mlir|DIR --vocab V [--idle PASS,PASS] [--turn N] [--everywhere PASS,PASS]

Everything and nothing fused is for every target, the others are for one each in turn, of which --turn=1 takes the next: two models have
each pass switched off on two targets. --everywhere names those that only this model has work for. The fully fused package is within
1e-5 of float64; every other one has its bits. That the switches do something shows in the code: every pass changes it but those named
by --idle, which find nothing to fuse in this model: without them the same is scheduled, which all later stages are made of.
"""
import concurrent.futures
import itertools
import pathlib
import re
import sys
from collections import namedtuple

import numpy as np

from devices import machine_isas
from harness import TOLERANCE, Programs, Report, parser, random_tokens
from relatives import printed, ragged_reference, random_params, states_of
from spec_reference import round_to
import tensors

LENGTHS = np.array([35, 1, 18], np.int32)
BF16 = ("--weights=bf16", "--compute=bf16")  # where roundings stand between the operations that fuse
BF16_TOLERANCE = 1e-1                        # random weights amplify what rounding the operands does

Build = namedtuple("Build", "without targets options", defaults=((),))


def fusion_passes(programs):
    """Flags that --no-fuse takes, as the help lists them."""
    return re.findall(r"sm1-fuse-[\w-]+", programs.must(programs.sm1c, "--help"))


def choices(passes, turn, everywhere, idle):
    """{name: Build} of what is compared."""
    random, isas = np.random.RandomState(31), machine_isas()
    builds = {"no": Build([], isas), "all": Build(["all"], isas)}
    for index, name in enumerate(passes):
        if name in idle:
            continue
        builds[name] = Build([name], isas if name in everywhere else [isas[(index + turn) % len(isas)]])
    for index, size in enumerate((2, len(passes) // 2, len(passes) - 2)):
        drawn = sorted(random.choice(passes, size, replace=False))
        builds[" and ".join(drawn)] = Build(drawn, isas[index % len(isas) :][:1])
    narrow = {"no": Build([], isas[-1:], BF16), "all": Build(["all"], isas[-1:], BF16)}
    return builds, narrow


def compile_all(programs, source, params, builds):
    """{name: package}, two at a time."""

    def compile_one(numbered):
        index, build = numbered
        switch = [f"--no-fuse={','.join(build.without)}"] if build.without else []
        name = f"{'narrow' if build.options else 'wide'}-{index}"
        return programs.compile(source, name, f"--params={params}", f"--target={','.join(build.targets)}", *switch, *build.options)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(builds, pool.map(compile_one, enumerate(builds.values()))))


def code_of(programs, package):
    """What `inspect` says of the code: (kernels of each target, {target: hash})."""
    text = programs.must(programs.sm1_run, "inspect", package)
    return [int(count) for count in re.findall(r" (\d+) kernels", text)], dict(re.findall(r"kernel/(\S+) (\w+)", text))


def check_bits(programs, report, builds, packages, given, expected, tolerance):
    first = None
    for name, build in builds.items():
        for isa, mode in itertools.product(build.targets, ("prefill", "step")):
            got = programs.logits(packages[name], given, f"--mode={mode}", f"--isa={isa}")
            text = f"without {name} passes {' '.join(build.options)}, {mode}, {isa}"
            if first is None:
                first = {output: got[output] for output in expected}
                worst = report.close(got, expected, text, tolerance, states=states_of(expected))
                print(f"largest relative error {worst:.2e}")
            report.same_bits(got, first, f"{text}, against everything fused")


def check_idle(programs, report, source, idle):
    for target in machine_isas():
        scheduled = lambda *switch: programs.must(programs.sm1c, source, "--emit=scheduled", f"--target={target}", *switch)
        with_all = scheduled()
        for name in idle:
            report.check(scheduled(f"--no-fuse={name}") == with_all, f"--no-fuse={name}, {target}: something else is scheduled")


def check_switches(programs, report, packages, builds):
    kernels, hashes = code_of(programs, packages["no"])
    unfused, _ = code_of(programs, packages["all"])
    print(f"{kernels} kernels, {unfused} without fusion")
    more = len(kernels) == len(unfused) > 0 and all(many >= 2 * few for few, many in zip(kernels, unfused))
    report.check(more, f"--no-fuse=all: {unfused} kernels for each target, {kernels} with everything fused, expected twice as many")
    for name in builds.keys() - {"no"}:
        own = code_of(programs, packages[name])[1]
        report.check(own and all(code != hashes[target] for target, code in own.items()), f"--no-fuse={name}: code is the same")


def rounded(params):
    return {name: round_to("bf16", value) if value.ndim == 2 else value for name, value in params.items()}


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--model", required=True, type=pathlib.Path)
    arguments.add_argument("--vocab", required=True, type=int)
    arguments.add_argument("--idle", default="")
    arguments.add_argument("--turn", type=int, default=0)
    arguments.add_argument("--everywhere", default="")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    if len(machine_isas()) < 2:
        report.skip("kernels for x86-64-v4: this machine has no AVX-512")
    passes, model = fusion_passes(programs), printed(programs, a.model, "model")
    file = a.model / "model.safetensors" if a.model.is_dir() else random_params(programs, model, "model", 32)
    given = {"tokens": random_tokens(33, a.vocab, len(LENGTHS), int(LENGTHS.max())), "lengths": LENGTHS}

    idle = a.idle.split(",")
    wide, narrow = choices(passes, a.turn, a.everywhere.split(","), idle)
    packages, params = compile_all(programs, a.model, file, wide), tensors.load(file)
    check_idle(programs, report, a.model, idle)
    check_switches(programs, report, packages, wide)
    check_bits(programs, report, wide, packages, given, ragged_reference(model, params, given), TOLERANCE)
    packages = compile_all(programs, a.model, file, narrow)
    check_bits(programs, report, narrow, packages, given, ragged_reference(model, rounded(params), given), BF16_TOLERANCE)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
