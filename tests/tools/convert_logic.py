#!/usr/bin/env python3
"""What tools/convert-checkpoint accepts, refuses and writes, with numpy arrays in place of PyTorch's tensors.

  convert_logic.py WORK
"""
import json
import pathlib
import shutil
import sys

import numpy as np

from convert_folder import HERE, MODEL_CFG, VOCAB_CONFIG, load_script, meta_of, write_beside

sys.path.insert(0, str(HERE.parent / "reference"))
import tensors

convert = load_script()
failures = []


def check(holds, text):
    if not holds:
        failures.append(text)
        print(f"FAILED  {text}")


def refused(phrase, function, *arguments):
    """The call is refused with a sentence that has the phrase in it."""
    try:
        function(*arguments)
    except convert.Refused as error:
        return check(phrase in str(error), f"{phrase!r} is not in {str(error)!r}")
    check(False, f"not refused: {phrase}")


def state_of(shapes):
    random = np.random.RandomState(5)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def checked(state, shapes):
    return convert.check_tensors(state, shapes, lambda x: bool(np.isfinite(x).all()), np.array_equal, "model.pt")


def check_config():
    config = convert.model_config(meta_of(), "meta.json")
    expected = {"model_type": "sm1", "vocab_size": 168, "d_model": 24, "n_layers": 2, "d_conv": 4, "expand": 2, "d_ff": 64,
                "rms_norm_eps": 1e-6, "tie_word_embeddings": True}
    check(config == expected, f"config.json is {config}")
    published = convert.model_config({"model_cfg": {**MODEL_CFG, "d_model": 704}}, "meta.json")
    check(published["d_ff"] == 1920, f"d_ff of the published width is {published['d_ff']}, not 1920")
    for change, phrase in (({"d_state": 16}, "'d_state' is 16"), ({"n_heads": 8}, "'n_heads', which SM1 has not"),
                           ({"d_model": "24"}, "'d_model' is '24'"), ({"n_layers": 0}, "'n_layers' is 0"),
                           ({"d_model": True}, "'d_model' is True"), ({"d_ff_mult": -1}, "'d_ff_mult' is -1")):
        refused(phrase, convert.model_config, meta_of({**MODEL_CFG, **change}), "meta.json")
    refused("'model_cfg' is missing", convert.model_config, {}, "meta.json")
    refused("'expand' is None", convert.model_config, meta_of({k: v for k, v in MODEL_CFG.items() if k != "expand"}), "meta.json")
    return config


def check_states(shapes):
    state = state_of(shapes)
    check(len(shapes) == 2 + 14 * 2, f"{len(shapes)} tensors")
    for prefix in ("", "_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."):
        got = checked({prefix + name: tensor for name, tensor in reversed(state.items())}, shapes)
        check(list(got) == list(shapes) and all(got[name] is state[name] for name in shapes), f"prefix '{prefix}'")
    tied = checked({**state, "head.weight": state["embed.weight"].copy()}, shapes)
    check("head.weight" not in tied, "the tied head stays")

    def with_tensor(name, tensor):
        return {**state, name: tensor}

    bias = "layers.1.ssm.dt_bias"
    refused("'layers.1.ssm.dt_bias' is missing;", checked, {k: v for k, v in state.items() if k != bias}, shapes)
    refused("'layers.1.norm1.weight' is missing, and 13 more", checked, {k: v for k, v in state.items() if "layers.1" not in k}, shapes)
    refused("'layers.2.norm1.weight' is none", checked, with_tensor("layers.2.norm1.weight", state["norm.weight"]), shapes)
    refused("[48, 24, 1], meta.json makes it [48, 1, 4]", checked,
            with_tensor("layers.0.ssm.conv1d.weight", np.zeros((48, 24, 1), np.float32)), shapes)
    refused("'layers.1.ssm.dt_bias' is float64", checked, with_tensor(bias, state[bias].astype(np.float64)), shapes)
    refused("'layers.1.ssm.dt_bias' is int32", checked, with_tensor(bias, state[bias].astype(np.int32)), shapes)
    refused("'layers.1.ssm.dt_bias' is a list", checked, with_tensor(bias, [0.0]), shapes)
    refused("not finite", checked, with_tensor(bias, np.full_like(state[bias], np.nan)), shapes)
    refused("'head.weight' differs", checked, with_tensor("head.weight", state["embed.weight"] + 1), shapes)
    refused("'head.weight' has the shape", checked, with_tensor("head.weight", state["embed.weight"][1:]), shapes)
    for wrapped in (state, {"model": state, "optimizer": {}, "step": 7}, {"state_dict": state}):
        check(convert.state_dict_of(wrapped, "model.pt") is state, "the state dict is not found")
    refused("several state dicts (model, state_dict)", convert.state_dict_of, {"model": state, "state_dict": state}, "model.pt")
    refused("it is an optimizer's state", convert.state_dict_of, {"state": {}, "param_groups": []}, "optimizer.pt")
    refused("it holds a list", convert.state_dict_of, [], "model.pt")
    return state


def check_vocabularies(work):
    folder = work / "vocabularies"
    write_beside(folder, meta_of())
    beside = folder / "vocab_config.json"
    for named in ("stats_out/vocab_config.json", "C:\\midi\\stats_out\\vocab_config.json", None):
        check(convert.find_vocab_config({"vocab_config": named}, folder, None) == beside, f"{named}: not found beside meta.json")
    convert.check_vocab_config(beside, 168)
    convert.check_vocab_config(None, 161)
    refused("'total_cond_tokens' is 7, the model has 281", convert.check_vocab_config, beside, 442)
    refused("explains the 7 conditioning ids", convert.check_vocab_config, None, 168)
    refused("music alone has 161", convert.check_vocab_config, None, 100)
    refused("no such file", convert.find_vocab_config, {}, folder, folder / "absent.json")
    beside.write_text("{")
    refused("no valid JSON", convert.check_vocab_config, beside, 168)


def check_files(work, config, state):
    out = work / "out"
    mixed = {**state, "layers.0.ssm.D": state["layers.0.ssm.D"].astype(np.float16)}
    write_beside(work / "source", meta_of())
    convert.write_checkpoint(out, config, mixed, work / "source" / "vocab_config.json", lambda x: x.tobytes())
    got = tensors.load(out / "model.safetensors")
    check(list(got) == list(mixed) and all(got[name].dtype == mixed[name].dtype and np.array_equal(got[name], mixed[name])
                                           for name in mixed), "model.safetensors differs from what went in")
    check(json.loads((out / "config.json").read_text()) == {**config, "torch_dtype": "float32"}, "config.json differs")
    check(json.loads((out / "vocab_config.json").read_text()) == VOCAB_CONFIG, "vocab_config.json differs")

    def fails(_):
        raise OSError("no space")

    try:
        convert.write_checkpoint(work / "broken", config, state, None, fails)
    except OSError:
        pass
    check(not list(work.glob("broken*")), "a failure left a part of a checkpoint")


def main(work):
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    config = check_config()
    state = check_states(convert.expected_shapes(config))
    check_vocabularies(work)
    check_files(work, config, state)
    print(f"{len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
