"""Safetensors files with numpy: the small part of the format that the tests read and write."""
import json
import struct

import numpy as np

# BF16 has no numpy type: it is read into float32, exactly, and written from uint16 bit patterns.
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
TYPES.update({"I64": np.int64, "I32": np.int32, "U8": np.uint8, "I8": np.int8})
NAMES = {np.dtype(numpy_type): name for name, numpy_type in TYPES.items()}


def widen_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_bf16(values):
    """float32 values as BF16 bit patterns, rounded to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def read_header(path):
    """The header as written, and the offset of the data."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), 8 + size


def load(path):
    """{name: array} of every tensor, BF16 as float32."""
    header, start = read_header(path)
    raw = np.memmap(path, np.uint8, "r")
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = np.frombuffer(raw[start + begin : start + end].tobytes(), TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = widen_bf16(values) if entry["dtype"] == "BF16" else values
    return tensors


def encode_header(header):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def layout(shapes):
    """The header and total size for tensors {name: (dtype, shape)} laid end to end."""
    header, offset = {}, 0
    for name, (dtype, shape) in shapes.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(TYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    return header, offset


def save(path, tensors):
    """Writes {name: array}; the dtype follows the array's (uint16 is BF16)."""
    header, _ = layout({name: (NAMES[array.dtype], array.shape) for name, array in tensors.items()})
    with open(path, "wb") as file:
        file.write(encode_header(header))
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
