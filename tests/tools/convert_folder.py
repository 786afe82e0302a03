"""Folders as SM1's train.py leaves them, for the tests of tools/convert-checkpoint: the files beside model.pt, and state dicts."""
import importlib.machinery
import importlib.util
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / "tools" / "convert-checkpoint"

VOCAB_CONFIG = {
    "total_cond_tokens": 7,
    "bucket_config": {
        "tempo": {"type": "continuous", "boundaries": [80.0, 100.0, 120.0], "n_buckets": 4, "token_offset": 0},
        "key_root": {"type": "categorical", "values": [0, 4, 7], "n_buckets": 3, "token_offset": 4},
    },
}
MODEL_CFG = {"vocab_size": 168, "d_model": 24, "n_layers": 2, "d_conv": 4, "expand": 2, "d_ff_mult": 2.667, "dropout": 0.1,
             "max_seq": 16384, "grad_ckpt": False}


def load_script():
    """tools/convert-checkpoint as a module."""
    loader = importlib.machinery.SourceFileLoader("convert_checkpoint", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("convert_checkpoint", loader))
    loader.exec_module(module)
    return module


def meta_of(model_cfg=None, vocab_path="stats_out/vocab_config.json"):
    return {"step": 1200, "epoch": 3, "best_val": 1.25, "vocab_config": vocab_path, "model_cfg": model_cfg or MODEL_CFG}


def write_beside(folder, meta, vocab_config=True):
    """meta.json and vocab_config.json, the latter in the folder itself, as after a copy to another machine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta, indent=2))
    if vocab_config:
        (folder / "vocab_config.json").write_text(json.dumps(VOCAB_CONFIG))
