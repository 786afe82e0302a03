#!/usr/bin/env python3
"""Mamba-1 against code that nobody here wrote: checkpoints that transformers' MambaForCausalLM saves, and the logits that it computes.

  hugging_face.py --bin DIR --work DIR

Skipped where transformers is not installed for this Python; SM1_TORCH_PYTHON names another that has it. tests/data/golden/mamba-* hold
what it said once, for everybody else.
"""
import importlib.util
import os
import sys

if importlib.util.find_spec("transformers") is None:
    other = os.environ.pop("SM1_TORCH_PYTHON", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print("SKIPPED transformers is not installed for this Python; SM1_TORCH_PYTHON names another")
    sys.exit(77)

from harness import HERE, Programs, Report, inputs_of, parser
import tensors

sys.path.insert(0, str(HERE.parent / "tools"))
from transformers import __version__
from transformers.utils import logging

# The tool that makes goldens has the name of this file.
specification = importlib.util.spec_from_file_location("made_by_transformers", HERE.parent / "tools" / "hugging_face.py")
tool = importlib.util.module_from_spec(specification)
specification.loader.exec_module(tool)

MODELS = {
    "one-state": {"state_size": 1},
    "sixteen-states": {"state_size": 16},
    "odd": {"state_size": 5, "hidden_size": 40, "conv_kernel": 3, "use_bias": True, "tie_word_embeddings": False},
    "auto-rank": {"state_size": 2, "hidden_size": 20, "expand": 3, "time_step_rank": "auto", "use_conv_bias": False},
}


def main():
    a = parser(__doc__).parse_args()
    logging.set_verbosity_error()
    programs, report = Programs(a.bin, a.work), Report()
    for name, fields in MODELS.items():
        folder = programs.work / name
        tool.make(folder, **fields)
        expected = tensors.load(folder / "expected.safetensors")
        package = programs.compile(folder, name, best=True)
        for mode in ("prefill", "step"):
            got = programs.logits(package, inputs_of(expected), f"--mode={mode}")
            worst = report.close(got, expected, f"{name}, {mode}")
        print(f"{name}: largest relative error {worst:.2e}, transformers {__version__}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
