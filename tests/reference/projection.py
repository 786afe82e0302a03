"""sm1.linear with numpy, bit for bit: the order of its sums is part of its meaning (Sm1Ops.td), except in dot products of bf16.

x is float32 [rows, K]; a matrix is float32 [N, K], or integers [N, K] with scales [N, groups]; results are float32 [rows, N].
"""
import numpy as np

import quantise

GROUP = 32
GROUP_ORDER = [k + half for k in range(0, 16, 4) for half in (0, 16)]  # where runs of 4 k begin


def fused(total, x, w):
    """total + x * w. The product is exact in float64; that its sum is rounded twice shows once in 2^29."""
    return (total.astype(np.float64) + np.float64(x) * np.float64(w)).astype(np.float32)


def chain(x, matrix, columns):
    """Fused multiply-adds from zero over `columns`, in that order."""
    total = np.zeros((len(x), len(matrix)), np.float32)
    for k in columns:
        total = fused(total, x[:, k, None], matrix[None, :, k])
    return total


def plain(x, matrix):
    """Blocks of 64 k, one chain each."""
    total = np.zeros((len(x), len(matrix)), np.float32)
    for begin in range(0, x.shape[1], 64):
        total += chain(x, matrix, range(begin, min(begin + 64, x.shape[1])))
    return total


def bf16_by_bf16(x, matrix):
    """Of values that are bf16: blocks of 32 k, chains over even and over odd k."""
    total = np.zeros((len(x), len(matrix)), np.float32)
    for begin in range(0, x.shape[1], 32):
        end = min(begin + 32, x.shape[1])
        total += chain(x, matrix, range(begin, end, 2)) + chain(x, matrix, range(begin + 1, end, 2))
    return total


def quantised_rows(x):
    """Integers as float32 and max / 127 of each row [rows, 1]."""
    most = np.maximum(np.abs(x.astype(np.float32)).max(-1, keepdims=True), np.float32(1e-30))
    return np.rint(x.astype(np.float32) * (np.float32(127) / most)), most / np.float32(127)


def exact(x, integers):
    """Sums of integers, rounded once."""
    return (x.astype(np.float64) @ integers.T.astype(np.float64)).astype(np.float32)


def int8_matrix(x, integers, scales, int8):
    """One scale a row of the matrix, at the end."""
    scales = scales.astype(np.float32).T
    if not int8:
        return plain(x, integers.astype(np.float32)) * scales
    x, row_scale = quantised_rows(x)
    return exact(x, integers) * (row_scale * scales)


def int4_matrix(x, integers, scales, int8):
    """A scale for each group, fused into the sum of groups."""
    if int8:
        x, row_scale = quantised_rows(x)
    groups = [range(begin, min(begin + GROUP, x.shape[1])) for begin in range(0, x.shape[1], GROUP)]
    total = np.zeros((len(x), len(integers)), np.float32)
    for columns, scale in zip(groups, scales.T):
        if int8:
            one = exact(x[:, columns], integers[:, columns])
        else:
            order = [columns[0] + begin + i for begin in GROUP_ORDER for i in range(4)]
            one = chain(x, integers.astype(np.float32), [k for k in order if k <= columns[-1]])
        total = fused(total, one, scale.astype(np.float32))
    return total * row_scale if int8 else total


def project(x, matrix, weights, compute):
    """x by a float32 matrix that a package stores as `weights` and multiplies as `compute` says."""
    if weights in quantise.STORAGE:
        bits, group, dtype = quantise.STORAGE[weights]
        integers, scales = quantise.integers_of(matrix, bits, group, dtype), quantise.scales_of(matrix, bits, group, dtype)
        return (int8_matrix if bits == 8 else int4_matrix)(x, integers, scales, compute == "int8")
    return bf16_by_bf16(x, matrix) if compute == "bf16" else plain(x, matrix)
