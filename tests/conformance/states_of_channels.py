#!/usr/bin/env python3
"""Mamba-1 with numbers of states that fit nothing, and in bf16: from configurations made here, against the formulas in float64.

  states_of_channels.py --bin DIR --work DIR [--device NAME]

f32 within 1e-5 of float64 and, on a GPU, the bits of the CPU; bf16 near float64 of the same rounded matrices. A prefill crosses the rows of
a GPU's tile; steps go on from it.
"""
import json
import re
import sys

import numpy as np

from harness import Report, device_parser, programs_of, random_tokens
from relatives import printed, random_params, states_of
import family
import reference
import spec_reference
import tensors

# One and two states a thread of a GPU block, the second of only some threads.
STATES = [3, 17]
VOCAB, INNER, LAYERS, KERNEL = 31, 36, 2, 3
BF16 = 3e-2  # random weights, two layers


class Case:
    def __init__(self, programs, states, bf16=False):
        self.programs, self.bf16 = programs, bf16
        name = f"{states}-states" + "-bf16" * bf16
        folder = programs.work / name
        folder.mkdir(exist_ok=True)
        config = {"model_type": "mamba", "vocab_size": VOCAB, "hidden_size": 20, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
                  "state_size": states, "time_step_rank": 3, "conv_kernel": KERNEL}
        (folder / "config.json").write_text(json.dumps(config))
        file = random_params(programs, printed(programs, folder, name), name, 41)
        rounded = lambda key, x: spec_reference.round_to("bf16", x) if bf16 and x.ndim == 2 and "A_log" not in key else x
        self.params = {key: rounded(key, x) for key, x in tensors.load(file).items()}
        options = ["--weights=bf16", "--compute=bf16"] if bf16 else ["--weights=f32"]
        self.package = programs.compile(folder, name, f"--params={file}", *options, for_host=not bf16, best=not bf16)
        self.states = {"h": np.zeros((2, LAYERS, INNER, states)), "conv": np.zeros((2, LAYERS, INNER, KERNEL - 1))}

    def check(self, report, name, time):
        given = {"tokens": random_tokens(42, VOCAB, 2, time)}
        expected = family.Mamba(self.params).run(given["tokens"], self.states)
        tolerance = {"tolerance": BF16} if self.bf16 else {}
        first = None if self.bf16 else self.programs.on_cpu().logits(self.package, given)
        for mode in ("prefill", "step", f"chunked:{time // 2 + 3}"):
            got = self.programs.logits(self.package, given, f"--mode={mode}")
            worst = report.close(got, expected, f"{name}, {mode}", states=states_of(expected), **tolerance)
            if first:
                report.same_bits(got, first, f"{name}, {mode} against the CPU")
        print(f"{name}: largest relative error {worst:.2e}")
        self.check_score(report, name, given["tokens"].tolist(), expected["logits"])

    def check_score(self, report, name, lists, logits):
        """`sm1-run score` on lists of numbers, which no vocabulary of music is needed for."""
        source = self.programs.work / "lists.json"
        source.write_text(json.dumps(lists))
        said = self.programs.must(self.programs.sm1_run, "score", self.package, "--tokens", source, *self.programs.device.options)
        value = float(re.search(r"total ([\d.]+) nats/token", said)[1])
        wanted = sum(reference.nats(*pair) for pair in zip(logits, map(np.array, lists))) / sum(len(tokens) - 1 for tokens in lists)
        report.check(abs(value - wanted) <= (1e-2 if self.bf16 else 2e-6), f"{name}: score {value}, must be {wanted:.6f}")


def main():
    programs, report = programs_of(device_parser(__doc__).parse_args()), Report()
    for states in STATES[1:] if programs.device.is_emulated else STATES:
        Case(programs, states).check(report, f"{states} states", 37)
    Case(programs, 16, bf16=True).check(report, "16 states in bf16", 37)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
