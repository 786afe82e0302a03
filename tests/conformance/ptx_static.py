#!/usr/bin/env python3
"""What can be seen of GPU kernels without running them: their PTX text for every chip, and what ptxas makes of it.

  ptx_static.py --bin DIR --work DIR [--tools DIR] [--few]

Text, for every description and arithmetic: the right .target and .version; shared memory declared so that nothing can lie on top of it
and every wide access is aligned; no atomic without an order; no local memory, no arithmetic in f64; where kernels overlap, each waits
before its first write, and before its first read of what is no parameter, row table or state of a step; no warpgroup takes registers
that no other gives away. With ptxas: it assembles, without spills and stack, within the chip's shared memory and registers,
which the plan has, too; as a table. Without ptxas that part is a visible skip.
"""
import re
import sys

from harness import DATA, HERE, Report, parser, Programs
from kernels import ARITHMETICS, SPECS

# The lowest PTX that knows the chip, or what its kernels have, and not below 8.0; where kernels multiply e4m3 by mma.sync, not below 8.4.
VERSIONS = {"sm_80": "8.0", "sm_86": "8.0", "sm_89": "8.0", "sm_90": "8.0", "sm_90a": "8.1", "sm_100": "8.6", "sm_120": "8.7", "sm_121": "8.8"}
EVERYWHERE = ("sm_90", "sm_90a", "sm_120")  # every description in every arithmetic; other chips: one model in two
TRAINED = DATA / "checkpoints" / "chorales"  # 256 channels: every loop is there
# Steps in fp8 are those in bf16, as check_steps sees: where bf16 is compiled for a chip, entries for prompts are enough of fp8.
PROMPTS = "--variants=prefill_long,prefill_larger,prefill_large,prefill_most,prefill_more,prefill_some,prefill_several,prefill_few"
# Stored and loaded, bytes: RG-LRU's prefill for sm_120.
SPILLS_OF_SCANS = 64
# e4m3 that sm_90 multiplies as f16: what it is converted to takes as many registers again. Tiles that spill nothing were no faster.
SPILLS_AS_HALVES = 208
# Blocks that go on from tile to tile, whose sums take 176 of 232 registers: some words of addresses, once a tile. The most is the 130M
# configuration's out_proj, which has two ways to read its stream and three results; without halves of norms it spills half of that.
SPILLS_OF_WALKS = 160
# Where one of four warpgroups scans, it has 200 registers, up to 64 of them for what stays of the state in its rows.
SPILLS_BESIDE_SCANS = 16
# Tiles by mma.sync whose operands the copy engine brings, on sm_120: 8 bytes of stack without a spill, or 16 for three matrices, whose sums and
# operands leave no register.
SPILLS_OF_BOXES = 16


def text_problems(text, target):
    """Sentences about what must not be in the PTX of a module."""
    code = re.sub(r"//.*", "", text)
    version = max(VERSIONS[target], "8.4" if re.search(r"\bmma\.sync\S*\.e4m3", code) else "")
    if f".target {target}\n" not in code or f".version {version}\n" not in code:
        yield f"its head is not .version {version} and .target {target}"
    if not re.search(r"^\.extern \.shared \.align (16|32|64|128|512|1024) \.b8 sm1_shared\[\];", code, re.M):
        yield "dynamic shared memory is not an external array on at least 16 bytes"
    for line in code.splitlines():
        if re.match(r"\s*(\.\w+ )*\.shared\b", line) and not line.startswith(".extern"):
            align = re.search(r"\.align (\d+)", line)
            yield f"static shared memory, which may lie over the dynamic one{'' if align and int(align[1]) >= 16 else ', on less than 16 bytes'}: {line.strip()}"
        if re.match(r"\s*(@%p\d+ )?(atom|red)\.", line) and not re.search(r"\.(acquire|release|acq_rel)\b", line):
            yield f"an atomic that orders nothing: {line.strip()}"
        if re.search(r"\.local\b|__local_depot", line):
            yield f"local memory: {line.strip()}"
        if re.match(r"\s*(@%p\d+ )?(add|sub|mul|fma|div|sqrt|neg|abs|min|max|cvt)\S*\.f64", line):
            yield f"arithmetic in f64: {line.strip()}"
        if re.search(r"\bcall\b", line):
            yield f"a call: {line.strip()}"
    yield from register_problems(code)


def register_problems(text):
    """Sentences about kernels whose warpgroups, of which the first gives registers away, ask for more than their block began with: the
    last one to ask would wait for ever. A block begins with as many for each thread as its multiprocessor has, in eights."""
    for name, body in re.findall(r"\.entry (\w+)\(.*?\)\n(.*?)\n}", text, re.S):
        fewer, more = (re.findall(rf"setmaxnreg\.{how}\.\S+ (\d+);", body) for how in ("dec", "inc"))
        if not fewer and not more:
            continue
        threads = int(re.search(r"\.reqntid (\d+)", body)[1])
        groups, begin = threads // 128, 65536 // threads // 8 * 8
        taken = list(map(int, more))  # where there are two numbers, by the last warpgroup and, behind that, all others but the first
        asked = sum(map(int, fewer)) + sum(taken[:-1]) + (groups - len(taken)) * taken[-1] if taken else 0
        if threads % 128 or groups < 2 or len(fewer) != 1 or len(taken) not in (1, 2) or asked > groups * begin:
            yield f"{name} gives away registers down to {fewer} and takes up to {more}, its {threads} threads began with {begin} each"


def constant_parameters(gpu, program):
    """{kernel: numbers of its parameters behind which no kernel writes that may still run: weights, row tables, numbers of rows and
    segments, and of a step the states that the step before has left}"""
    found = {}
    for entry in program["entries"]:
        kinds = {"weight", "next_weight"} | ({"state_in"} if entry.startswith("step") else set())
        for launch, _ in gpu.launches(program, entry):
            args, name = launch["args"], program["kernels"][launch["kernel"]]["name"]
            here = {str(number) for number, arg in enumerate(args) if kinds & set(arg)} | {str(len(args) + table) for table in range(5)}
            found[name] = found.get(name, here) & here
    return found


def early_accesses(text, target, constant):
    """Sentences about kernels that touch what others write before they have waited for them."""
    for name, body in re.findall(r"\.entry (\w+)\(.*?\)\n(.*?)\n}", text, re.S):
        early, wait, _ = body.partition("griddepcontrol.wait;")
        if bool(wait) != (int(target[3:].rstrip("a")) >= 90):
            yield f"{name} {'waits' if wait else 'does not wait'} for earlier kernels"
        if not wait:
            continue
        if re.search(r"\b(st|red|atom)\.\S*global", early):
            yield f"{name} writes before it waits"
        came_from = {}  # the parameters that a register was computed from
        for result, operands in re.findall(r"\t\S+\s+(%rd\d+), ([^;]*);", early):
            parts = [came_from.get(register, set()) for register in re.findall(r"%rd\d+", operands)]
            came_from[result] = set(re.findall(r"_param_(\d+)", operands)).union(*parts)
        for address in re.findall(r"\tld\.global\S*\s[^;\[]*\[(%rd\d+)|\tcp\.async\S*\s[^;]*\[(%rd\d+)[^\]]*\]", early):
            register = "".join(address)
            if not came_from.get(register) or not came_from[register] <= constant.get(name, set()):
                yield f"{name} reads parameter {sorted(came_from.get(register, {'of no name'}))} before it waits"


BROKEN = [
    (".extern .shared .align 1024 .b8 sm1_shared[];", ".shared .align 1024 .b8 sm1_shared[1];", "dynamic shared memory"),
    (".address_size 64", ".address_size 64\n.shared .align 4 .b8 tile[64];", "on less than 16 bytes"),
    ("ret;", "atom.global.add.u32 %r1, [%rd1], 1;\n\tret;", "orders nothing"),
    ("ret;", "ld.local.b32 %r1, [%rd1];\n\tret;", "local memory"),
    ("ret;", "mul.rn.f64 %fd1, %fd1, %fd1;\n\tret;", "f64"),
    (".target sm_", ".target sm_9", "its head"),
    ("ret;", "setmaxnreg.dec.sync.aligned.u32 32;\n\tsetmaxnreg.inc.sync.aligned.u32 240;\n\tret;", "began with"),
]


def check_the_checks(report, text, target):
    """Each trap put into a good text is seen."""
    for old, new, says in BROKEN:
        found = list(text_problems(text.replace(old, new, 1), target))
        report.check(any(says in problem for problem in found), f"a text with {new!r} passes as right: {found}")


def check_kernels(report, gpu, ptxas, text, program, target, name):
    """Assembles one module; prints a line a kernel."""
    said, complaint = gpu.assemble(ptxas, text, target)
    if "is not defined for option 'gpu-name'" in complaint:
        return report.skip(f"{name}, {target}: this ptxas does not know the chip")
    if not report.check(not complaint, f"{name}, {target}: {complaint}"):
        return None
    kernels = gpu.measure(said, program, target)
    names = set(re.findall(r"\.visible \.entry (\w+)\(", text))
    report.check({kernel.name for kernel in kernels} == names, f"{name}, {target}: ptxas reports other kernels than {sorted(names)}")
    limit = gpu.CHIPS[gpu.capability(target)].block_shared * 1024
    costs = {program["kernels"][launch["kernel"]]["name"]: launch["cost"] for entry in program["entries"] for launch, _ in gpu.launches(program, entry)}
    told = {kernel.name: costs[kernel.name].get("registers") for kernel in kernels}
    report.check(told == {kernel.name: kernel.registers for kernel in kernels}, f"{name}, {target}: the plan has other registers: {told}")
    for kernel in kernels:
        what = f"{name}, {target}, {kernel.name}"
        # Some words of addresses lie in the first cache where a scan's sums take nearly all registers.
        halves = target == "sm_90" and "_fp8" in kernel.name
        body = re.search(rf"\.entry {kernel.name}\(.*?\n}}", text, re.S)[0]
        takers = body.count("setmaxnreg.inc")
        of_boxes = SPILLS_OF_BOXES if target.startswith("sm_12") and "cp.async.bulk.tensor" in body else 0
        of_walks = SPILLS_BESIDE_SCANS if takers > 1 else SPILLS_OF_WALKS if takers else of_boxes
        most = SPILLS_OF_SCANS if kernel.name.startswith("scan") else SPILLS_AS_HALVES if halves else of_walks
        report.check(kernel.spills <= most and kernel.stack <= most, f"{what}: {kernel.spills} bytes spilled, {kernel.stack} bytes of stack")
        report.check(kernel.static + kernel.dynamic <= limit, f"{what}: {kernel.static} + {kernel.dynamic} bytes of shared memory, a block has {limit}")
        report.check(kernel.registers * kernel.threads <= gpu.REGISTERS and kernel.blocks >= 1, f"{what}: {kernel.registers} registers by {kernel.threads} threads")
        print(f"{name:28} {target:7} {kernel.name:22} {kernel.registers:4} {kernel.static:6} + {kernel.dynamic:6} {kernel.spills:6} {kernel.blocks:4}")
    return kernels


def check_steps(report, fp8, bf16, target):
    """Kernels of steps are the same in both."""
    steps = lambda text: {name: re.sub(r"\$L__BB\d+", "$L__BB", body) for name, body in re.findall(r"\.entry (\w+)\((.*?)\n}", text, re.S)
                          if "_step" in name}  # fmt: skip
    mine, others = steps(fp8), steps(bf16)
    different = [name for name in mine if mine[name] != others.get(name)]
    report.check(mine and not different, f"fp8, {target}: {len(mine)} kernels of steps, of which {different} are not those of bf16")


def subjects(few):
    """(name, model, options, targets)"""
    for arithmetic in ("f32", "bf16"):
        yield f"chorales, {arithmetic}", TRAINED, ARITHMETICS[arithmetic], EVERYWHERE if few else tuple(VERSIONS)
    fp8 = "--weights=bf16", "--compute=fp8"
    if few:
        yield "chorales, fp8, prompts", TRAINED, (*fp8, PROMPTS), EVERYWHERE
    yield "chorales, fp8", TRAINED, fp8, ("sm_89",) if few else ("sm_89", *EVERYWHERE)
    if few:
        yield "mamba-16, bf16", DATA / "golden" / "mamba-16", ARITHMETICS["bf16"], EVERYWHERE
        return
    for source in sorted(SPECS.glob("*.mlir")):
        for arithmetic, options in ARITHMETICS.items():
            yield f"{source.stem}, {arithmetic}", source, options, EVERYWHERE
    for model in ("mamba-1", "mamba-16"):
        for arithmetic in ("f32", "bf16"):
            yield f"{model}, {arithmetic}", DATA / "golden" / model, ARITHMETICS[arithmetic], EVERYWHERE


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--tools", default=HERE.parent.parent / "tools", help="the folder of lib/gpu_kernels.py")
    arguments.add_argument("--few", action="store_true", help="the trained model and Mamba for two chips only")
    a = arguments.parse_args()
    sys.path.insert(0, f"{a.tools}/lib")
    import gpu_kernels as gpu

    programs, report, ptxas = Programs(a.bin, a.work), Report(), gpu.find_ptxas()
    if not ptxas:
        report.skip("registers, shared memory and spills: there is no ptxas")
    print(f"{'':28} {'':7} {'kernel':22} regs shared+dynamic spills blocks a multiprocessor")
    trained = {}
    for name, model, options, targets in subjects(a.few):
        package = programs.compile(model, "static", *options, "--weights-in=external", f"--target={','.join(targets)}")
        plan, texts = gpu.read_package(package)
        for target in targets:
            if model is TRAINED:
                trained[name.split(", ")[1], target] = texts[target]
            constant = constant_parameters(gpu, plan["programs"][target])
            problems = [*text_problems(texts[target], target), *early_accesses(texts[target], target, constant)]
            report.check(not problems, f"{name}, {target}: {'; '.join(problems[:3])}")
            if ptxas:
                check_kernels(report, gpu, ptxas, texts[target], plan["programs"][target], target, name)
    for target in EVERYWHERE:
        check_steps(report, trained["fp8", target], trained["bf16", target], target)
    check_the_checks(report, texts["sm_90"], "sm_90")
    late = texts["sm_90"].replace("griddepcontrol.wait;", "", 1).replace("\tret;", "\tgriddepcontrol.wait;\n\tret;", 1)
    report.check(any("before it waits" in problem for problem in early_accesses(late, "sm_90", {})), "a wait at the end passes as right")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
