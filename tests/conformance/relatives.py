#!/usr/bin/env python3
"""A relative of SM1 from its description alone: seeded random parameters, every way of running it, against float64.

  relatives.py --bin DIR --work DIR [--device NAME] --spec min-gru.mlir [--vocab 50]
"""
import pathlib
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
import spec_reference
import tensors

LENGTHS = np.array([83, 1, 40, 7, 64], np.int32)  # one is whole, one a single token, one fits no chunk, one is many


def printed(programs, source, name):
    """What a description or checkpoint directory means, read from the text that sm1-opt makes of it."""
    spec, text = programs.work / f"{name}.spec.mlir", programs.work / f"{name}.printed.mlir"
    spec.write_text(programs.spec(source))
    text.write_text(programs.must(pathlib.Path(programs.sm1c).parent / "sm1-opt", spec))
    return spec_reference.Model(str(text))


def random_params(programs, model, name, seed):
    """A file of parameters for a model, of sane scale."""
    target = programs.work / f"{name}.params.safetensors"
    tensors.save(target, spec_reference.random_params(model, seed))
    return target


def ragged_reference(model, params, given):
    """Every sequence alone, up to its length; logits are zero past it, as sm1-run writes them."""
    outputs = []
    for index, length in enumerate(given["lengths"]):
        one = {name: value[index : index + 1] for name, value in given.items() if name != "lengths"}
        one["tokens"] = one["tokens"][:, :length]
        got = spec_reference.run(model, params, one)
        missing = given["tokens"].shape[1] - length
        got["logits"] = np.pad(got["logits"], ((0, 0), (0, missing), (0, 0)))
        outputs.append(got)
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}


def states_of(expected):
    return tuple(name for name in expected if name.startswith("state_out."))


def check_runs(programs, report, package, given, expected, name):
    """Every mode and target within the tolerance, and the same bits; `call` too, which knows the description's own names."""
    got = programs.on_cpu().logits(package, given, "--threads=1")
    first = {output: got[output] for output in expected}
    for options in programs.device.variants(few=True):
        for mode in ("prefill", "step", "chunked:7"):
            text = f"{name}, {mode} {' '.join(options)}"
            got = programs.logits(package, given, f"--mode={mode}", *options)
            worst = report.close(got, expected, text, states=states_of(expected))
            report.same_bits(got, first, f"{text} against one thread of the CPU")
    print(f"{name}: largest relative error {worst:.2e}")
    report.same_bits(programs.call(package, "prefill", given), first, f"{name}, call against logits")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    arguments.add_argument("--vocab", type=int, default=50)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    if programs.device.skip_reason():
        report.skip(programs.device.skip_reason())
    model = printed(programs, a.spec, "model")
    file = random_params(programs, model, "model", 21)
    package, params = programs.compile(a.spec, "model", f"--params={file}", for_host=True), tensors.load(file)

    small = programs.device.is_emulated
    whole = {"tokens": random_tokens(22, a.vocab, 2, 20) if small else random_tokens(22, a.vocab, 3, 150)}
    check_runs(programs, report, package, whole, spec_reference.run(model, params, whole), "from zero state")

    lengths = LENGTHS // 4 + 1 if small else LENGTHS
    tokens = random_tokens(23, a.vocab, len(lengths), int(lengths.max()))
    states = spec_reference.random_inputs(model, *tokens.shape, 24)
    given = {**states, "tokens": tokens, "lengths": lengths}
    check_runs(programs, report, package, given, ragged_reference(model, params, given), "ragged, from drawn states")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
