#!/usr/bin/env python3
"""Tuning, from candidates over times to a compilation with what won: on this CPU, with real clocks, and on the emulator, whose times mean nothing.

  tune.py --bin DIR --work DIR --emulator LIBRARY

Where a test needs a winner, times are written into what was measured: which schedule is faster here is not for a test to say.
"""
import json
import shutil
import sys

from devices import Device, machine_isas
from harness import Programs, Report, parser
from planted import PROJECTIONS
from relatives import printed, random_params
import numpy as np

PRESENT, WON = 2.0e-3, 1.0e-3


class Folder:
    """A folder of candidates and what was measured of them."""

    def __init__(self, path):
        self.path = path

    def read(self, name):
        return json.loads((self.path / f"{name}.json").read_text())

    def write(self, name, value):
        (self.path / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))

    def kernel(self, name):
        return next(kernel for kernel in self.read("tune")["kernels"] if kernel["name"] == name)

    def make_win(self, name, package=1, again=False):
        """All candidates as fast as the present schedule, but one; `again`: and the present one when it was measured again."""
        times = self.read("times")
        for row in times["rows"]:
            won = row["kernel"] == name and (row["package"] == package or (again and row["again"]))
            row["seconds"] = [WON if won else PRESENT for _ in row["seconds"]]
        self.write("times", times)


class Tuner:
    """One model and one target."""

    def __init__(self, programs, report, name, target, model, params, options, loads):
        self.programs, self.report, self.target, self.model, self.params = programs, report, target, model, params
        self.options = [f"--target={target}", f"--params={params}", *options]
        self.bench = programs.sm1_run.replace("sm1-run", "sm1-bench")
        self.folder = Folder(programs.work / name)
        self.file = programs.work / f"{name}.txt"
        self.loads = loads
        shutil.rmtree(self.folder.path, ignore_errors=True)
        self.file.unlink(missing_ok=True)

    def measure(self):
        device = "cuda" if self.programs.device.is_gpu else "cpu"
        return self.programs.must(self.bench, "tune", self.folder.path, f"--device={device}", f"--params={self.params}", "--repeat=2",
                                  "--check-rows=0", f"--loads={self.loads}")

    def store(self):
        return self.programs.run(self.programs.sm1c, self.folder.path, f"--tune-into={self.file}")

    def compile(self, name, *options):
        package = self.programs.work / f"{name}.sm1pkg"
        done = self.programs.run(self.programs.sm1c, self.model, "-o", package, "--remarks", *self.options, *options)
        return package, done

    def call_present(self, given):
        """What the model computes with its present schedules."""
        return self.programs.call(self.folder.path / "0.sm1pkg", "prefill", given, f"--params={self.params}")

    def check_loop(self, kernel):
        """Candidates, times, winners, a package that has them; what it computes."""
        programs, report = self.programs, self.report
        programs.must(programs.sm1c, self.model, f"--tune={self.folder.path}", "--tune-candidates=1", *self.options)
        text = self.measure()
        report.check(kernel in text, f"{self.target}: {kernel} is not in the table:\n{text}")
        times = self.folder.read("times")
        report.check(not times["wrong"], f"{self.target}: wrong candidates {times['wrong']}")
        report.check(all(min(row["seconds"]) > 0 and len(row["seconds"]) == 2 for row in times["rows"]), "times that are none")
        self.folder.make_win(kernel, again=True)
        noisy = self.store()
        report.check(noisy.returncode == 0 and f"{kernel}: keeps its schedule" in noisy.stderr, f"noise wins: {noisy.stderr}")
        self.folder.make_win(kernel)
        said = [(self.store(), self.file.read_text()) for _ in range(2)]
        report.check(said[0][0].returncode == 0 and said[0][1] == said[1][1], f"another choice of the same times: {said}")
        made = self.folder.kernel(kernel)
        line = f"{made['key']}@{self.target} {made['candidates'][1]['schedule']} # 0.500 of before"
        rows = said[0][1].splitlines()
        report.check(len(rows) == 2 and rows[1].startswith(line), f"{self.target}: not one line '{line}' but {rows}")
        package, done = self.compile("tuned", f"--tuned={self.file}")
        remark = f"remark: Tuned: {kernel} has a measured schedule for {self.target}: {made['candidates'][1]['schedule']}"
        report.check(done.returncode == 0 and remark in done.stderr and done.stderr.count("Tuned:") == 1, f"no '{remark}' in {done.stderr}")
        return package

    def check_error(self, text, *words):
        """The store says one error and leaves the file."""
        before = self.file.read_text()
        done = self.store()
        errors = [line for line in done.stderr.splitlines() if "error: " in line]
        self.report.check(done.returncode == 1 and len(errors) == 1 and all(word in errors[0] for word in words),
                          f"{text}: {done.returncode} {done.stderr!r}, expected one error with {words}")
        self.report.check(self.file.read_text() == before, f"{text}: the file has changed")


def check_results_files(tuner):
    """What was measured of something else, or is no measurement."""
    folder = tuner.folder
    good = {name: folder.read(name) for name in ("tune", "times")}
    changes = [
        ("another format", "times", lambda d: d.update(format="sm1 tuning times 9"), ("times.json", "'sm1 tuning times 9'", "'sm1 tuning times 1'")),
        ("another format of candidates", "tune", lambda d: d.update(format="x"), ("tune.json", "'x'")),
        ("another target", "times", lambda d: d.update(target="sm_80"), ("'sm_80'", f"'{tuner.target}'")),
        ("an unknown target", "tune", lambda d: d.update(target="z80"), ("no target called 'z80'",)),
        ("other candidates", "times", lambda d: d.update(candidates="0" * 16), ("0" * 16, "run sm1-bench tune")),
        ("another kernel", "times", lambda d: d["rows"][0].update(kernel="other"), ("no candidate for 'other'", "damaged")),
        ("another package", "times", lambda d: d["rows"][0].update(package=7), ("package 7",)),
        ("no time", "times", lambda d: d["rows"][0].update(seconds=[0]), ("no positive number",)),
        ("a word for a time", "times", lambda d: d["rows"][0].update(seconds=["fast"]), ("no positive number",)),
        ("no rows", "times", lambda d: d.pop("rows"), ("'rows'",)),
        ("no candidates", "tune", lambda d: d["kernels"][0].pop("candidates"), ("without name, key or candidates",)),
    ]
    for text, name, change, words in changes:
        value = json.loads(json.dumps(good[name]))
        change(value)
        folder.write(name, value)
        tuner.check_error(text, *words)
        # The hash is of the file's bytes.
        for restored in good:
            folder.write(restored, good[restored] if restored == "times" else tuner.manifest)
    folder.write("times", '{"format": ')
    tuner.check_error("half a file", "times.json", "no JSON")
    (folder.path / "times.json").unlink()
    tuner.check_error("no file", "times.json", "no such file", "sm1-bench tune")
    folder.write("times", good["times"])


def check_tuned_files(tuner, kernel):
    """Files of tuned schedules that are not for this compilation."""
    report, good = tuner.report, tuner.file.read_text()
    line = good.splitlines()[1]
    def said(text, *options):
        tuner.file.write_text(text)
        done = tuner.compile("other", f"--tuned={tuner.file}", "--emit=scheduled", *options)[1]
        tuner.file.write_text(good)
        return done

    done = said(good.replace("format 1", "format 9"))
    report.check(done.returncode == 1 and f"{tuner.file}:1: '# sm1 tuned schedules, format 9'" in done.stderr, f"format 9: {done.stderr}")
    done = said(f"{good.splitlines()[0]}\n{line.split(' ')[0].replace('@' + tuner.target, '@sm_80')} threads=64\n")
    report.check(done.returncode == 0 and "has no schedule for any kernel" in done.stderr and "Tuned:" not in done.stderr, f"other target: {done.stderr}")
    done = said(good.replace(" row_tile=", " tile=", 1))
    report.check(done.returncode == 1 and f"{tuner.file}:2: unknown key 'tile'" in done.stderr, f"unknown key: {done.stderr}")
    done = said(good + line + "\n")
    report.check(done.returncode == 1 and f"{tuner.file}:3:" in done.stderr and "conflicts" in done.stderr, f"a line twice: {done.stderr}")
    refused = line.split(" ")[0] + (" threads=96" if tuner.programs.device.is_gpu else " matrix_rows=16 matrix_panels=1")
    done = said(good.splitlines()[0] + "\n" + refused + "\n")
    if tuner.programs.device.is_gpu:
        report.check(done.returncode == 0 and f"Tuned: {kernel} keeps its own schedule" in done.stderr, f"refused: {done.stderr}")
    else:
        report.check(done.returncode == 1 and f"{tuner.file}:2:" in done.stderr and "tile registers" in done.stderr, f"refused: {done.stderr}")
    own = tuner.programs.work / "own.schedule"
    own.write_text(f"{kernel} row_split=16\n")
    text = tuner.programs.must(tuner.programs.sm1c, tuner.model, "--emit=scheduled", f"--tuned={tuner.file}", f"--schedule={own}", *tuner.options)
    report.check(any(f'sm1.kernel "{kernel}"' in row and "row_split = 16" in row for row in text.splitlines()), f"--schedule does not win:\n{text}")


def check_planted(tuner, kernel):
    """A candidate that computes something else is found, and cannot win however fast it is."""
    report, folder = tuner.report, tuner.folder
    other = tuner.programs.work / "other.mlir"
    other.write_text(PROJECTIONS.replace("arith.addf %x, %o", "arith.subf %x, %o"))
    tuner.programs.must(tuner.programs.sm1c, other, "-o", folder.path / "1.sm1pkg", f"--schedule={folder.path / '1.schedule'}",
                        "--weights-in=external", *tuner.options)
    text = tuner.measure()
    wrong = folder.read("times")["wrong"]
    report.check([row["kernel"] for row in wrong] == [kernel] and "relative error" in wrong[0]["why"], f"planted: {wrong}")
    report.check(f"wrong: {kernel}, candidate 1" in text, f"planted: nothing said in {text}")
    folder.make_win(kernel)
    tuner.file.unlink()
    done = tuner.store()
    report.check(done.returncode == 0 and f"{kernel}: candidate 1 is wrong" in done.stderr and len(tuner.file.read_text().splitlines()) == 1,
                 f"planted: {done.stderr} {tuner.file.read_text()}")


def check_options(programs, report, model):
    for options, word in [(["--tune=x"], "--tune measures for one target"), (["--tune=x", "--target=native"], "one target"),
                          (["--tune=x", "-o", "y"], "leave out other outputs"), (["--tune-device=cpu"], "--tune-device"),
                          (["--tune=x", "--target=sm_90", "--tune-into=y"], "need --tune-device"),
                          (["--tune=x", "--target=sm_90", "--schedule=y"], "--schedule"), (["--tuned=no.txt", "-o", "y"], "no.txt")]:
        done = programs.run(programs.sm1c, model, *options)
        report.check(done.returncode == 1 and done.stderr.count("error: ") == 1 and word in done.stderr, f"{options}: {done.returncode} {done.stderr}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--emulator", required=True)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    emulated = Programs(a.bin, a.work, Device("emulated", "sm_90", a.emulator))
    model = programs.work / "model.mlir"
    model.write_text(PROJECTIONS)
    params = random_params(programs, printed(programs, model, "model"), "model", 3)
    check_options(programs, report, model)
    given = {"x": np.random.RandomState(4).standard_normal((1, 21, 168)).astype(np.float32)}
    isa = next((name for name in machine_isas() if name in ("x86-64-v3", "x86-64-v4")), None)
    if isa:
        tuner = Tuner(programs, report, isa, isa, model, params, [], "prefill:1x20,step:2x1")
        package = tuner.check_loop("c")
        tuner.manifest = (tuner.folder.path / "tune.json").read_text()
        report.same_bits(programs.call(package, "prefill", given), tuner.call_present(given), f"{isa}, tuned")
        check_results_files(tuner)
        check_tuned_files(tuner, "c")
        check_planted(tuner, "c")
    else:
        report.skip("this CPU has no AVX2")
    tuner = Tuner(emulated, report, "sm_90", "sm_90", model, params, ["--weights=bf16"], "prefill:1x20")
    package = tuner.check_loop("c_few")
    report.close(emulated.call(package, "prefill", given), tuner.call_present(given), "sm_90, tuned", 1e-2, streams=("y",), states=())
    check_tuned_files(tuner, "c_few")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
