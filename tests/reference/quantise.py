"""Quantised matrices with numpy: the twin of the packing library's steps `quantise` and `scales`, bit for bit.

A matrix [N, K] of float32 becomes integers int8 [N, K] and scales [N, groups]; `group` consecutive columns of a row share a scale, the
last group of a row may be shorter, group 0 is the whole row. Every operation is one of float32, rounded to nearest even.
"""
import numpy as np

RANGES = {8: (-127, 127), 4: (-8, 7)}
DIVISORS = np.arange(16, dtype=np.float32) / 4 + np.float32(6.5)  # of the search for 4 bits
STORAGE = {"int8": (8, 0, np.float32), "int4": (4, 32, np.float16)}  # what --weights=... stands for


def grouped(matrix, group):
    """[N, groups, G], the last group of a row filled with zeros, which change no scale."""
    group = min(group or matrix.shape[1], matrix.shape[1])
    padded = np.pad(matrix.astype(np.float32), ((0, 0), (0, -matrix.shape[1] % group)))
    return padded.reshape(len(matrix), -1, group)


def rounded(weights, scales, bits):
    """Integers as float32; `scales` broadcasts. 0 where the scale is 0."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = np.where(scales == 0, np.float32(0), weights / scales)
    return np.rint(np.clip(ratio, *np.float32(RANGES[bits])))


def searched_scales(groups, stored):
    """The candidate with the least sum of squared errors, the first of equals; errors are summed column after column."""
    place = np.abs(groups).argmax(-1)[..., None]
    candidates = stored(-np.take_along_axis(groups, place, -1) / DIVISORS)
    errors = np.zeros_like(candidates)
    with np.errstate(over="ignore", invalid="ignore"):
        for column in np.moveaxis(groups, -1, 0)[..., None]:
            difference = column - rounded(column, candidates, 4) * candidates
            errors += difference * difference
    errors[np.isnan(errors)] = np.inf
    return np.take_along_axis(candidates, errors.argmin(-1)[..., None], -1)[..., 0] + np.float32(0)  # no -0


def scales_of(matrix, bits, group, dtype):
    """[N, groups] of `dtype`."""

    def stored(scales):
        with np.errstate(over="ignore"):
            return scales.astype(dtype).astype(np.float32)

    groups = grouped(matrix, group)
    if bits == 8:
        return stored(np.abs(groups).max(-1) / np.float32(127)).astype(dtype)
    return searched_scales(groups, stored).astype(dtype)


def integers_of(matrix, bits, group, dtype):
    """int8 [N, K]."""
    scales = scales_of(matrix, bits, group, dtype).astype(np.float32)
    integers = rounded(grouped(matrix, group), scales[..., None], bits)
    return integers.reshape(len(matrix), -1)[:, : matrix.shape[1]].astype(np.int8)


def dequantised(matrix, storage):
    """float64: the numbers that a matrix stored as `storage`, "int8" or "int4", stands for."""
    bits, group, dtype = STORAGE[storage]
    scales = scales_of(matrix, bits, group, dtype).astype(np.float64)
    columns = np.minimum(np.arange(matrix.shape[1]) // (group or matrix.shape[1]), scales.shape[1] - 1)
    return integers_of(matrix, bits, group, dtype) * scales[:, columns]
