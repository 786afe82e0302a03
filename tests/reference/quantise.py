"""Quantised matrices with numpy: the twin of the packing library's steps `quantise`, `scales` and `e4m3`, bit for bit.

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


def e4m3(x):
    """float64: the numbers of e4m3 nearest to x, the even one of two; none beyond 448, NaN stays."""
    magnitude = np.minimum(np.abs(np.asarray(x, np.float64)), 448)
    _, exponent = np.frexp(np.maximum(np.nan_to_num(magnitude), 2.0**-6))
    step = np.ldexp(1.0, exponent - 4)
    return np.copysign(np.rint(magnitude / step) * step, x)


def e4m3_bits(x):
    """uint8: how these numbers are stored."""
    exponents, eighths = np.divmod(np.arange(127), 8)
    positive = np.where(exponents, np.ldexp(1 + eighths / 8, exponents - 7), np.ldexp(eighths / 8, -6))
    rounded = e4m3(x)
    bits = np.where(np.isnan(rounded), 127, np.searchsorted(positive, np.abs(np.nan_to_num(rounded))))
    return (bits | np.signbit(rounded) << 7).astype(np.uint8)


def ratios_of(matrix, group=0, dtype=np.float32):
    """float32 [N, K]: weights over their scales, which are those of 8 bits."""
    scales = scales_of(matrix, 8, group, dtype).astype(np.float32)[..., None]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratios = np.where(scales == 0, np.float32(0), grouped(matrix, group) / scales)
    return ratios.reshape(len(matrix), -1)[:, : matrix.shape[1]]


def e4m3_of(matrix):
    """float64: the values [N, K] and scales [N, 1] of a matrix of float32."""
    return e4m3(ratios_of(matrix)), scales_of(matrix, 8, 0, np.float32).astype(np.float64)
