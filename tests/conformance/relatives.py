#!/usr/bin/env python3
"""A relative of SM1 from its description alone: seeded random parameters, every way of running it, against float64.

  relatives.py --bin DIR --work DIR [--device NAME] --spec FILE.mlir|CHECKPOINT [--model NAME] [--vocab N]

float64 is computed twice, by an interpreter of the description and by the formulas of the model's paper (tests/reference/family.py, under
NAME; without it, the description's stem), and both must agree. Then models that are wrong in one thing must be refused by the comparison
that accepts the right one.
"""
import pathlib
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
import family
import reference
import spec_reference
import tensors

LENGTHS = np.array([83, 1, 40, 7, 64], np.int32)  # one is whole, one a single token, one fits no chunk, one is many
CLEARLY_WRONG = 1e-3

# What is exchanged in a description, once each. Every one is another model, wrong in the first digits.
EDITS = {
    "min-gru": [("the gate and the candidate swapped", "arith.subf %one, %z ", "arith.subf %one, %candidate "),
                ("an input without its gate", "arith.mulf %z, %candidate", "arith.mulf %one, %candidate")],
    "min-lstm": [("gates swapped", "%decay = arith.divf %f, %both", "%decay = arith.divf %i, %both"),
                 ("gates not normalised", "%share = arith.divf %i, %both", "%share = arith.divf %i, %one")],
    "rg-lru": [("gates swapped", "arith.mulf %rate_b, %a ", "arith.mulf %rate_b, %i "),
               ("an input without sqrt(1 - decay^2)", "arith.mulf %size, %iu", "arith.mulf %one, %iu"),
               ("a decay to another power", "dense<-8.0>", "dense<-7.0>")],
    "hgrn": [("what is kept and what comes in swapped", "arith.mulf %rest, %i_silu", "arith.mulf %f, %i_silu"),
             ("a gate without its lower bound", "arith.addf %bound_b, %f_part", "arith.addf %f_part, %f_part")],
    "mamba": [("B and C swapped", "%A, %B, %C init", "%A, %C, %B init"),
              ("a positive A", "%input, %A, %B", "%input, %A_exp, %B"),
              ("an input without dt", "arith.mulf %dt, %u", "arith.mulf %one, %u"),
              ("a skip left out", "arith.addf %ch, %du", "arith.addf %ch, %ch")],
}
WITHOUT_STATE = ("a scan without its state", " init %h0", "")


def printed(programs, source, name):
    """A description or checkpoint as spec_reference reads it; the text as written is NAME.spec.mlir."""
    spec, text = programs.work / f"{name}.spec.mlir", programs.work / f"{name}.printed.mlir"
    spec.write_text(programs.spec(source))
    text.write_text(programs.must(pathlib.Path(programs.sm1c).parent / "sm1-opt", spec))
    return spec_reference.Model(str(text))


def random_params(programs, model, name, seed):
    """A file of parameters for a model, of sane scale."""
    target = programs.work / f"{name}.params.safetensors"
    tensors.save(target, sensible(spec_reference.random_params(model, seed), np.random.RandomState(seed)))
    return target


def sensible(params, random):
    """Parameters that set the pace of a recurrence get values as training starts from, so that some channels remember for long."""
    draw = lambda value, low, high: random.uniform(low, high, value.shape).astype(np.float32)
    for name, value in params.items():
        if name.endswith("rec.lambda"):
            params[name] = draw(value, -8, 1)
        elif name.endswith("mixer.A_log"):
            params[name] = np.log(np.arange(1, value.shape[1] + 1, dtype=np.float32)) + draw(value, -0.2, 0.2)
        elif name.endswith("dt_proj.bias"):
            params[name] = draw(value, -5, 0)
    bounds = [name for name in params if name.endswith("lower_bound")]
    if bounds:
        shared = random.standard_normal((len(bounds), *params[bounds[0]].shape))
        params.update(zip(bounds, family.Hgrn.lower_bounds(shared).astype(np.float32)))
    return params


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


def check_formulas(report, name, model, params, given):
    """The description means what the paper says."""
    tokens, states = given["tokens"][:, :40], {key: value for key, value in given.items() if key.startswith("state_in.")}
    states = {port.name: states.get(port.name, np.zeros(spec_reference.shape_of(port.type, batch=len(tokens))[0], np.float32))
              for port in model.arguments if port.state}
    got = spec_reference.run(model, params, {"tokens": tokens, **states})
    formulas = family.MODELS[name](params).run(tokens, {key.split(".", 1)[1]: value for key, value in states.items()})
    worst = report.close(got, formulas, f"{name}, its description against its formulas", 1e-6, states=states_of(got))
    print(f"{name}: the description and the formulas differ by {worst:.1e}")


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


def cut_without_carry(programs, package, given, middle):
    """Two pieces of which the second starts from nothing."""
    part = lambda begin, end: np.ascontiguousarray(given["tokens"][:, begin:end])
    left = programs.logits(package, {**given, "tokens": part(0, middle)})
    right = programs.logits(package, {"tokens": part(middle, None)})
    return {**right, "logits": np.concatenate([left["logits"], right["logits"]], 1)}


def check_mutations(programs, report, name, package, params, given, expected):
    """What is wrong in one thing is refused. Edits of the description say nothing of a device and run on the CPU."""
    right = programs.logits(package, given)
    wrong = {"zeros": {key: np.zeros_like(value) for key, value in right.items()},
             "a dropped carry": cut_without_carry(programs, package, given, given["tokens"].shape[1] // 2)}
    source = (programs.work / "model.spec.mlir").read_text()
    for label, old, new in [*EDITS[name], WITHOUT_STATE] if not programs.device.is_gpu else []:
        if source.count(old) != 1:
            sys.exit(f"FAILED  '{old}' stands {source.count(old)} times in the description, not once")
        edited = programs.work / "edited.mlir"
        edited.write_text(source.replace(old, new))
        package = programs.compile(edited, "edited", f"--params={params}", f"--target={programs.device.host}")
        wrong[label] = programs.logits(package, given)
    for label, outputs in wrong.items():
        worst = max(reference.errors(outputs, expected, states=states_of(expected)).values())
        report.check(worst > CLEARLY_WRONG, f"{label}: passed as right, largest relative error {worst:.2e}")


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    arguments.add_argument("--model")
    arguments.add_argument("--vocab", type=int, default=50)
    a = arguments.parse_args()
    programs, report, name = programs_of(a), Report(), a.model or a.spec.stem
    if programs.device.skip_reason():
        report.skip(programs.device.skip_reason())
    model = printed(programs, a.spec, "model")
    file = random_params(programs, model, "model", 21)
    package, params = programs.compile(a.spec, "model", f"--params={file}", for_host=True), tensors.load(file)

    small = programs.device.is_emulated
    whole = {"tokens": random_tokens(22, a.vocab, 2, 20) if small else random_tokens(22, a.vocab, 3, 150)}
    check_formulas(report, name, model, params, whole)
    check_runs(programs, report, package, whole, spec_reference.run(model, params, whole), "from zero state")

    lengths = LENGTHS // 4 + 1 if small else LENGTHS
    tokens = random_tokens(23, a.vocab, len(lengths), int(lengths.max()))
    states = spec_reference.random_inputs(model, *tokens.shape, 24)
    given = {**states, "tokens": tokens, "lengths": lengths}
    check_runs(programs, report, package, given, ragged_reference(model, params, given), "ragged, from drawn states")

    few = {**{key: value[:2] for key, value in states.items()}, "tokens": tokens[:2, :12].copy()}
    check_formulas(report, name, model, params, few)
    check_mutations(programs, report, name, package, file, few, spec_reference.run(model, params, few))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
