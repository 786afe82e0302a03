"""The relatives of SM1 in float64 with numpy, one token at a time, from the formulas of their papers and not from their descriptions.

A model is a class; `MODELS` finds it by the stem of its description in kernels/specs. Parameters come by name, as a checkpoint holds
them, states as `sm1-run` writes them. Shapes: batch B, layers L, inner width F, N states a channel, convolution width K.
"""
import numpy as np

from reference import rms_norm, sigmoid, silu


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x):
    return np.logaddexp(0, x)


class Relative:
    """An embedding, layers, a norm and a head; a layer says in `layer` what it does with one token."""

    norm, embedding, head, eps = "norm.weight", "embed.weight", "head.weight", 1e-6
    prefix = "layers"

    def __init__(self, params):
        self.params = {name: np.asarray(value, np.float64) for name, value in params.items()}
        self.layers = 1 + max(int(name.split(".layers.")[-1].removeprefix("layers.").split(".")[0]) for name in params if "layers." in name)

    def of(self, layer, name):
        return self.params[f"{self.prefix}.{layer}.{name}"]

    def normed(self, layer, name, x):
        return rms_norm(x, self.of(layer, name + ".weight"), self.eps)

    def project(self, layer, name, x):
        """x through the matrix `name`, and its bias where it has one."""
        bias = self.params.get(f"{self.prefix}.{layer}.{name}.bias", 0)
        return x @ self.of(layer, name + ".weight").T + bias

    def convolve(self, layer, name, x, taps):
        """`taps` [B,L,F,K-1], oldest first, is updated."""
        window = np.concatenate([taps[:, layer], x[..., None]], -1)
        taps[:, layer] = window[..., 1:]
        return (window * self.of(layer, name + ".weight")[:, 0]).sum(-1) + self.params.get(f"{self.prefix}.{layer}.{name}.bias", 0)

    def mlp(self, layer, x):
        r = self.normed(layer, "norm2", x)
        gate = self.activation(self.project(layer, "mlp.w1", r))
        return x + self.project(layer, "mlp.w2", gate * self.project(layer, "mlp.w3", r))

    def run(self, tokens, states):
        """tokens [B,T] and {"h": ..., "conv": ...} -> {"logits", "state_out.*"}, float32."""
        states = {name: np.array(value, np.float64) for name, value in states.items()}
        head, logits = self.params.get(self.head, self.params[self.embedding]), []
        for token in tokens.T:
            x = self.params[self.embedding][token]
            for layer in range(self.layers):
                x = self.layer(layer, x, **states)
            logits.append(rms_norm(x, self.params[self.norm], self.eps) @ head.T)
        return {"logits": np.stack(logits, 1).astype(np.float32),
                **{f"state_out.{name}": value.astype(np.float32) for name, value in states.items()}}


def log_g(x):
    """log of minRNN's positive activation g; its published form, so that nothing of the description's is taken over."""
    return np.where(x >= 0, np.log(np.maximum(x, 0) + 0.5), -softplus(-x))


class MinGru(Relative):
    """Feng et al. (2024), in the log space of their appendix B: h = (1 - z) h + z g(W x)."""

    eps, name = 1e-5, "gru"

    def mlp(self, layer, x):
        up = self.project(layer, "mlp.up", self.normed(layer, "norm2", x))
        return x + self.project(layer, "mlp.down", np.maximum(up, 0) ** 2)

    def gates(self, layer, r):
        """Logarithms of what is kept and of what comes in."""
        z = self.project(layer, "gru.z", r)
        return -softplus(z), -softplus(-z)

    def layer(self, layer, x, h):
        r = self.normed(layer, "norm1", x)
        keep, take = self.gates(layer, r)
        h[:, layer] = np.exp(keep) * h[:, layer] + np.exp(take + log_g(self.project(layer, self.name + ".h", r)))
        return self.mlp(layer, x + self.project(layer, self.name + ".out", h[:, layer]))


class MinLstm(MinGru):
    """The same with two gates that are divided by their sum, as a difference of logarithms there."""

    name = "lstm"

    def gates(self, layer, r):
        difference = softplus(-self.project(layer, "lstm.f", r)) - softplus(-self.project(layer, "lstm.i", r))
        return -softplus(difference), -softplus(-difference)


class RgLru(Relative):
    """The recurrent block and gated MLP of Griffin (De et al., 2024)."""

    activation = staticmethod(gelu)

    def layer(self, layer, x, h, conv):
        r = self.normed(layer, "norm1", x)
        u = self.convolve(layer, "rec.conv", self.project(layer, "rec.x", r), conv)
        recurrence, input_gate = sigmoid(self.project(layer, "rec.a", u)), sigmoid(self.project(layer, "rec.i", u))
        a = np.exp(-softplus(self.of(layer, "rec.lambda"))) ** (8 * recurrence)
        h[:, layer] = a * h[:, layer] + np.sqrt(1 - a * a) * input_gate * u
        return self.mlp(layer, x + self.project(layer, "rec.out", h[:, layer] * gelu(self.project(layer, "rec.y", r))))


class Hgrn(Relative):
    """Qin et al. (2023), with a real state and a normed, gated output."""

    activation = staticmethod(silu)

    @staticmethod
    def lower_bounds(shared):
        """[L,F] of what all layers share, as a layer's bound."""
        shares = np.exp(shared - shared.max(0))
        shares /= shares.sum(0)
        return np.cumsum(shares, 0) - shares[0]

    def layer(self, layer, x, h):
        r, bound = self.normed(layer, "norm1", x), self.of(layer, "hgrn.lower_bound")
        forget = bound + (1 - bound) * sigmoid(self.project(layer, "hgrn.f", r))
        h[:, layer] = forget * h[:, layer] + (1 - forget) * silu(self.project(layer, "hgrn.i", r))
        out = self.normed(layer, "hgrn.g_norm", h[:, layer]) * silu(self.project(layer, "hgrn.g", r))
        return self.mlp(layer, x + self.project(layer, "hgrn.out", out))


class Mamba(Relative):
    """Mamba-1 (Gu and Dao, 2023) by the tensor names of transformers' MambaForCausalLM."""

    norm, embedding, head, eps = "backbone.norm_f.weight", "backbone.embeddings.weight", "lm_head.weight", 1e-5
    prefix = "backbone.layers"

    def layer(self, layer, x, h, conv):
        xi, z = np.split(self.project(layer, "mixer.in_proj", self.normed(layer, "norm", x)), 2, -1)
        u = silu(self.convolve(layer, "mixer.conv1d", xi, conv))
        rank, states = self.of(layer, "mixer.dt_proj.weight").shape[1], h.shape[-1]
        dt, b, c = np.split(u @ self.of(layer, "mixer.x_proj.weight").T, [rank, rank + states], -1)
        dt = softplus(self.project(layer, "mixer.dt_proj", dt))[..., None]
        decay = np.exp(dt * -np.exp(self.of(layer, "mixer.A_log")))
        h[:, layer] = decay * h[:, layer] + dt * b[:, None] * u[..., None]
        y = (h[:, layer] * c[:, None]).sum(-1) + self.of(layer, "mixer.D") * u
        return x + self.project(layer, "mixer.out_proj", y * silu(z))


MODELS = {"min-gru": MinGru, "min-lstm": MinLstm, "rg-lru": RgLru, "hgrn": Hgrn, "mamba": Mamba}
