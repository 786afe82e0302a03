#!/usr/bin/env python3
"""A random MambaForCausalLM of Hugging Face transformers, saved by save_pretrained, and what it computes.

  hugging_face.py FOLDER [FIELD=VALUE...]      FIELD is one of MambaConfig

Writes config.json, model.safetensors and expected.safetensors: tokens, logits and states, all f32, by transformers' own code without
fused kernels. Needs a Python with torch and transformers. The goldens, made with transformers 5.24.0 and torch 2.15:

  hugging_face.py tests/data/golden/mamba-1 state_size=1 use_bias=true use_conv_bias=false tie_word_embeddings=false
  hugging_face.py tests/data/golden/mamba-16 state_size=16
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import MambaConfig, MambaForCausalLM

SIZES = {"vocab_size": 61, "hidden_size": 36, "num_hidden_layers": 2, "time_step_rank": 5}
BATCH, TIME, SEED = 2, 33, 5


def random_model(fields):
    """Seeded; what starts as a constant (norms, D, biases) is moved away from it, so that leaving it out shows."""
    torch.manual_seed(SEED)
    model = MambaForCausalLM(MambaConfig(**{**SIZES, **fields})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or name.endswith("A_log"):
                parameter += 0.2 * torch.randn_like(parameter)
    return model


def stack(states):
    return torch.stack(states, 1).float().contiguous()


def make(folder, **fields):
    folder = pathlib.Path(folder)
    model = random_model(fields)
    model.save_pretrained(folder)
    tokens = torch.randint(0, model.config.vocab_size, (BATCH, TIME))
    with torch.no_grad():
        out = model(tokens, use_cache=True)
    layers = out.cache_params.layers
    taps = model.config.conv_kernel - 1
    expected = {"tokens": tokens.int(), "logits": out.logits.float().contiguous(),
                "state_out.h": stack([layer.recurrent_states[0] for layer in layers]),
                "state_out.conv": stack([layer.conv_states[0][..., -taps:] for layer in layers])}
    save_file(expected, folder / "expected.safetensors")
    (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    words = dict(word.split("=", 1) for word in sys.argv[2:])
    make(sys.argv[1], **{name: json.loads(value) for name, value in words.items()})
