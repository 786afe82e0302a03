#!/usr/bin/env python3
"""Writes an SM1 checkpoint directory with seeded weights of sane scale, the same on every machine.

  make_checkpoint.py OUT [--seed 1] [--vocab 442] [--d-model 704] [--layers 10] [--expand 2] [--d-conv 4] [--d-ff N]
                     [--dtype F32|BF16]

The defaults are the published 130M configuration; tests/data/golden/full-130m.safetensors holds tokens and float64-computed logits
for it (seed 1, F32). Each tensor comes from its own MT19937 stream, keyed by its name. --if-missing keeps a finished directory.
"""
import argparse
import json
import os
import pathlib
import sys
import zlib

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "reference"))
import tensors


def parse_arguments(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    sizes = {"seed": 1, "vocab": 442, "d-model": 704, "layers": 10, "expand": 2, "d-conv": 4, "d-ff": None}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", default="F32", choices=["F32", "BF16"])
    parser.add_argument("--if-missing", action="store_true")
    arguments = parser.parse_args(words)
    arguments.d_ff = arguments.d_ff or (int(arguments.d_model * 2.667) + 63) // 64 * 64
    return arguments


def layer_shapes(model, inner, mlp, taps):
    return {
        "norm1.weight": (model,),
        "ssm.in_proj.weight": (2 * inner, model),
        "ssm.conv1d.weight": (inner, 1, taps),
        "ssm.conv1d.bias": (inner,),
        "ssm.norm.weight": (inner,),
        "ssm.x_proj.weight": (3 * inner, inner),
        "ssm.dt_bias": (inner,),
        "ssm.A_log": (inner,),
        "ssm.D": (inner,),
        "ssm.out_proj.weight": (model, inner),
        "norm2.weight": (model,),
        "mlp.w1.weight": (mlp, model),
        "mlp.w3.weight": (mlp, model),
        "mlp.w2.weight": (model, mlp),
    }


def all_shapes(a):
    shapes = {"embed.weight": (a.vocab, a.d_model)}
    for layer in range(a.layers):
        one = layer_shapes(a.d_model, a.d_model * a.expand, a.d_ff, a.d_conv)
        shapes.update({f"layers.{layer}.{name}": shape for name, shape in one.items()})
    shapes["norm.weight"] = (a.d_model,)
    return shapes


def values(name, shape, seed):
    """float32; the order of the cases is part of the definition."""
    random = np.random.RandomState((zlib.crc32(name.encode()) ^ seed) & 0xFFFFFFFF)
    if name.endswith("A_log"):
        x = random.uniform(-3.5, 1.5, shape)
    elif name.endswith("dt_bias"):
        x = random.uniform(-5, 1, shape)
    else:
        x = random.standard_normal(shape)
        if name.endswith(".D"):
            x = 1 + 0.3 * x
        elif "norm" in name:
            x = 1 + 0.2 * x
        elif name.endswith("conv1d.weight"):
            x = 0.5 * x
        elif name.endswith("conv1d.bias"):
            x = 0.1 * x
        elif name == "embed.weight":
            x = 0.1 * x
        else:
            x = x * (1.2 / np.sqrt(shape[1]))
    return x.astype(np.float32)


def config(a):
    return {
        "model_type": "sm1",
        "vocab_size": a.vocab,
        "d_model": a.d_model,
        "n_layers": a.layers,
        "d_conv": a.d_conv,
        "expand": a.expand,
        "d_ff": a.d_ff,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[a.dtype],
    }


def main(words=None):
    a = parse_arguments(words)
    weights = a.out / "model.safetensors"
    if a.if_missing and weights.exists():
        return print(f"{a.out}: is there")
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "config.json").write_text(json.dumps(config(a), indent=2))
    shapes = all_shapes(a)
    header, size = tensors.layout({name: (a.dtype, shape) for name, shape in shapes.items()})
    partial = a.out / "model.safetensors.partial"
    with open(partial, "wb") as file:
        file.write(tensors.encode_header(header))
        for name, shape in shapes.items():
            x = values(name, shape, a.seed)
            file.write((tensors.round_bf16(x) if a.dtype == "BF16" else x).tobytes())
    os.replace(partial, weights)
    print(f"{a.out}: {sum(int(np.prod(s)) for s in shapes.values()):,} parameters, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
