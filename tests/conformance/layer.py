#!/usr/bin/env python3
"""A single layer, tensors and state in and out: kernels/specs/sm1-layer.mlir through `sm1-run call`, against float64.

  layer.py --bin DIR --work DIR --spec sm1-layer.mlir
"""
import pathlib
import subprocess
import sys

import numpy as np

from harness import HERE, STATES, Programs, Report, parser, state_of
import reference
import tensors

NAMES = {"streams": ("y",), "states": ("state_out.h", "state_out.conv")}


def published_layer(programs):
    """A checkpoint of one layer at the published width, and its parameters as a file without the prefix `layers.0.`."""
    checkpoint = programs.work / "one-layer"
    maker = HERE.parent / "tools" / "make_checkpoint.py"
    subprocess.run([sys.executable, str(maker), str(checkpoint), "--layers=1", "--vocab=8"], check=True, stdout=subprocess.DEVNULL)
    loaded = tensors.load(checkpoint / "model.safetensors")
    params = programs.work / "layer.safetensors"
    tensors.save(params, {name[9:]: value for name, value in loaded.items() if name.startswith("layers.0.")})
    return checkpoint, params


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
    arguments = parser(__doc__)
    arguments.add_argument("--spec", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    checkpoint, params = published_layer(programs)
    package = programs.compile(a.spec, "layer", f"--params={params}")
    model = reference.Sm1(str(checkpoint))
    random = np.random.RandomState(5)
    x = random.standard_normal((2, 37, 704)).astype(np.float32)
    state = [random.standard_normal(part.shape).astype(np.float32) for part in model.zero_state(2)]
    expected = run_reference(model, x, state)

    given = {"x": x, "state_in.h": state[0][:, 0], "state_in.conv": state[1][:, 0]}
    whole = programs.call(package, "prefill", given)
    report.close(whole, expected, "prefill", **NAMES)

    rows = []
    for t in range(x.shape[1]):
        got = programs.call(package, "step", {**given, "x": np.ascontiguousarray(x[:, t : t + 1])})
        given.update({name: value for name, value in state_of(got).items() if name[9:] in STATES})
        rows.append(got["y"])
    report.same_bits({**got, "y": np.concatenate(rows, 1)}, whole, "step against prefill")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
