"""The damage that malformed.py does to good files: (name, what the error has to say, function)."""
import json
import pathlib
import shutil
import struct

import numpy as np

import tensors

WEIGHTS = "model.safetensors"
LAYER = "layers.1.ssm.dt_bias"


def copy_checkpoint(source, target):
    """A fresh, writable copy of a checkpoint directory."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("config.json", WEIGHTS):
        (target / name).write_bytes((source / name).read_bytes())
    return target


def split(raw):
    """Header and data of a safetensors file."""
    size = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + size]), raw[8 + size :]


def join(header, data, start=0):
    """A safetensors file; the header is padded so that data begins at `start`, if it fits."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * max(start - 8 - len(text), -len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def write_raw(path, header, data, start):
    pathlib.Path(path).write_bytes(join(header, data, start))


def with_tensors(edit):
    """Damage to a checkpoint's tensors: `edit` changes the dictionary."""

    def spoil(folder):
        loaded = {name: value.copy() for name, value in tensors.load(folder / WEIGHTS).items()}
        edit(loaded)
        tensors.save(folder / WEIGHTS, loaded)

    return spoil


def with_bytes(edit):
    """Damage to a checkpoint's file: `edit` maps bytes to bytes."""

    def spoil(folder):
        (folder / WEIGHTS).write_bytes(edit((folder / WEIGHTS).read_bytes()))

    return spoil


def set_value(value):
    def edit(loaded):
        loaded[LAYER][3] = value

    return edit


def reshape(loaded):
    loaded[LAYER] = loaded[LAYER].reshape(2, -1)


def shorten_embedding(loaded):
    loaded["embed.weight"] = loaded["embed.weight"][:-1]


def change_head(loaded):
    loaded["head.weight"] = loaded["embed.weight"] + 1


def first_tensor(header):
    return next(name for name in header if name != "__metadata__")


def edit_entry(**changes):
    """Damage to the header: keys of the first tensor's entry, each given as a function of the old value."""

    def spoil(raw):
        header, data = split(raw)
        entry = header[first_tensor(header)]
        for key, change in changes.items():
            entry[key] = change(entry[key])
        return join(header, data, len(raw) - len(data))

    return spoil


def overlap(raw):
    """The second tensor begins inside the first, all sizes still right. A file with one tensor gets a second."""
    header, data = split(raw)
    names = [name for name in header if name != "__metadata__"]
    header["second"] = dict(header[names[0]])
    return join(header, data, len(raw) - len(data))


def duplicate_key(raw):
    header, data = split(raw)
    name = first_tensor(header)
    text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"
    return join(text.encode(), data, len(raw) - len(data))


def gap(raw):
    """Eight bytes that no tensor owns."""
    return raw + bytes(8)


BAD_FILES = [
    ("empty", "bytes|empty|short|safetensors", lambda raw: b""),
    ("five bytes", "bytes|short|safetensors", lambda raw: raw[:5]),
    ("header cut short", "header|cut short", lambda raw: raw[:40]),
    ("data cut short", "cut short|ends|bytes", lambda raw: raw[:-5]),
    ("header longer than the file", "header", lambda raw: struct.pack("<Q", len(raw)) + raw[8:]),
    ("header of 2^63 bytes", "header", lambda raw: struct.pack("<Q", 1 << 63) + raw[8:]),
    ("header that is not JSON", "JSON|json|does not start with", lambda raw: raw[:8] + b"!" + raw[9:]),
    ("header that is a list", "object|JSON|header", lambda raw: join(b"[1, 2, 3]", b"")),
    ("offsets past the end", "offset|ends|bytes|past", edit_entry(data_offsets=lambda old: [old[0], old[1] + (1 << 40)])),
    ("offsets that run backwards", "offset|begins at byte", edit_entry(data_offsets=lambda old: [old[1], old[0]])),
    ("negative offsets", "offset", edit_entry(data_offsets=lambda old: [-8, old[1]])),
    ("a shape that lies", "shape|bytes", edit_entry(shape=lambda old: [old[0] + 1, *old[1:]])),
    ("a shape that overflows", "shape|large|bytes", edit_entry(shape=lambda old: [1 << 33, 1 << 33])),
    ("an unknown dtype", "F13|dtype", edit_entry(dtype=lambda old: "F13")),
    ("overlapping tensors", "overlap|second", overlap),
    ("a duplicate key", "twice|duplicate", duplicate_key),
    ("bytes that no tensor owns", "bytes|gap|ends", gap),
    ("an image", "header|safetensors", lambda raw: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4),
    ("plain text", "header|safetensors", lambda raw: b"This is not a safetensors file, whatever its name says.\n" * 20),
]

BAD_CHECKPOINTS = [
    ("weights that are NaN", LAYER, with_tensors(set_value(np.nan))),
    ("weights that are infinite", LAYER, with_tensors(set_value(np.inf))),
    ("a missing tensor", LAYER, with_tensors(lambda loaded: loaded.pop(LAYER))),
    ("an extra tensor", "layers.7.extra", with_tensors(lambda loaded: loaded.update({"layers.7.extra": np.zeros(3, np.float32)}))),
    ("a misshapen tensor", LAYER, with_tensors(reshape)),
    ("an embedding of another vocabulary", "embed.weight", with_tensors(shorten_embedding)),
    ("a head that is not the embedding", "head.weight", with_tensors(change_head)),
    ("tensors of integers", LAYER, with_tensors(lambda loaded: loaded.update({LAYER: loaded[LAYER].astype(np.int32)}))),
] + [(f"file: {name}", says, with_bytes(spoil)) for name, says, spoil in BAD_FILES]
