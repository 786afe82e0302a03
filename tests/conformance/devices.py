"""What the suite runs on: `cpu`; `emulated`, the very PTX on the emulator, which takes the driver's place; `cuda`, a real GPU.

A test is written once. It asks its device which targets to compile for, which options sm1-run takes, and in which variants a result
has to come out the same: instruction sets and threads on a CPU, orders of threads on the emulator.
"""
import ctypes
import os
import pathlib

NAMES = ("cpu", "emulated", "cuda")
SCHEDULES = ("warps", "warps-reversed", "shuffled:1", "threads")  # the order in which the emulator lets threads go on

AVX2 = {"avx2", "fma", "f16c"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
BYTES = AVX512 | {"avx512_vnni"}
DOTS = BYTES | {"avx512_bf16"}
TILES = DOTS | {"gfni", "amx_tile", "amx_bf16", "amx_int8"}
WIDE = {"x86-64-v3": AVX2, "x86-64-v4": AVX512}
LEVELS = {
    "bf16": {**WIDE, "x86-64-v4-bf16": DOTS, "x86-64-v4-amx": TILES},
    "int8": {**WIDE, "x86-64-v4-vnni": BYTES, "x86-64-v4-amx": TILES},
}


def machine_isas(compute="f32"):
    """Targets of a default package that this machine executes; those for bf16 and bytes are in packages that multiply such."""
    with open("/proc/cpuinfo") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    return [isa for isa, needs in LEVELS.get(compute, WIDE).items() if needs <= flags]


def compute_of(options):
    """What projections of a package for CPUs multiply, by the options of sm1c."""
    return next((str(option).partition("=")[2] for option in options if str(option).startswith("--compute=")), "f32")


def without_ptxas():
    """Settings of a compilation for the emulator, which reads PTX: half of the time is ptxas's. What it refuses is seen by ptx-static, by
    kernels.emulated (SM1_TEST_PTXAS=run), of schedules that are no model's own by `assembled` of Programs.compile, and on a real GPU."""
    return {"SM1_TEST_PTXAS": os.environ.get("SM1_TEST_PTXAS", "none")}


def missing_gpu(target):
    """Why code for `target` cannot run on the first GPU of this machine; empty if it can."""
    try:
        driver = ctypes.CDLL(os.environ.get("SM1_CUDA_DRIVER", "libcuda.so.1"))
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1)"
    count, parts = ctypes.c_int(0), (ctypes.c_int(0), ctypes.c_int(0))
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver finds no GPU"
    for part, attribute in zip(parts, (75, 76)):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, 0)
    capability = parts[0].value * 10 + parts[1].value
    if capability < int(target[len("sm_") :].rstrip("a")):
        return f"the GPU is sm_{capability}, packages are for {target}; configure with -DSM1_GPU_TEST_TARGET=sm_{capability}"
    return ""


class Device:
    """One of NAMES. `target` is what GPU packages are compiled for, `emulator` the path of the emulator's library."""

    def __init__(self, name="cpu", target="sm_90", emulator=None):
        self.name, self.target, self.emulator = name, target, emulator
        self.is_gpu, self.is_emulated = name != "cpu", name == "emulated"
        self.host = (machine_isas() or ["native"])[-1]
        # Kernel by kernel, with the contracts of prefill and step; tokens.py tests whole tokens in one launch.
        self.options = ["--device=cuda", "--step=kernels"] if self.is_gpu else ["--device=cpu"]
        # Reads of memory that nobody wrote count as findings everywhere; a run reads the PTX of the kernels that it launches.
        emulation = {"SM1_CUDA_DRIVER": str(emulator), "SM1_EMULATOR_INITCHECK": "1", "SM1_EMULATOR_LAZY": "1", **without_ptxas()}
        self.environment = emulation if self.is_emulated else {}

    def missing(self):
        """Why nothing can run here; empty if it can."""
        if self.name == "cuda":
            return missing_gpu(self.target)
        if self.is_emulated and not pathlib.Path(self.emulator or "").is_file():
            return f"no emulator at {self.emulator}"
        return ""

    def compile_options(self, for_host=False, best=False, compute="f32"):
        """Targets of a package; `for_host`: also for the CPU, to compare with; `best`: of a CPU's levels only the one that runs by itself.
        Of the others those that the machine executes: all are compiled for the trained model, and in storage.py for bf16."""
        if not self.is_gpu:
            return [f"--target={self.host if best else ','.join(machine_isas(compute)) or 'native'}"]
        return [f"--target={self.host},{self.target}" if for_host else f"--target={self.target}"]

    def variants(self, few=False, isas=None):
        """Options of sm1-run, NAME=VALUE among them for the environment, that must not change a bit. `few`: the most different ones;
        `isas`: instruction sets of a CPU, those of a package for --compute=f32 by default."""
        if self.is_emulated:
            return [[f"SM1_EMULATOR_SCHEDULE={schedule}"] for schedule in (SCHEDULES[:1] + SCHEDULES[-1:] if few else SCHEDULES)]
        if self.is_gpu:
            return [[]]
        return [[f"--isa={isa}", f"--threads={threads}"] for isa in isas or machine_isas() for threads in ((2,) if few else (2, 1))]

    def orders(self, compute, few=False):
        """Variants in groups that have the same bits. Dot products of bf16 add in an order of their own."""
        isas = machine_isas(compute)
        dots = [isa for isa in isas if compute == "bf16" and isa == "x86-64-v4-bf16"]
        groups = [[isa for isa in isas if isa not in dots], dots]
        return [self.variants(few, group) for group in groups if group] if not self.is_gpu else [self.variants(few)]

    def families(self, compute):
        """Options for each choice of kernels by the number of rows; bits are the same within one. Only tensor cores have several."""
        if not self.is_gpu or compute != "bf16":
            return [[]]
        return [[f"--variants={names}"] for names in ("none", "prefill_some,step_many", "prefill_few,step_some")]

    def skip_reason(self):
        """What a CPU cannot show here."""
        return "" if self.is_gpu or len(machine_isas()) > 1 else "kernels for x86-64-v4: this machine has no AVX-512"
