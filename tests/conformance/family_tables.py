#!/usr/bin/env python3
"""The tables of compiler/docs/Family.md, made from what the passes say: they must be what stands there.

  family_tables.py --bin DIR --work DIR --page compiler/docs/Family.md --specs kernels/specs [--write]

--write puts them there. Everything is counted in remarks and in the IR that sm1-opt prints; nothing is compiled or run.
"""
import json
import pathlib
import re
import sys
from collections import Counter

from harness import DATA, Programs, Report, parser

BEGIN, END = "<!-- made by tests/conformance/family_tables.py -->\n", "<!-- end of what is made -->\n"
RELATIVES = {"minGRU": "min-gru", "minLSTM": "min-lstm", "RG-LRU": "rg-lru", "HGRN": "hgrn"}
FUSIONS = ["FuseElementwise", "FuseScanProducers", "FuseScanReadout", "FuseConvNorm", "FuseProjectionSiblings",
           "FuseProjectionEpilogue", "FuseProjectionScan", "FuseNormProjection", "FuseRounding"]
RUNS = {
    "CPU, f32": "target=x86-64-v4",
    "GPU, bf16, many rows": "target=sm_90 entry=prefill weights=bf16 compute=bf16",
    "GPU, bf16, a step": "target=sm_90 entry=step weights=bf16 compute=bf16",
}
REMARK = re.compile(r'\[(Passed|Missed)\] (\w+) \| Category:fusion:\S+ \| Remark="([^"]*)"')


def sources(programs, specs):
    """{name in tables: description} of the family."""
    config = json.loads((DATA / "golden" / "mamba-16" / "config.json").read_text())
    texts = {"SM1": (specs / "sm1.mlir").read_text()}
    for states in (1, 16):
        folder = programs.work / f"mamba-{states}"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({**config, "state_size": states}))
        texts[f"Mamba-1, N = {states}"] = programs.spec(folder)
    texts.update((name, (specs / f"{stem}.mlir").read_text()) for name, stem in RELATIVES.items())
    return texts


class Model:
    """What the passes did for one description in one of RUNS."""

    def __init__(self, programs, text, options):
        self.programs, self.options = programs, options
        self.file = programs.work / "model.mlir"
        self.file.write_text(text)
        self.spec, self.precise = text, self.stage("precise")
        self.scheduled = self.stage("scheduled", "-remarks-filter=fusion")
        self.merged, self.apart, self.reasons = Counter(), Counter(), {}
        for kind, name, remark in REMARK.findall(programs.said):
            (self.merged if kind == "Passed" else self.apart)[name] += 1
            if kind == "Missed":
                self.reasons.setdefault(name, set()).add(remark.split(": ", 1)[1])
        self.kernels = len(re.findall(r"= sm1\.kernel ", self.scheduled))

    def stage(self, name, *options):
        sm1_opt = pathlib.Path(self.programs.sm1c).parent / "sm1-opt"
        return self.programs.must(sm1_opt, self.file, f"--sm1-to-{name}={self.options}", *options)

    def forms(self):
        """Forms of blocks, or tiles of a CPU, and how many kernels have each."""
        found = re.findall(r"blocks<(\w+),", self.scheduled) or re.findall(r"schedule<row_tile = (\d+), panel_tile = (\d+)", self.scheduled)
        return Counter(form if isinstance(form, str) else " by ".join(form) for form in found)

    def rows(self):
        count = lambda text, op: len(re.findall(rf"= {op}\b", text))
        cell = lambda merged, apart: (f"{merged}" if merged else "-") + (f" ({apart})" if apart else "")
        return {
            "canonicalize: splits that became projections": count(self.spec, "sm1.split") - count(self.precise, "sm1.split") or "-",
            "MakePrecise: roundings": count(self.precise, "arith.truncf") or "-",
            "FormKernels: kernels": self.kernels + sum(self.merged.values()),
            **{name: cell(self.merged[name], self.apart[name]) for name in FUSIONS},
            "left: kernels": self.kernels,
            "of them on selected rows": len(re.findall(r"= sm1\.kernel .* rows selected ", self.scheduled)),
            "Schedule: " + ("forms of blocks" if "sm_" in self.options else "rows by panels of a tile"):
                "<br>".join(f"{form}: {number}" for form, number in sorted(self.forms().items())),
        }


def table(models):
    """A table in Markdown, one column for each model."""
    columns = {name: model.rows() for name, model in models.items()}
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for row in next(iter(columns.values())):
        lines.append(f"| {row} | " + " | ".join(str(rows[row]) for rows in columns.values()) + " |")
    return "\n".join(lines) + "\n"


def refusals(models):
    """Why kernels stayed apart, by pass and reason, with the models it is said of."""
    said = {}
    for name, model in models.items():
        for fusion, reasons in model.reasons.items():
            for reason in reasons:
                said.setdefault((FUSIONS.index(fusion), reason), []).append(name)
    return "".join(f"- {FUSIONS[index]}: {reason} ({'; '.join(names)}).\n" for (index, reason), names in sorted(said.items()))


def pages(programs, specs):
    """The text between the two marks."""
    texts, parts = sources(programs, specs), []
    for run, options in RUNS.items():
        models = {name: Model(programs, text, options) for name, text in texts.items()}
        parts.append(f"### {run}\n\n{table(models)}\nWhy kernels stayed apart:\n\n{refusals(models)}")
    return "\n" + "\n".join(parts) + "\n"


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--page", required=True, type=pathlib.Path)
    arguments.add_argument("--specs", required=True, type=pathlib.Path)
    arguments.add_argument("--write", action="store_true")
    a = arguments.parse_args()
    programs, report, page = Programs(a.bin, a.work), Report(), a.page.read_text()
    before, rest = page.split(BEGIN)
    written, after = rest.split(END)
    made = pages(programs, a.specs)
    if a.write:
        a.page.write_text(before + BEGIN + made + END + after)
        return 0
    for old, new in zip(written.splitlines() + [""], made.splitlines() + [""]):
        if old != new:
            print(f"the page: {old}\nthe passes: {new}")
    report.check(written == made, f"{a.page} is not what the passes do; write it again with --write")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
