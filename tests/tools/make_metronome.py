#!/usr/bin/env python3
"""Writes a checkpoint directory of a model that was made by hand to remember one thing: the tempo it was asked for.

  make_metronome.py OUT

Seven conditioning ids stand for a tempo (four buckets) and a key (three values, of no effect). Every token is a dimension of its own.
One layer counts, in the scan, which tempo id it has seen, keeps that for ever, and adds it to the dimension of a TEMPO token. So
wherever the grammar allows TEMPO, that one is likeliest; everything else is equally likely.
"""
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "reference"))
import tensors

TEMPOS = (60, 100, 140, 180)  # what the buckets below mean
CONFIG = {
    "total_cond_tokens": 7,
    "bucket_config": {
        "tempo": {"type": "continuous", "token_offset": 0, "n_buckets": 4, "boundaries": [80, 120, 160]},
        "key_root": {"type": "categorical", "token_offset": 4, "n_buckets": 3, "values": [0, 4, 7]},
    },
}
VOCAB = 161 + CONFIG["total_cond_tokens"]
INNER, MLP, TAPS = 2 * VOCAB, 8, 2


def tempo_token(bpm):
    return CONFIG["total_cond_tokens"] + 141 + (bpm - 40) // 10


def weights():
    state = {
        "embed.weight": np.eye(VOCAB),
        "layers.0.norm1.weight": np.ones(VOCAB),
        "layers.0.ssm.in_proj.weight": np.concatenate([np.eye(INNER, VOCAB), np.ones((INNER, VOCAB))]),
        "layers.0.ssm.conv1d.weight": np.tile(np.eye(TAPS)[-1], (INNER, 1, 1)),
        "layers.0.ssm.conv1d.bias": np.zeros(INNER),
        "layers.0.ssm.norm.weight": np.full(INNER, 1 / np.sqrt(INNER)),  # what is normalised is one-hot: now its one is 1
        "layers.0.ssm.x_proj.weight": np.concatenate([np.eye(INNER), np.ones((INNER, INNER)), np.zeros((INNER, INNER))]),
        "layers.0.ssm.dt_bias": np.full(INNER, np.log(np.expm1(1))),
        "layers.0.ssm.A_log": np.full(INNER, -20.0),
        "layers.0.ssm.D": np.zeros(INNER),
        "layers.0.ssm.out_proj.weight": np.zeros((VOCAB, INNER)),
        "layers.0.norm2.weight": np.ones(VOCAB),
        "layers.0.mlp.w1.weight": np.zeros((MLP, VOCAB)),
        "layers.0.mlp.w3.weight": np.zeros((MLP, VOCAB)),
        "layers.0.mlp.w2.weight": np.zeros((VOCAB, MLP)),
        "norm.weight": np.ones(VOCAB),
    }
    for bucket, bpm in enumerate(TEMPOS):
        state["layers.0.ssm.out_proj.weight"][tempo_token(bpm), bucket] = 1.0
    return {name: np.ascontiguousarray(array, np.float32) for name, array in state.items()}


def write(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "sm1", "vocab_size": VOCAB, "d_model": VOCAB, "n_layers": 1, "d_conv": TAPS, "expand": 2, "d_ff": MLP,
              "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "torch_dtype": "float32"}
    (out / "config.json").write_text(json.dumps(config, indent=2))
    (out / "vocab_config.json").write_text(json.dumps(CONFIG, indent=2))
    tensors.save(out / "model.safetensors", weights())


if __name__ == "__main__":
    write(sys.argv[1])
