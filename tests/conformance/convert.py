#!/usr/bin/env python3
"""Folders that train.py wrote, through tools/convert-checkpoint, sm1c and sm1-run: the logits are PyTorch's.

  convert.py --bin DIR --work DIR

Skipped where PyTorch is not installed for this Python; SM1_TORCH_PYTHON names another that has it.
"""
import importlib.util
import json
import os
import pathlib
import shutil
import sys

if importlib.util.find_spec("torch") is None:
    other = os.environ.get("SM1_TORCH_PYTHON")
    if other:
        os.execv(other, [other, *sys.argv])
    print("SKIPPED PyTorch is not installed for this Python; SM1_TORCH_PYTHON names another")
    sys.exit(77)

import torch

from harness import HERE, Programs, Report, parser, random_tokens

sys.path.insert(0, str(HERE.parent / "tools"))
from convert_folder import MODEL_CFG, SCRIPT, VOCAB_CONFIG, meta_of, write_beside
from torch_sm1 import Sm1


def trained(folder, dtype=torch.float32, rename=lambda name: name, wrap=lambda state: state, vocab_config=True):
    """A folder as train.py leaves it after a step of training; returns the model."""
    torch.manual_seed(3)
    model = Sm1(MODEL_CFG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    logits = model(torch.randint(0, MODEL_CFG["vocab_size"], (2, 12)))
    logits.logsumexp(-1).mean().backward()
    optimizer.step()
    model = model.to(dtype)
    shutil.rmtree(folder, ignore_errors=True)
    write_beside(folder, meta_of(), vocab_config)
    torch.save(wrap({rename(name): tensor for name, tensor in model.state_dict().items()}), folder / "model.pt")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    return model


def run_script(programs, *arguments):
    return programs.run(sys.executable, SCRIPT, *arguments)


def check_logits(programs, report, name, **how):
    source, out = programs.work / f"{name}-run", programs.work / name
    shutil.rmtree(out, ignore_errors=True)
    model = trained(source, **how)
    done = run_script(programs, source, out)
    if not report.check(done.returncode == 0, f"{name}: {done.stderr}"):
        return
    tokens = random_tokens(11, MODEL_CFG["vocab_size"], 2, 70)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(tokens).long()).numpy()
    got = programs.logits(programs.compile(out, name), {"tokens": tokens})
    report.close(got, {"logits": expected}, name, states=())
    report.check(json.loads((out / "vocab_config.json").read_text()) == VOCAB_CONFIG, f"{name}: vocab_config.json differs")


def check_refusals(programs, report):
    source, out = programs.work / "refused-run", programs.work / "refused"
    trained(source)
    good = (source / "model.pt").read_bytes()

    def refused(phrase, *options):
        done = run_script(programs, source, out, *options)
        report.check(done.returncode == 1, f"{phrase}: exit code {done.returncode}")
        report.check(phrase in done.stderr and done.stderr.count("\n") == 1, f"{phrase!r} is not what it says: {done.stderr}")
        report.check(not list(programs.work.glob("refused.*")) and not out.exists(), f"{phrase}: something was left behind")

    (source / "model.pt").write_bytes(good[: len(good) // 2])
    refused("model.pt: ")
    (source / "model.pt").write_bytes(b"no pickle at all")
    refused("model.pt: ")
    shutil.copyfile(source / "optimizer.pt", source / "model.pt")
    refused("it is an optimizer's state")
    torch.save(Sm1(MODEL_CFG), source / "model.pt")
    refused("it holds more than tensors")
    (source / "model.pt").unlink()
    refused("no such file")
    (source / "model.pt").write_bytes(good)
    (source / "vocab_config.json").unlink()
    refused("name it with --vocab-config")
    (source / "meta.json").write_text(json.dumps(meta_of({**MODEL_CFG, "n_layers": 3})))
    (source / "vocab_config.json").write_text(json.dumps(VOCAB_CONFIG))
    refused("'layers.2.norm1.weight' is missing")
    (source / "meta.json").write_text(json.dumps(meta_of()))
    out.mkdir()
    done = run_script(programs, source, out)
    report.check("is there already" in done.stderr and not list(out.iterdir()), "an existing folder was written to")
    out.rmdir()


def main():
    a = parser(__doc__).parse_args()
    programs, report = Programs(a.bin, pathlib.Path(a.work)), Report()
    check_logits(programs, report, "plain")
    check_logits(programs, report, "half", dtype=torch.bfloat16)
    check_logits(programs, report, "wrapped", rename=lambda name: f"module._orig_mod.{name}",
                 wrap=lambda state: {"model": state, "optimizer": {}, "step": 5})
    check_refusals(programs, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
