"""What ptxas says of the kernels in a package, beside what their launches ask for: registers, shared memory, spills, blocks a processor.

Shared by tools/gpu-table.py and the static checks of the tests.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections import namedtuple

# Per chip: bytes of shared memory of a block and of a multiprocessor (each block costs 1 KB more), threads of a multiprocessor.
Chip = namedtuple("Chip", "block_shared shared threads")
CHIPS = {80: Chip(163, 164, 2048), 86: Chip(99, 100, 1536), 87: Chip(163, 164, 1536), 89: Chip(99, 100, 1536), 90: Chip(227, 228, 2048),
         100: Chip(227, 228, 2048), 103: Chip(227, 228, 2048), 120: Chip(99, 100, 1536), 121: Chip(99, 100, 1536)}  # fmt: skip
REGISTERS, BLOCKS = 65536, 32

Kernel = namedtuple("Kernel", "name threads registers static dynamic spills stack blocks")


def capability(target):
    """90 for sm_90 and sm_90a."""
    return int(target[3:].rstrip("a"))


def find_ptxas():
    places = [os.environ.get("PATH", ""), os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"), "/usr/local/cuda/bin"]
    return shutil.which("ptxas", path=os.pathsep.join(places))


def read_texts(path, kind):
    """The header of a package, and its texts of a kind by target."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        texts = {}
        for name, tensor in header.items():
            if name.startswith(f"{kind}/sm_"):
                begin, end = tensor["data_offsets"]
                file.seek(8 + size + begin)
                texts[name[len(kind) + 1 :]] = file.read(end - begin).rstrip(b"\0").decode()
    return header, texts


def read_package(path):
    """The plan and the PTX of each GPU target, {target: text}."""
    header, texts = read_texts(path, "kernel")
    return json.loads(header["__metadata__"]["sm1.plan"]), texts


def read_token(path, target):
    """CUDA C++ of the kernel for whole tokens; None where the package has none."""
    return read_texts(path, "token")[1].get(target)


def launches(program, entry):
    """The launches of an entry with how often each is made."""
    for step in program["entries"][entry]:
        for launch in step.get("body", [step]):
            yield launch, step.get("loop", 1)


def launched(program):
    """{kernel: (threads, dynamic shared memory)}"""
    found = {}
    for entry in program["entries"]:
        for launch, _ in launches(program, entry):
            found[program["kernels"][launch["kernel"]]["name"]] = (launch["threads"], launch["shared"])
    return found


def resident(chip, threads, registers, shared):
    """Blocks that a multiprocessor holds at once; registers are given out to warps in units of 256."""
    warps = threads // 32
    by_registers = REGISTERS // (warps * ((registers * 32 + 255) // 256 * 256))
    by_shared = chip.shared * 1024 // (shared + 1024)
    return min(BLOCKS, chip.threads // threads, by_registers, by_shared)


def assemble(ptxas, text, target):
    """(what ptxas -v prints, empty; or empty and its complaint), with the options of sm1c."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([ptxas, "-v", f"-arch={target}", "-O3", "-o", os.devnull, file.name], capture_output=True, text=True)
    said = done.stdout + done.stderr
    return ("", said) if done.returncode else (said, "")


def measure(said, program, target):
    """Kernels in the order of ptxas's report."""
    chip, kernels, sizes = CHIPS[capability(target)], [], launched(program)
    for name, part in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", said, re.S):
        number = lambda pattern: int((re.search(pattern, part) or [0, 0])[1])
        registers, static = number(r"Used (\d+) registers"), number(r"(\d+) bytes smem")
        spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        threads, dynamic = sizes[name]
        blocks = resident(chip, threads, registers, static + dynamic)
        kernels.append(Kernel(name, threads, registers, static, dynamic, spills, number(r"(\d+) bytes stack frame"), blocks))
    return kernels
