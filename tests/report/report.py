#!/usr/bin/env python3
"""The page of `sm1c --report`: its data agrees with what the compiler says elsewhere, and in a browser it works.

  report.py --bin DIR --work DIR --specs DIR --golden DIR [--pictures]

In a headless Chromium, where there is one: it loads without an error and asks for no address, the graph has the kernels of the plan, a
click on one shows its stages, every choice can be taken, and two ways stand beside each other. --pictures leaves screenshots in the
folder.
"""
import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
from browser import Browser, find_browser
from harness import Programs, Report, parser

# (sequences, tokens of each) of the first load of a program
FIRST_LOADS = {"prefill": (1, 2048), "prefill_some": (1, 512), "prefill_few": (1, 128), "step": (1, 1), "step_some": (128, 1),
               "step_many": (256, 1)}
STAGES = ["precise", "fused", "scheduled", "target", "LLVM IR"]


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1])


def kernels_of(programs, spec, targets, *options):
    """{(target, entry): names of kernels} as --emit=scheduled has them, in order."""
    text = programs.must(programs.sm1c, spec, "--emit=scheduled", f"--target={','.join(targets)}", *options)
    parts = re.split(r"^// target ([\w-]+)(?:, entry (\w+))?\n", "\n" + text, flags=re.M)[1:]
    return {(target, entry or ""): re.findall(r'sm1\.kernel "(\w+)"', body) for target, entry, body in zip(*[iter(parts)] * 3)}


def check_data(programs, report, spec, page, *options):
    """What a page says is what the compiler says."""
    data = data_of(page)
    views = data["ways"][0]["views"]
    description = data["description"].splitlines()
    report.check(data["description"] == spec.read_text(), "another description")
    expected = kernels_of(programs, spec, sorted({view["target"] for view in views}), *options)
    for view in views:
        what = f"{view['target']} {view['entry']}"
        if view["token"]:
            check_token(report, what, view, description)
            continue
        names = [kernel["name"] for kernel in view["kernels"]]
        report.check(names == expected[view["target"], view["entry"]], f"{what}: kernels {names}")
        for kernel in view["kernels"]:
            check_kernel(report, f"{what}: {kernel['name']}", view, kernel, description)
    check_costs(programs, report, spec, next(view for view in views if not view["gpu"]), *options)


def check_token(report, what, view, description):
    """Its phases are the projections that read one vector: all of the description's, each in one of them, in their order."""
    places = [[n for n in kernel["lines"] if "sm1.linear" in description[n - 1]] for kernel in view["kernels"]]
    linears = [n for n, line in enumerate(description, 1) if "= sm1.linear" in line]
    report.check(sorted(sum(places, [])) == linears and all(places), f"{what}: projections of lines {places}, not {linears}")
    layers = int(re.search(r"sm1\.layers (\d+)", "\n".join(description))[1])
    report.check([kernel["times"] for kernel in view["kernels"]] == [layers] * (len(places) - 1) + [1], f"{what}: other numbers of phases")
    scans = [kernel["name"] for kernel in view["kernels"] if "scan" in kernel["operations"]]
    report.check(len(scans) == 1, f"{what}: scans in {scans}")
    for kernel in view["kernels"]:
        report.check("runTokens<" in kernel["stages"]["CUDA C++"], f"{what}: no code of {kernel['name']}")


def check_kernel(report, what, view, kernel, description):
    stages = kernel["stages"]
    code = stages["PTX" if view["gpu"] else "assembly"]
    report.check(set(STAGES) < set(stages), f"{what}: stages {list(stages)}")
    report.check(f'sm1.kernel "{kernel["name"]}"' in stages["scheduled"], f"{what}: another kernel at the stage scheduled")
    report.check(re.search(rf"func\.func .*@{kernel['name']}\(", stages["target"]), f"{what}: another function at the stage target")
    report.check(re.search(rf'define .*@"?{kernel["name"]}["$(]', stages["LLVM IR"]), f"{what}: other LLVM IR")
    report.check(kernel["name"] in code.splitlines()[0] or f".entry {kernel['name']}(" in code, f"{what}: other code: {code[:200]}")
    report.check(all(load["bytes"] > 0 and all(m["seconds"] > 0 for m in load["machines"]) for load in kernel["loads"]), f"{what}: no prediction")
    # Operators of the kernel stand in the lines of the description that it names, and its code points back to some of them.
    named = " ".join(description[line - 1] for line in kernel["lines"])
    made = {"select_rows", "truncf", "extf", "rms_scale"}
    if "panel_squares" in kernel["operations"]:  # of a norm, and a product with its weight
        report.check("rms_norm" in named, f"{what}: half of a norm and no norm in its lines of the description: {named[:300]}")
        made |= {"panel_squares", "mulf"}
    for operation in set(kernel["operations"]) - made:
        report.check(operation in named, f"{what}: no {operation} in its lines of the description: {named[:300]}")
    places = {int(line) for line in re.findall(r"^\s*\.loc\s+\d+\s+(\d+)", code, re.M)} - {0}
    report.check(places and places <= set(range(1, len(description) + 1)), f"{what}: lines {sorted(places)}")
    computed = [line for line in kernel["lines"] if "sm1.linear" in description[line - 1] or "math.exp" in description[line - 1]]
    report.check(not computed or "lines more" in code or places & set(computed), f"{what}: code of {sorted(places)}, operators in {computed}")


def check_costs(programs, report, spec, view, *options):
    """Bytes of weights and operations of --emit=cost."""
    table = programs.must(programs.sm1c, spec, "--emit=cost", f"--target={view['target']}", *options)
    for kernel in view["kernels"]:
        row = re.search(rf"^{kernel['name']}\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", table, re.M)
        told = [kernel["times"], kernel["weightBytes"], kernel["readBytes"] + kernel["writeBytes"], kernel["products"]]
        report.check(row and [int(x) for x in row.groups()] == told, f"{kernel['name']}: {told}, the table: {row and row[0]}")


def check_predictions(programs, report, spec, views, options):
    """Times of GPUs are those of `sm1-bench predict`, kernel by kernel, and of whole tokens all phases together."""
    package = programs.compile(spec, "predicted", "--target=sm_90", "--weights-in=external", *options)
    bench = pathlib.Path(programs.sm1c).parent / "sm1-bench"
    runs = json.loads(programs.must(bench, "predict", package, "--card=h200", "--batch=1,128,256", "--time=128,512,2048", "--json"))["runs"]
    for view in (view for view in views if view["gpu"]):
        entry = "step" if view["token"] else view["entry"]
        run = next(run for run in runs if run["entry"] == entry and (run["batch"], run["time"]) == FIRST_LOADS[entry])
        shown = [kernel["loads"][0]["machines"][0] for kernel in view["kernels"]]
        if view["token"]:
            total = sum(kernel["times"] * part["seconds"] for kernel, part in zip(view["kernels"], shown))
            report.check(abs(total / run["token_seconds"] - 1) < 1e-6, f"a token takes {total}, sm1-bench predict: {run['token_seconds']}")
            continue
        for kernel, mine, told in zip(view["kernels"], shown, run["kernels"]):
            same = told["kernel"] == kernel["name"] and abs(mine["seconds"] / told["seconds"] - 1) < 1e-6 and mine["bound"] == told["bound"]
            report.check(same, f"{view['entry']}: {kernel['name']} {mine}, sm1-bench predict: {told['kernel']} {told['seconds']} {told['bound']}")


def pressed(browser, group):
    return browser.evaluate(f"document.querySelector('#{group} [aria-pressed=true]')?.textContent")


def check_page(report, browser, page, pictures):
    data = data_of(page)
    ways = data["ways"]
    report.check(browser.open(page.resolve().as_uri()), "the page does not load")
    targets = list(dict.fromkeys(view["target"] for view in ways[0]["views"]))
    for view in ways[0]["views"]:
        entries = [one["entry"] for one in ways[0]["views"] if one["target"] == view["target"]]
        report.check(browser.click(f"#targets button:nth-child({targets.index(view['target']) + 1})"), "a target cannot be chosen")
        chosen = not view["entry"] or browser.click(f"#programs button:nth-child({entries.index(view['entry']) + 1})")
        told = (pressed(browser, "targets"), pressed(browser, "programs") or "")
        report.check(chosen and told == (view["target"], view["entry"]), f"{view['target']} {view['entry']}: chosen is {told}")
        for load in range(len(view["loads"])):
            report.check(browser.click(f"#loads button:nth-child({load + 1})"), "work cannot be chosen")
        shown = browser.evaluate("[...document.querySelectorAll('#graphs figure')].map(f => [...f.querySelectorAll('.box')].map(b => b.dataset.kernel))")
        expected = [[k["name"] for one in way["views"] if (one["target"], one["entry"]) == (view["target"], view["entry"]) for k in one["kernels"]]
                    for way in ways]
        report.check(shown == expected, f"{view['target']} {view['entry']}: the graph shows {shown}, not {expected}")
    marks = browser.evaluate("[...document.querySelectorAll('#graphs .change')].length")
    report.check((marks > 0) == (len(ways) > 1), f"{len(ways)} ways, {marks} kernels marked as not the same")
    check_clicks(report, browser, ways[0]["views"][-1])
    if pictures:
        browser.screenshot(pictures)
    report.check(not browser.errors, f"errors: {browser.errors}")
    report.check(all(url.startswith(("file:", "data:", "about:")) for url in browser.requests), f"asks for {browser.requests}")


def check_clicks(report, browser, view):
    """A click shows a kernel's stages, and each of its tabs the text of that stage."""
    for kernel in view["kernels"]:
        report.check(browser.click(f"#graphs .box[data-kernel={kernel['name']}]"), f"{kernel['name']} cannot be clicked")
        report.check(browser.evaluate("document.querySelector('#details h2').textContent") == kernel["name"], f"{kernel['name']}: not shown")
    last = view["kernels"][-1]
    for stage, text in last["stages"].items():
        report.check(browser.click(f"[data-tab='{stage}']"), f"{stage} cannot be clicked")
        shown = browser.evaluate("[...document.querySelectorAll('#details pre.code')][0].querySelectorAll('div').length")
        report.check(shown == len(text.rstrip("\n").split("\n")), f"{stage}: {shown} lines")
    report.check(browser.click("[data-tab=description]"), "the description cannot be clicked")
    hits = browser.evaluate("[...[...document.querySelectorAll('#details pre.code')][0].querySelectorAll('.hit')].map(row => +row.dataset.line)")
    report.check(hits == last["lines"], f"lines {hits}, not {last['lines']}")
    for scale in (2, 3, 1):
        report.check(browser.click(f"#scales button:nth-child({scale})"), "heights cannot be chosen")


def eventually(browser, expression, seconds=10):
    """The expression's first value that is true, of a page that is still at work."""
    end = time.monotonic() + seconds
    while not (value := browser.evaluate(expression)) and time.monotonic() < end:
        time.sleep(0.05)
    return value


def check_measured(programs, report, program, model):
    """What sm1-bench measured stands beside what was predicted, every kernel with the bench's own ratio; other files are refused."""
    page, times = programs.work / "timed.html", programs.work / "times.json"
    programs.must(programs.sm1c, model, f"--report={page}", "--target=x86-64-v3")
    package, bench = programs.compile(model, "timed", "--target=x86-64-v3"), pathlib.Path(programs.sm1c).parent / "sm1-bench"
    text = programs.must(bench, "decode", package, "--kernels", "--time=2", "--repeat=1", "--threads=1", "--json")
    times.write_text(text)
    expected = {kernel["kernel"]: f"{kernel['predicted_seconds'] / kernel['seconds']['median']:.2f}" for kernel in json.loads(text)["rows"][0]["kernels"]}
    with Browser(program) as browser:
        report.check(browser.open(page.resolve().as_uri()), "the page to measure does not load")
        browser.give_file("#measured", times)
        column = "[...document.querySelectorAll('#table th')].findIndex(e => e.textContent === 'measured, decode, 1 sequence, 1 thread')"
        report.check(eventually(browser, f"{column} >= 0"), "no column of measured times")
        cells = browser.evaluate(f"[...document.querySelectorAll('#table tbody tr')].map(r => [r.cells[0].textContent, r.cells[{column}].textContent])")
        shown = {name: re.search(r" predicted (.*)×", cell)[1] for name, cell in cells if "predicted" in cell}
        report.check(shown == expected, f"measured: {shown}, sm1-bench: {expected}")
        # A browser says nothing when the same file is chosen again.
        for name, content, says in (("list", "[1]", "not what sm1-bench kernels --json writes"), ("other", text.replace("x86-64-v3", "sm_120"), "it is about sm_120")):
            other = programs.work / f"{name}.json"
            other.write_text(content)
            browser.give_file("#measured", other)
            note = f"document.querySelector('#measured-note').textContent.includes({json.dumps(says)})"
            report.check(eventually(browser, note), f"another file: not said: {says}")
            report.check(browser.evaluate(f"{column} < 0"), "times of another file are still shown")
        report.check(not browser.errors, f"errors: {browser.errors}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--specs", required=True, type=pathlib.Path)
    arguments.add_argument("--golden", required=True, type=pathlib.Path)
    arguments.add_argument("--pictures", action="store_true")
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    spec, small = a.specs / "min-gru.mlir", a.specs / "scan.mlir"
    one, two, narrow, default = (programs.work / f"{name}.html" for name in ("one", "two", "narrow", "default"))
    programs.must(programs.sm1c, small, f"--report={default}")
    views = [(view["target"][:6], view["entry"]) for view in data_of(default)["ways"][0]["views"]]
    gpus = [(gpu, entry) for gpu in ("sm_120", "sm_90") for entry in ("prefill", "step")]
    report.check(views == [("x86-64", ""), *gpus], f"without --target the page is about {views}")
    programs.must(programs.sm1c, spec, f"--report={one}", "--target=x86-64-v3,sm_90")
    programs.must(programs.sm1c, spec, f"--report={two}", "--target=sm_90", "--compare=--no-fuse=sm1-fuse-scan-producers")
    check_data(programs, report, spec, one)
    check_predictions(programs, report, spec, data_of(one)["ways"][0]["views"], [])
    # In bf16 a GPU has all its programs.
    programs.must(programs.sm1c, spec, f"--report={narrow}", "--target=x86-64-v3,sm_90", "--weights=bf16")
    shown = [view["entry"] for view in data_of(narrow)["ways"][0]["views"]]
    report.check(shown == ["", "prefill", "prefill_some", "prefill_few", "step", "step_some", "step_many", "token"], f"programs in bf16: {shown}")
    check_data(programs, report, spec, narrow, "--weights=bf16")
    check_predictions(programs, report, spec, data_of(narrow)["ways"][0]["views"], ["--weights=bf16"])
    # Mamba's layers carry a value that is still needed, so one is copied: a launch like any other for who predicts.
    copying = programs.compile(a.golden / "mamba-16", "copying", "--target=sm_90", "--weights=bf16")
    bench = pathlib.Path(programs.sm1c).parent / "sm1-bench"
    kernels = json.loads(programs.must(bench, "predict", copying, "--card=h200", "--json"))["runs"][0]["kernels"]
    copies = [kernel for kernel in kernels if kernel["kernel"].startswith("copy_")]
    report.check(copies and all(kernel["memory"] > 0 for kernel in copies), f"no copy among {[kernel['kernel'] for kernel in kernels]}")
    program = find_browser()
    if not program:
        report.skip("the page in a browser: there is no chromium")
        return report.finish()
    for page in (one, two, narrow):
        with Browser(program) as browser:
            check_page(report, browser, page, page.with_suffix(".png") if a.pictures else None)
    check_measured(programs, report, program, a.golden / "tiny-a")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
