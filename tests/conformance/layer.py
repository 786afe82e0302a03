#!/usr/bin/env python3
"""A single layer, tensors and state in and out: kernels/specs/sm1-layer.mlir through `sm1-run call`, against float64.

  layer.py --bin DIR --work DIR [--device NAME] --spec sm1-layer.mlir

On the emulator the layer is narrow: 24 channels, where the published one has 704. A GPU has the CPU's bits.
"""
import pathlib
import re
import sys

import numpy as np

from harness import STATES, Report, device_parser, programs_of, state_of
import reference
import tensors

NAMES = {"streams": ("y",), "states": ("state_out.h", "state_out.conv")}
# Sizes in the description: the model's, the inner, twice and three times that, the MLP's.
NARROW = {704: 24, 1408: 48, 2816: 96, 4224: 144, 1920: 40}


def checkpoint_layer(programs, **sizes):
    """A checkpoint of one layer, and its parameters as a file without the prefix `layers.0.`."""
    checkpoint = programs.checkpoint("one-layer", vocab=8, layers=1, **sizes)
    loaded = tensors.load(checkpoint / "model.safetensors")
    params = programs.work / "layer.safetensors"
    tensors.save(params, {name[9:]: value for name, value in loaded.items() if name.startswith("layers.0.")})
    return checkpoint, params


def narrow(spec):
    return re.sub(r"(?<=[<x])\d+(?=x)", lambda size: str(NARROW.get(int(size[0]), int(size[0]))), spec)


def run_reference(model, x, state):
    h, taps = (np.array(part, np.float64) for part in state)
    rows = []
    for t in range(x.shape[1]):
        row = x[:, t].astype(np.float64)
        for part, norm in (("mixer", "norm1"), ("mlp", "norm2")):
            r = reference.rms_norm(row, model.weights[f"layers.0.{norm}.weight"], model.eps)
            row = row + (model.mixer(0, r, h, taps) if part == "mixer" else model.mlp(0, r))
        rows.append(row)
    as_float = lambda value: value.astype(np.float32)
    return {"y": as_float(np.stack(rows, 1)), "state_out.h": as_float(h[:, 0]), "state_out.conv": as_float(taps[:, 0])}


def main():
    arguments = device_parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = programs_of(a), Report()
    width, length, sizes, spec = 704, 37, {}, a.spec
    if programs.device.is_emulated:
        width, length, sizes, spec = 24, 20, {"d_model": 24, "d_ff": 40}, programs.work / "narrow.mlir"
        spec.write_text(narrow(a.spec.read_text()))
    checkpoint, params = checkpoint_layer(programs, **sizes)
    package = programs.compile(spec, "layer", f"--params={params}", for_host=True, best=True)
    model = reference.Sm1(str(checkpoint))
    random = np.random.RandomState(5)
    x = random.standard_normal((2, length, width)).astype(np.float32)
    state = [random.standard_normal(part.shape).astype(np.float32) for part in model.zero_state(2)]
    expected = run_reference(model, x, state)

    given = {"x": x, "state_in.h": state[0][:, 0], "state_in.conv": state[1][:, 0]}
    whole = programs.call(package, "prefill", given)
    report.close(whole, expected, "prefill", **NAMES)
    report.same_bits(whole, programs.on_cpu().call(package, "prefill", given), "prefill against the CPU")

    rows = []
    for t in range(x.shape[1]):
        got = programs.call(package, "step", {**given, "x": np.ascontiguousarray(x[:, t : t + 1])})
        given.update({name: value for name, value in state_of(got).items() if name[9:] in STATES})
        rows.append(got["y"])
    report.same_bits({**got, "y": np.concatenate(rows, 1)}, whole, "step against prefill")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
