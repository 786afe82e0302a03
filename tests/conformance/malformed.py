#!/usr/bin/env python3
"""Bad input of every kind: one clear line on standard error, an exit code that is neither 0 nor a crash, and nothing written.

  malformed.py --bin DIR --work DIR

Checkpoints are refused on two roads, by sm1c that packs them and by sm1-run that binds them to an external package.
"""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import sys

import numpy as np

from harness import DATA, HERE, Programs, Report, parser
from malformed_files import BAD_CHECKPOINTS, BAD_FILES, copy_checkpoint, write_raw
import tensors

TINY = DATA / "golden" / "tiny-a"
VOCAB, CONFIG = 37, "config.json"
ONE = "--target=x86-64-v3"  # where it does not matter for which
QUICK = HERE.parent.parent / "kernels" / "specs" / "scan.mlir"  # one kernel, where it does not matter what is compiled


class Bench:
    """A folder with good files, and the check that a command refuses a bad one."""

    def __init__(self, programs, report):
        self.programs, self.report, self.work = programs, report, programs.work
        self.package = programs.compile(TINY, "good")
        self.external = programs.compile(TINY, "external", "--weights-in=external", ONE)
        self.tokens = self.token_file("tokens", np.zeros((1, 3), np.int32))
        self.outputs = self.work / "outputs"
        shutil.rmtree(self.outputs, ignore_errors=True)
        self.outputs.mkdir()
        self.out = self.outputs / "out.safetensors"

    def token_file(self, name, tokens, **others):
        path = self.work / f"{name}.safetensors"
        tensors.save(path, {"tokens": tokens, **others})
        return path

    def refused(self, what, says, *command, limit=None, left=()):
        """`command` fails with one line that matches `says`; the output folder holds only `left` afterwards."""
        done = self.programs.run(*command, preexec_fn=limit)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        report = self.report
        report.check(done.returncode > 0, f"{what}: exit code {done.returncode}, expected 1 to 127\n{done.stderr[-500:]}")
        report.check(len(lines) == 1, f"{what}: {len(lines)} lines of error, expected one:\n{done.stderr[-800:]}")
        report.check(re.search(says, done.stderr) is not None, f"{what}: the error does not say {says!r}: {done.stderr[-500:]!r}")
        found = sorted(path.name for path in self.outputs.iterdir())
        report.check(found == sorted(left), f"{what}: the output folder holds {found}, expected {sorted(left)}")
        for path in self.outputs.iterdir():
            path.unlink()

    def logits(self, model, tokens=None, *options):
        return [self.programs.sm1_run, "logits", model, "--tokens", tokens or self.tokens, "--out", self.out, *options]


def check_accepts_good(bench):
    """The commands below work with good files, so that a refusal is about the file."""
    for model, options in ((bench.package, []), (bench.external, [f"--params={TINY}"])):
        bench.programs.must(*bench.logits(model, None, *options))
        bench.report.check(bench.out.exists(), f"{model}: no output written")
        bench.out.unlink(missing_ok=True)


def check_checkpoints(bench):
    for name, says, spoil in BAD_CHECKPOINTS:
        folder = copy_checkpoint(TINY, bench.work / "bad-checkpoint")
        spoil(folder)
        bench.refused(f"sm1c, {name}", says, bench.programs.sm1c, folder, ONE, "-o", bench.outputs / "out.sm1pkg")
        bench.refused(f"--params, {name}", says, *bench.logits(bench.external, None, f"--params={folder}"))


def check_configs(bench):
    good = json.loads((TINY / CONFIG).read_text())
    without = lambda key: {k: v for k, v in good.items() if k != key}
    for name, says, text in (
        ("config is not JSON", CONFIG, "{ 'model_type': sm1"),
        ("config without d_model", "d_model", json.dumps(without("d_model"))),
        ("config with a negative size", "n_layers", json.dumps({**good, "n_layers": -2})),
        ("config with a size in words", "d_model", json.dumps({**good, "d_model": "many"})),
        ("config of another model", "model_type", json.dumps({**good, "model_type": "llama"})),
        ("config of another vocabulary", r"embed\.weight", json.dumps({**good, "vocab_size": VOCAB + 1})),
    ):
        folder = copy_checkpoint(TINY, bench.work / "bad-config")
        (folder / CONFIG).write_text(text)
        bench.refused(f"sm1c, {name}", says, bench.programs.sm1c, folder, ONE, "-o", bench.outputs / "out.sm1pkg")


def check_files(bench):
    """The same damage to a package and to a token file."""
    for name, says, spoil in BAD_FILES:
        for kind, good in (("package", bench.package), ("tokens", bench.tokens)):
            bad = bench.work / f"bad-{kind}.safetensors"
            bad.write_bytes(spoil(good.read_bytes()))
            command = bench.logits(bad) if kind == "package" else bench.logits(bench.package, bad)
            bench.refused(f"{kind}, {name}", says, *command)


def check_packages(bench):
    """Damage that only a package can have."""
    header, start = tensors.read_header(bench.package)
    raw = bench.package.read_bytes()
    bad = bench.work / "bad.sm1pkg"

    newer = json.loads(json.dumps(header))
    newer["__metadata__"]["sm1.format"] = "9999"
    write_raw(bad, newer, raw[start:], start)
    bench.refused("package of a later format", "9999", *bench.logits(bad))

    for target in [name for name in header if name.startswith("kernel/")]:
        begin, end = (start + offset for offset in header[target]["data_offsets"])
        bad.write_bytes(raw[: (begin + end) // 2] + bytes([raw[(begin + end) // 2] ^ 1]) + raw[(begin + end) // 2 + 1 :])
        bench.refused(f"package with a changed byte in {target}", target, *bench.logits(bad, None, f"--isa={target[7:]}"))

    plain = dict(header)
    plain["__metadata__"] = {}
    write_raw(bad, plain, raw[start:], start)
    bench.refused("safetensors file that is no package", "package", *bench.logits(bad))
    bench.refused("external package without parameters", "params", *bench.logits(bench.external))


def check_tokens(bench):
    for name, says, tokens in (
        ("token past the vocabulary", rf"{VOCAB}", np.array([[1, VOCAB]], np.int32)),
        ("negative token", "-1", np.array([[-1]], np.int32)),
        ("no tokens", "tokens", np.zeros((1, 0), np.int32)),
        ("no sequences", "tokens", np.zeros((0, 4), np.int32)),
        ("tokens without a batch", "tokens", np.zeros(4, np.int32)),
        ("tokens that are F32", "tokens", np.zeros((1, 4), np.float32)),
    ):
        bench.refused(name, says, *bench.logits(bench.package, bench.token_file("bad-tokens", tokens)))
    good, h, conv = np.zeros((2, 4), np.int32), np.zeros((2, 2, 96), np.float32), np.zeros((2, 2, 96, 3), np.float32)
    for name, says, others in (
        ("length past the end", "length 5", {"lengths": np.array([4, 5], np.int32)}),
        ("negative length", "length -1", {"lengths": np.array([4, -1], np.int32)}),
        ("lengths of another batch", "lengths", {"lengths": np.array([4], np.int32)}),
        ("state of another shape", r"state_in\.h", {"state_in.h": h[:, :1].copy(), "state_in.conv": conv}),
        ("state that is not finite", r"state_in\.h", {"state_in.h": h + np.float32("nan"), "state_in.conv": conv}),
    ):
        bench.refused(name, says, *bench.logits(bench.package, bench.token_file("bad-tokens", good, **others)))
    nothing = bench.token_file("bad-tokens", np.zeros((1, 1), np.int32))
    tensors.save(nothing, {"token": np.zeros((1, 1), np.int32)})
    bench.refused("token file without tokens", "tokens", *bench.logits(bench.package, nothing))


def check_generate(bench):
    """A prompt must hold something, and MIDI needs the vocabulary of music."""
    run, midi = bench.programs.sm1_run, bench.outputs / "out.mid"
    generate = [run, "generate", bench.package, "-o", midi, "--max-tokens=4"]
    bench.refused("generate with a vocabulary that is not music", "161|vocab", *generate)
    prompt = bench.work / "prompt.json"
    music = DATA / "checkpoints" / "chorales"
    package = bench.programs.compile(music, "chorales", ONE)
    for name, says, text in (
        ("empty prompt", "prompt", "[]"),
        ("empty list in a prompt", "prompt", "[[]]"),
        ("prompt that is not JSON", "prompt", "1, 3, 158"),
        ("prompt past the vocabulary", "161", "[[1, 161]]"),
        ("prompt of words", "prompt", '["BOS"]'),
    ):
        prompt.write_text(text)
        bench.refused(name, says, run, "generate", package, "-o", midi, "--prompt", prompt, "--max-tokens=4")


def check_arguments(bench):
    bench.refused("model that is not there", "nowhere", *bench.logits(bench.work / "nowhere.sm1pkg"))
    missing = bench.outputs / "nowhere" / "out.sm1pkg"
    bench.refused("output folder that is not there", "nowhere", bench.programs.sm1c, TINY, ONE, "-o", missing)
    bench.refused("unknown instruction set", "x86-64-v9", *bench.logits(bench.package, None, "--isa=x86-64-v9"))
    bench.refused("chunks of nothing", "chunked", *bench.logits(bench.package, None, "--mode=chunked:0"))
    bench.refused("package of one form asked for another", "form", *bench.logits(bench.package, None, "--form=closed_form"))
    sm1_run, sm1_bench = bench.programs.sm1_run, bench.programs.sm1_run.replace("sm1-run", "sm1-bench")
    generate, beyond = [sm1_run, "generate", bench.package], str(2**63)
    for says, *command in (
        (r"^error: the following argument was not expected: --nonsense; sm1-run generate --help lists", *generate, "--nonsense"),
        (r"^error: --out is required; sm1-run logits --help lists", sm1_run, "logits", bench.package, "--tokens=x"),
        (r"^error: --batch: Value many not in range 1 to 65536; sm1-run generate --help lists", *generate, "--batch=many"),
        (rf"^error: --max-tokens: Value {beyond} not in range 1 to ", *generate, f"--max-tokens={beyond}"),
        (rf"^error: --min-tokens: Value {beyond} not in range 0 to ", *generate, f"--min-tokens={beyond}"),
        (rf"^error: --penalty-window: Value -{beyond}9 not in range 0 to ", *generate, f"--penalty-window=-{beyond}9"),
        (rf"^error: --seed: {beyond}0 is no whole number from 0 to ", *generate, f"--seed={beyond}0"),
        (r"^error: sm1-run needs a command: generate, tokenize, ", sm1_run),
        (r"^error: sm1-run state needs a command: info, compare$", sm1_run, "state"),
        (r"^error: 'shwo' is none of the commands of sm1-run state: info, compare$", sm1_run, "state", "shwo"),
        (rf"^error: --time: Value {beyond} not in range 1 to .*; sm1-bench prefill --help lists", sm1_bench, "prefill", "m",
         f"--time={beyond}"),
        (r"^error: PACKAGE is required; sm1-bench predict --help lists", sm1_bench, "predict"),
    ):
        bench.refused(" ".join(map(str, command[1:])), says, *command)


def check_permissions(bench):
    if os.geteuid() == 0:
        return bench.report.skip("permissions: root may read and write everything")
    locked = bench.work / "locked.sm1pkg"
    shutil.copy(bench.package, locked)
    locked.chmod(0)
    bench.refused("package without read permission", "ermission", *bench.logits(locked))
    locked.unlink()
    bench.outputs.chmod(0o500)
    bench.refused("output folder without write permission", "ermission", *bench.logits(bench.package))
    bench.outputs.chmod(0o700)


def limit_files(size):
    """For preexec_fn: writing past `size` bytes of a file fails, as on a full disk."""

    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


def check_full_disk(bench):
    """First by a limit on file sizes, which needs no rights; then on a real file system of one page."""
    compile_good = [bench.programs.sm1c, QUICK, ONE, "-o", bench.outputs / "out.sm1pkg"]
    bench.programs.must(*compile_good)
    bench.report.check(compile_good[-1].stat().st_size > 4096, "the package is so small that there is room for it")
    compile_good[-1].unlink()
    bench.refused("sm1c, no room", "write|space|large", *compile_good, limit=limit_files(4096))
    bench.refused("logits, no room", "write|space|large", *bench.logits(bench.package), limit=limit_files(64))

    # A mount of its own, gone with the process; the listing tells what the command left there.
    small = bench.work / "small"
    small.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o size=4k none "$0" && { "$@"; code=$?; ls -A "$0" >&2; exit $code; }'
    mounted = ["unshare", "-m", "sh", "-c", script, small]
    if shutil.which("unshare") is None or bench.programs.run(*mounted, "true").returncode:
        return bench.report.skip("a full file system: mounting one needs root")
    bench.refused("sm1c, full file system", "write|space", *mounted, *compile_good[:-1], small / "out.sm1pkg")


def check_places(bench):
    """What is there stays when there is no room, behind a link too; a device is written to and never replaced."""
    sm1c, sm1_run = bench.programs.sm1c, bench.programs.sm1_run
    emit, old, link = [sm1c, TINY, "--emit=target", ONE, "-o"], bench.work / "old.s", bench.work / "link.s"
    old.write_text("old")
    link.unlink(missing_ok=True)
    link.symlink_to(old)
    for path in (old, link):
        bench.refused(f"a stage to {path.name}, no room", f"{path.name}: file too large", *emit, path, limit=limit_files(8192))
        bench.report.check(old.read_text() == "old", f"{path.name} was lost")
    bench.refused("a report, no room", "report.html: file too large", sm1c, QUICK, ONE, f"--report={bench.outputs / 'report.html'}",
                  limit=limit_files(8192))
    bench.programs.must(*emit, link)
    bench.report.check(link.is_symlink() and len(old.read_text()) > 8192, "a stage did not go where a link leads")
    package, behind = bench.work / "link.sm1pkg", bench.work / "behind.sm1pkg"
    package.unlink(missing_ok=True)
    package.symlink_to(behind.name)
    behind.write_text("old")
    bench.programs.must(sm1c, QUICK, ONE, "-o", package)
    whole = "1 kernels" in bench.programs.run(sm1_run, "inspect", behind).stdout
    bench.report.check(package.is_symlink() and whole, "a package did not go where a link leads")

    if not pathlib.Path("/dev/full").is_char_device():
        return bench.report.skip("a full device: there is no /dev/full")
    device = bench.work / "device"  # were a device replaced, then one of these
    device.unlink(missing_ok=True)
    device.symlink_to("/dev/full")
    to_device = ["sh", "-c", 'exec "$@" > "$0"', "/dev/full"]
    for what, *command in (
        ("a stage to a full device", *emit, device),
        ("a stage to full standard output", *to_device, *emit[:-1]),
        ("words to full standard output", *to_device, sm1_run, "inspect", bench.package),
        ("more words than a buffer has", *to_device, sm1_run, "inspect", DATA / "checkpoints" / "chorales"),
    ):
        bench.refused(what, "no space left on device", *command)
    bench.refused("a package to a full device", "not a regular file", sm1c, QUICK, ONE, "-o", device)
    bench.report.check(device.is_symlink() and device.is_char_device(), "a device was replaced")


def main():
    a = parser(__doc__).parse_args()
    report = Report()
    bench = Bench(Programs(a.bin, a.work), report)
    for check in (
        check_accepts_good,
        check_checkpoints,
        check_configs,
        check_files,
        check_packages,
        check_tokens,
        check_generate,
        check_arguments,
        check_permissions,
        check_full_disk,
        check_places,
    ):
        check(bench)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
