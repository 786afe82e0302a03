#!/usr/bin/env python3
"""The packing library's integers and scales against numpy's, bit for bit, on matrices that are awkward to quantise.

  packing.py --bin DIR --work DIR
"""
import sys

import numpy as np

from harness import Programs, Report, parser
import quantise
import tensors

FORMS = [(8, 0, "f32"), (8, 32, "f32"), (8, 0, "f16"), (4, 32, "f16"), (4, 0, "f32"), (4, 1000, "f16"), (4, 1, "f16"), (4, 7, "f32")]
DTYPES = {"f32": np.float32, "f16": np.float16}


def matrices():
    """{name: float32 matrix}, of sizes that no group divides."""
    random = np.random.RandomState(51)
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
    zeros = normal(20, 70)
    zeros[3] = zeros[7, 32:64] = 0
    zeros[5] = -np.float32(0)
    ties = random.randint(-254, 255, (19, 100)).astype(np.float32) / 2
    ties[:, ::32] = 127
    alike = np.where(random.rand(17, 96) < 0.5, np.float32(0.75), np.float32(-0.75))  # every weight is the largest
    return {
        "normal": normal(37, 100),
        "uniform": random.uniform(-0.03, 0.03, (16, 1408)).astype(np.float32),
        "column": normal(33, 1),
        "zeros": zeros,
        "ties": ties,
        "alike": alike,
        "outliers": normal(16, 65) * np.float32(10) ** random.randint(-6, 3, (16, 65)).astype(np.float32),
        "denormal": normal(8, 40) * np.float32(1e-40),
        "small": normal(24, 64) * np.float32(3e-7),  # scales at the low end of f16
        "wide": normal(24, 64) * np.float32(1e5),  # and at its high end
        "huge": normal(8, 40) * np.float32(1e38 / 4),
    }


def cases():
    """{name: array} as sm1-pack-test reads them; a scale that leaves its type is refused, so no case."""
    made = {}
    for name, matrix in matrices().items():
        narrow = {"": (matrix, matrix)}
        bits = tensors.round_bf16(matrix)
        narrow[" in bf16"] = (bits, tensors.widen_bf16(bits))
        if np.abs(matrix).max() < 65000:
            narrow[" in f16"] = (matrix.astype(np.float16), matrix.astype(np.float16).astype(np.float32))
        for suffix, (stored, values) in narrow.items():
            made[f"{name}{suffix}/source"] = stored
            for bits, group, scale in FORMS:
                scales = quantise.scales_of(values, bits, group, DTYPES[scale])
                if np.isfinite(scales).all():
                    form = f"{name}{suffix}/{bits}.{group}.{scale}"
                    made[f"{form}.scales"] = scales
                    made[f"{form}.integers"] = integers = quantise.integers_of(values, bits, group, DTYPES[scale])
                    made[f"{form}.coarse"] = coarse(integers, scales, group)
                    if bits == 8:
                        made[f"{form}.e4m3"] = quantise.e4m3_bits(quantise.ratios_of(values, group, DTYPES[scale]))
    return made


def coarse(integers, scales, group):
    """What integers and scales stand for, as bits of bf16: products of f32, rounded."""
    columns = np.arange(integers.shape[1]) // group if group else np.zeros(integers.shape[1], dtype=int)
    return tensors.round_bf16(integers.astype(np.float32) * scales.astype(np.float32)[:, columns])


def check_meaning(report):
    """What the integers stand for is near the matrix: half a step with 8 bits; with 4 bits a least square, so in the mean."""
    matrix = matrices()["normal"]
    for storage, limit in (("int8", 0.007), ("int4", 0.09)):
        error = np.linalg.norm(quantise.dequantised(matrix, storage) - matrix) / np.linalg.norm(matrix)
        report.check(limit / 3 < error < limit, f"{storage}: relative error of a normal matrix {error:.4f}, expected below {limit}")
        print(f"{storage}: relative error of a normal matrix {error:.4f}")


def main():
    a = parser(__doc__).parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    made = cases()
    path = programs.work / "cases.safetensors"
    tensors.save(path, made)
    outputs = [name for name in made if not name.endswith("/source")]
    done = programs.run(f"{a.bin}/sm1-pack-test", path)
    print(done.stdout.strip())
    report.check(done.returncode == 0 and f"{len(outputs)} tensors equal, 0 not" in done.stdout, f"not all equal\n{done.stderr}")
    report.check(len(outputs) > 300, f"only {len(outputs)} tensors were compared")

    # A last bit that differs is seen.
    planted = outputs[len(outputs) // 2]
    flat = made[planted].view(np.uint8).reshape(-1)
    flat[-1] ^= 1
    tensors.save(path, made)
    done = programs.run(f"{a.bin}/sm1-pack-test", path)
    report.check(done.returncode == 1 and f"FAILED  {planted}" in done.stdout, f"a wrong bit in {planted} was not found\n{done.stdout}")
    check_meaning(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
