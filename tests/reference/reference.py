#!/usr/bin/env python3
"""SM1 in float64 with numpy, one token at a time: the model's definition as a program, for making and checking reference data.

  reference.py run CHECKPOINT TOKENS.safetensors OUT.safetensors   logits and states (tokens [B,T], state_in.* if there)
  reference.py compare OUT.safetensors EXPECTED.safetensors        relative error per position bucket
  reference.py random OUT.safetensors VOCAB BATCH TIME SEED        random tokens

Shapes: batch B, time T, layers L, vocabulary V, model width D, inner width F = expand * D, convolution width K.
"""
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tensors


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def silu(x):
    return x * sigmoid(x)


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


class Sm1:
    """A model of float64 weights. Subclasses that override a method are the references of edited descriptions."""

    def __init__(self, directory):
        with open(os.path.join(directory, "config.json")) as file:
            self.config = json.load(file)
        self.weights = {k: v.astype(np.float64) for k, v in tensors.load(os.path.join(directory, "model.safetensors")).items()}
        self.eps = self.config.get("rms_norm_eps", 1e-6)
        self.layers = self.config["n_layers"]
        self.inner = self.config.get("expand", 2) * self.config["d_model"]

    def zero_state(self, batch):
        """h [B,L,F] and taps [B,L,F,K-1], oldest first."""
        return np.zeros((batch, self.layers, self.inner)), np.zeros((batch, self.layers, self.inner, self.config["d_conv"] - 1))

    # The terms that tests edit in a description.
    def conv_activation(self, x):
        return silu(x)

    def gate_activation(self, x):
        return silu(x)

    def mlp_activation(self, x):
        return silu(x)

    def readout(self, c, h, skip, u):
        return c * h + skip * u

    def scan(self, layer, decay, value, h):
        """One token of the recurrence; `h` [B,L,F] is updated; returns the state after the token."""
        h[:, layer] = decay * h[:, layer] + value
        return h[:, layer]

    def mixer(self, layer, r, h, taps):
        weight = lambda name: self.weights[f"layers.{layer}.ssm.{name}"]
        xi, z = np.split(r @ weight("in_proj.weight").T, 2, -1)
        window = np.concatenate([taps[:, layer], xi[..., None]], -1)
        taps[:, layer] = window[..., 1:]
        c = (window * weight("conv1d.weight")[:, 0]).sum(-1) + weight("conv1d.bias")
        u = rms_norm(self.conv_activation(c), weight("norm.weight"), self.eps)
        b, cc, dt = np.split(u @ weight("x_proj.weight").T, 3, -1)
        dt = np.clip(np.logaddexp(0, dt + weight("dt_bias")), 1e-4, 10)
        decay = np.clip(np.exp(-dt * np.exp(weight("A_log"))), 1e-6, 1 - 1e-6)
        y = self.readout(cc, self.scan(layer, decay, b * u * dt, h), weight("D"), u)
        return (y * self.gate_activation(z)) @ weight("out_proj.weight").T

    def mlp(self, layer, r):
        weight = lambda name: self.weights[f"layers.{layer}.mlp.{name}.weight"]
        return (self.mlp_activation(r @ weight("w1").T) * (r @ weight("w3").T)) @ weight("w2").T

    def step(self, token, h, taps):
        """token [B]; h and taps are updated in place; returns logits [B,V]."""
        x = self.weights["embed.weight"][token]
        for layer in range(self.layers):
            norm = lambda name: rms_norm(x, self.weights[f"layers.{layer}.{name}.weight"], self.eps)
            x = x + self.mixer(layer, norm("norm1"), h, taps)
            x = x + self.mlp(layer, norm("norm2"))
        return rms_norm(x, self.weights["norm.weight"], self.eps) @ self.weights["embed.weight"].T

    def run(self, tokens, state=None):
        """tokens [B,T] -> {"logits" [B,T,V], "state_out.h", "state_out.conv"}, float32."""
        h, taps = self.zero_state(len(tokens)) if state is None else (np.array(part, np.float64) for part in state)
        logits = np.stack([self.step(tokens[:, t], h, taps) for t in range(tokens.shape[1])], 1)
        as_float = lambda x: x.astype(np.float32)
        return {"logits": as_float(logits), "state_out.h": as_float(h), "state_out.conv": as_float(taps)}


class ClosedForm(Sm1):
    """The published arithmetic, as far as it is arithmetic: the scan in float32 with its clamp, everything else in float64."""

    def run(self, tokens, state=None):
        shape = (len(tokens), self.layers, self.inner)
        self.product, self.total = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        return super().run(tokens, state)

    def scan(self, layer, decay, value, h):
        self.product[:, layer] *= decay.astype(np.float32)
        self.total[:, layer] += value.astype(np.float32) / np.maximum(self.product[:, layer], np.float32(1e-6))
        h[:, layer] = self.product[:, layer] * self.total[:, layer]
        return h[:, layer]


def nats(logits, tokens):
    """-log p(token t | tokens before t), summed over t >= 1; logits [T,V] are those after each token."""
    logits = logits[:-1].astype(np.float64)
    peak = logits.max(-1)
    log_sum = peak + np.log(np.exp(logits - peak[:, None]).sum(-1))
    return float((log_sum - logits[np.arange(len(logits)), tokens[1:]]).sum())


def buckets(time):
    """Position ranges 0-15, 16-31, 32-63, 64-127, ... up to `time`."""
    low, high = 0, 16
    while low < time:
        yield low, min(high, time)
        low, high = high, high * 2


def relative_error(got, expected):
    """norm(got - expected) / norm(expected), infinite where `got` holds what is not a number."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-300))


def errors(got, expected, streams=("logits",), states=("state_out.h", "state_out.conv")):
    """{"logits 0-15": error, ..., "state_out.h": error, ...}: the one comparison of all tests. What is missing is infinite."""
    found = {}
    for name in streams:
        for low, high in buckets(expected[name].shape[1]):
            part = got[name][:, low:high] if name in got else np.empty(0)
            found[f"{name} {low}-{high - 1}"] = relative_error(part, expected[name][:, low:high])
    for name in states:
        found[name] = relative_error(got.get(name, np.empty(0)), expected[name])
    return found


def main(command, *arguments):
    if command == "run":
        checkpoint, source, target = arguments
        given = tensors.load(source)
        state = (given["state_in.h"], given["state_in.conv"]) if "state_in.h" in given else None
        tensors.save(target, {"tokens": given["tokens"], **Sm1(checkpoint).run(given["tokens"], state)})
    elif command == "compare":
        for name, error in errors(tensors.load(arguments[0]), tensors.load(arguments[1])).items():
            print(f"{name}: {error:.2e}")
    elif command == "random":
        vocab, batch, time, seed = map(int, arguments[1:])
        drawn = np.random.RandomState(seed).randint(0, vocab, (batch, time))
        tensors.save(arguments[0], {"tokens": drawn.astype(np.int32)})
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
