"""SM1 as a PyTorch module, as people train it: the names of its parameters are those of their checkpoints. Runs the exact step, a
token at a time, in whatever type its parameters have."""
import math

import torch
from torch import nn
from torch.nn import functional


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.2 * torch.randn(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class Ssm(nn.Module):
    def __init__(self, width, expand, taps):
        super().__init__()
        inner = width * expand
        self.in_proj, self.x_proj, self.out_proj = linear(width, 2 * inner), linear(inner, 3 * inner), linear(inner, width)
        self.conv1d = nn.Conv1d(inner, inner, taps, groups=inner, padding=taps - 1)
        self.norm = Norm(inner)
        self.A_log = nn.Parameter(torch.empty(inner).uniform_(-3, 0))
        self.dt_bias = nn.Parameter(torch.full((inner,), math.log(math.expm1(1.0))))
        self.D = nn.Parameter(torch.ones(inner))

    def step(self, x, h, window):
        """One token [batch, width]; h [batch, inner]; window: the last inputs of the convolution, [batch, inner, taps]."""
        now, gate = self.in_proj(x).chunk(2, -1)
        window = torch.cat([window[..., 1:], now.unsqueeze(-1)], -1)
        u = self.norm(functional.silu((window * self.conv1d.weight.squeeze(1)).sum(-1) + self.conv1d.bias))
        b, c, dt = self.x_proj(u).chunk(3, -1)
        dt = functional.softplus(dt + self.dt_bias).clamp(1e-4, 10)
        h = torch.exp(-dt * torch.exp(self.A_log)).clamp(1e-6, 1 - 1e-6) * h + b * u * dt
        return self.out_proj((c * h + self.D * u) * functional.silu(gate)), h, window


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.w1, self.w3, self.w2 = linear(width, inner), linear(width, inner), linear(inner, width)

    def forward(self, x):
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        width = cfg["d_model"]
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.ssm = Ssm(width, cfg["expand"], cfg["d_conv"])
        self.mlp = Mlp(width, (int(width * cfg["d_ff_mult"]) + 63) // 64 * 64)


class Sm1(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embed = nn.Embedding(cfg["vocab_size"], cfg["d_model"])
        self.layers = nn.ModuleList(Layer(cfg) for _ in range(cfg["n_layers"]))
        self.norm = Norm(cfg["d_model"])
        self.head = linear(cfg["d_model"], cfg["vocab_size"])
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        """Logits [batch, time, vocabulary] of tokens [batch, time]."""
        rows = []
        memory = [None] * len(self.layers)
        for token in tokens.T:
            x = self.embed(token)
            for index, layer in enumerate(self.layers):
                if memory[index] is None:
                    inner, taps = layer.ssm.D.shape[0], layer.ssm.conv1d.kernel_size[0]
                    memory[index] = x.new_zeros(len(token), inner), x.new_zeros(len(token), inner, taps)
                y, *memory[index] = layer.ssm.step(layer.norm1(x), *memory[index])
                x = x + y
                x = x + layer.mlp(layer.norm2(x))
            rows.append(self.head(self.norm(x)))
        return torch.stack(rows, 1)
