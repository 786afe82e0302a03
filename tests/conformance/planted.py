#!/usr/bin/env python3
"""Bugs planted in the PTX of generated kernels must be noticed: each barrier and each wait for copies removed in turn, and a sample of
accesses one element off. Noticed is a finding of the emulator, or other bits, under at least one order of threads.

  planted.py --bin DIR --work DIR --emulator LIBRARY [--target sm_90]

The models are as small as lets every barrier matter: projections of more k than there are stages, scans of more rows than a tile has,
steps of a whole group of rows and a rest. EQUIVALENT lists what cannot be noticed because nothing depends on it, and why.
"""
import copy
import itertools
import sys
from collections import Counter, namedtuple

from devices import SCHEDULES
from harness import Report, device_parser, programs_of
from relatives import printed, random_params
import spec_reference

# The head of a model with one norm, two projections of one x, and one that follows.
PROJECTIONS = """
!x = tensor<?x?x168xf32>
!m = tensor<?x?x164xf32>
sm1.model @projections(%x: !x {sm1.name = "x"}) -> (!x {sm1.name = "y"}) {
  %n = sm1.param "norm" : tensor<168xf32>
  %a = sm1.param "a" : tensor<164x168xf32>
  %b = sm1.param "b" : tensor<164x168xf32>
  %c = sm1.param "c" : tensor<168x164xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !x
  %p = sm1.linear %r, %a : !x, tensor<164x168xf32>
  %q = sm1.linear %r, %b : !x, tensor<164x168xf32>
  %m = arith.mulf %p, %q : !m
  %o = sm1.linear %m, %c : !m, tensor<168x164xf32>
  %y = arith.addf %x, %o : !x
  sm1.return %y : !x
}
"""
RECURRENCE = """
!s = tensor<?x?x20xf32>
sm1.model @recurrence(%x: !s {sm1.name = "x"}, %h0: tensor<?x20xf32> {sm1.state = "h"}, %t0: tensor<?x20x3xf32> {sm1.state = "conv"})
    -> (!s {sm1.name = "y"}, tensor<?x20xf32> {sm1.state = "h"}, tensor<?x20x3xf32> {sm1.state = "conv"}) {
  %w = sm1.param "conv" : tensor<20x1x4xf32>
  %b = sm1.param "bias" : tensor<20xf32>
  %n = sm1.param "norm" : tensor<20xf32>
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to !s
  %c, %taps = sm1.conv1d %x, %w, %b taps %t0 : !s, tensor<20x1x4xf32>
  %u = sm1.rms_norm %c, %n eps 1.0e-6 : !s
  %neg = arith.negf %u : !s
  %e = math.exp %neg : !s
  %d = arith.addf %one, %e : !s
  %decay = arith.divf %one, %d : !s
  %h, %last = sm1.scan %decay, %u init %h0 : !s
  %y = arith.mulf %h, %u : !s
  sm1.return %y, %last, %taps : !s, tensor<?x20xf32>, tensor<?x20x3xf32>
}
"""
# A scan of several states, of more rows than a tile has.
SELECTIVE = """
!s = tensor<?x?x20xf32>
!n = tensor<?x?x16xf32>
sm1.model @selective(%x: !s {sm1.name = "x"}, %b: !n {sm1.name = "b"}, %c: !n {sm1.name = "c"}, %h0: tensor<?x20x16xf32> {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, tensor<?x20x16xf32> {sm1.state = "h"}) {
  %a_log = sm1.param "A_log" : tensor<20x16xf32>
  %a_exp = math.exp %a_log : tensor<20x16xf32>
  %a = arith.negf %a_exp : tensor<20x16xf32>
  %dt = math.absf %x : !s
  %u = arith.mulf %dt, %x : !s
  %h, %last = sm1.selective_scan %dt, %u, %a, %b, %c init %h0 : !s, !n
  %y = arith.mulf %h, %x : !s
  sm1.return %y, %last : !s, tensor<?x20x16xf32>
}
"""
# So much k that every warp of a step on tensor cores has several tiles of weights.
DEEP = """
!x = tensor<?x?x1100xf32>
sm1.model @deep(%x: !x {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<16x1100xf32>
  %y = sm1.linear %x, %a : !x, tensor<16x1100xf32>
  sm1.return %y : tensor<?x?x16xf32>
}
"""
# Two projections together and one, of more k than there are stages, on the tensor cores of warpgroups; one block goes on from tile to tile, or each has one,
# which its warpgroups share. What the one adds its sums to comes in slices where a block goes on.
CHIPS = ("SM1_EMULATOR_SMS=1",), ("SM1_EMULATOR_SMS=8",)
WARPGROUP = """
!x = tensor<?x?x620xf32>
!m = tensor<?x?x48xf32>
sm1.model @warpgroup(%x: !x {sm1.name = "x"}, %s: !m {sm1.name = "s"}) -> (!m {sm1.name = "y"}, !m {sm1.name = "z"}) {
  %a = sm1.param "a" : tensor<48x620xf32>
  %b = sm1.param "b" : tensor<48x620xf32>
  %p = sm1.linear %x, %a : !x, tensor<48x620xf32>
  %q = sm1.linear %x, %b : !x, tensor<48x620xf32>
  %y = arith.mulf %p, %q : !m
  %e = math.exp %x : !x
  %c = sm1.param "c" : tensor<48x620xf32>
  %o = sm1.linear %e, %c : !x, tensor<48x620xf32>
  %z = arith.addf %s, %o : !m
  sm1.return %y, %z : !m, !m
}
"""
# Three projections whose sums end in a scan by a warpgroup of its own: tiles that are chunks of a sequence, one block or one for each.
LONG_SCAN = """
!x = tensor<?x?x200xf32>
!s = tensor<?x?x16xf32>
sm1.model @long_scan(%x: !x {sm1.name = "x"}, %g: !s {sm1.name = "g"}, %h0: tensor<?x16xf32> {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, tensor<?x16xf32> {sm1.state = "h"}) {
  %a = sm1.param "a" : tensor<16x200xf32>
  %b = sm1.param "b" : tensor<16x200xf32>
  %c = sm1.param "c" : tensor<16x200xf32>
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to !s
  %p = sm1.linear %x, %a : !x, tensor<16x200xf32>
  %q = sm1.linear %x, %b : !x, tensor<16x200xf32>
  %r = sm1.linear %x, %c : !x, tensor<16x200xf32>
  %e = math.exp %p : !s
  %d = arith.addf %one, %e : !s
  %decay = arith.divf %one, %d : !s
  %h, %last = sm1.scan %decay, %q init %h0 : !s
  %m = arith.mulf %r, %h : !s
  %y = arith.addf %m, %g : !s
  sm1.return %y, %last : !s, tensor<?x16xf32>
}
"""
# prefill: batch and time; steps: batches; None: not run; chips: settings of the emulator, one of which has to notice; family: the ending
# of those functions alone that are tried
Subject = namedtuple("Subject", "name text options prefill steps chips family", defaults=(((),), ""))
SUBJECTS = [
    Subject("projections, f32", PROJECTIONS, ["--weights=f32"], (3, 23), (11,)),
    Subject("projections, bf16", PROJECTIONS, ["--weights=bf16", "--compute=bf16"], (3, 23), (5, 19)),
    Subject("deep, bf16", DEEP, ["--weights=bf16", "--compute=bf16"], None, (5, 19)),
    Subject("warpgroup, bf16", WARPGROUP, ["--weights=bf16", "--compute=bf16", "--target=sm_90a"], (3, 120), (), CHIPS),
    Subject("long scan, bf16", LONG_SCAN, ["--weights=bf16", "--compute=bf16", "--target=sm_90a"], (2, 150), (), CHIPS, "_long"),
    Subject("recurrence", RECURRENCE, ["--weights=f32"], (2, 150), (3,)),
    Subject("selective scan", SELECTIVE, ["--weights=f32"], (2, 70), ()),
    Subject("selective scan, two states", SELECTIVE.replace("16", "2"), ["--weights=f32"], (2, 70), ()),
]
EVERY = {"barrier": 1, "wait": 1, "index": 5}  # which of them are tried
LEAST = {"barrier": 0.95, "wait": 0.95, "index": 0.95}  # the share of those that can be noticed which has to be

Plant = namedtuple("Plant", "kind number function line text")
# Why nothing depends on a plant. Which accesses are tried shifts with the code: of those that are many alike, as many as were met.
GROUP = "the next group of rows begins with barriers of its own, before anything that is still read is written"
EMPTY = "nothing is copied in the last rounds, so earlier waits have waited for everything"
NORM = "the norm that follows has barriers before rows are stored"
ZERO = "the first zeros that are left out lie where a row is stored right after"
NONE = "no products are under way; the wait keeps zeros in registers before those that follow"
ONLY = "the block's only tile: nobody writes the stage again"
PAST = "a tile of 16 k behind the last one: both factors are zero (k = 184 and 180 reach into it, and there all are noticed)"
FIRST = "parts of sums lie in the first stage, which the last steps do not read"
OWN = "a warp leaves its part of 32 rows by 16 sums where 32 rows by 64 bytes lay, which it alone has read (two projections are noticed)"
NOBODY = "rows 32 to 63 of a tile, which nobody has: there are at most 19"
TAIL = "a part of a sum from k = 192 on: all are zero, as k ends at 164"
EQUIVALENT = {  # subject, kind, function: a reason for each plant there
    "projections, f32": {"barrier": {"a_step": [GROUP, GROUP]}},
    "projections, bf16": {
        "barrier": {"c_few": [OWN], "c_step_some": [OWN], "a_step": [GROUP, NORM], "c_step": [GROUP]},
        "wait": {"a": [EMPTY], "c": [EMPTY]},
        "index": {
            "a": [PAST, PAST], "c": [PAST, PAST], "a_some": [PAST, PAST],
            "c_few": [TAIL], "c_step_some": [TAIL, TAIL, TAIL],
            "a_step_some": [NOBODY], "a_step": [ZERO], "c_step": [ZERO],
        },
    },
    "deep, bf16": {"barrier": {"a_step": [GROUP], "a_step_some": [OWN]}, "index": {"a_step": [ZERO]}},
    "warpgroup, bf16": {"barrier": {"c_few": [FIRST]}, "wait": {"a": [NONE, NONE, ONLY], "c": [NONE, NONE, ONLY]}},
    "long scan, bf16": {"wait": {"a_long": [NONE]}},
}
ENDINGS = "few", "several", "some", "more", "most", "large", "larger", "many", "long"  # of functions, and of the programs they are made for


def plants_of(path):
    """What can be planted, as the emulator counts it: "barrier 3 FUNCTION LINE STATEMENT"; not in the runtime's own kernels (sm1_...)."""
    found = [Plant(*line.split(" ", 4)) for line in path.read_text().splitlines()]
    return [plant for plant in found if not plant.function.startswith("sm1_")]


def entry_of(plant):
    return "step" if "_step" in plant.function else "prefill"


def family_of(plant):
    """The options that make a run reach the function whatever its rows."""
    ending = next((ending for ending in ENDINGS if plant.function.endswith(f"_{ending}")), None)
    return [f"--variants={entry_of(plant)}_{ending}" if ending else "--variants=none"]


class Bench:
    def __init__(self, programs, subject):
        self.programs, self.subject = programs, subject
        source = programs.work / "subject.mlir"
        source.write_text(subject.text)
        model = printed(programs, source, "subject")
        file = random_params(programs, model, "subject", 5)
        self.package = programs.compile(source, "subject", f"--params={file}", *subject.options)
        self.given, self.known = {"prefill": [], "step": []}, {}
        counts = programs.work / "plants.txt"
        counts.unlink(missing_ok=True)
        sizes = [("prefill", *subject.prefill)] if subject.prefill else []
        for entry, batch, time in sizes + [("step", batch, 1) for batch in subject.steps]:
            given = spec_reference.random_inputs(model, batch, time, 11)
            self.given[entry].append(given)
            programs.call(self.package, entry, given, f"SM1_EMULATOR_COUNT={counts}", *subject.chips[0])
            self.plants = [plant for plant in plants_of(counts) if plant.function.endswith(subject.family)]
            counts.unlink()

    def runs(self, plant):
        """(what is given, what has to come) of every run that reaches the function."""
        key = (entry_of(plant), *family_of(plant))
        if key not in self.known:
            self.known[key] = [(given, self.programs.call(self.package, key[0], given, *key[1:])) for given in self.given[key[0]]]
        return self.known[key]

    def notices(self, plant):
        """How a planted bug shows; empty if it does not."""
        for schedule, chip in itertools.product(SCHEDULES, self.subject.chips):  # mostly a chip tells, not a schedule
            bug = [f"SM1_EMULATOR_PLANT={plant.kind}:{plant.function}:{plant.number}", f"SM1_EMULATOR_SCHEDULE={schedule}", *chip]
            for given, right in self.runs(plant):
                got = self.programs.try_call(self.package, entry_of(plant), given, *family_of(plant), *bug)
                if got is None:
                    return f"a finding under {schedule}"
                if any(got[name].tobytes() != value.tobytes() for name, value in right.items()):
                    return f"other bits under {schedule}"
        return ""


def main():
    a = device_parser(__doc__).parse_args()
    programs, report = programs_of(a), Report()
    planted, caught, equivalent = Counter(), Counter(), Counter()
    for subject in SUBJECTS:
        bench = Bench(programs, subject)
        left = copy.deepcopy(EQUIVALENT.get(subject.name, {}))
        met = Counter()
        for plant in bench.plants:
            met[plant.kind] += 1
            if not bench.given[entry_of(plant)] or (met[plant.kind] - 1) % EVERY[plant.kind]:
                continue
            planted[plant.kind] += 1
            if bench.notices(plant):
                caught[plant.kind] += 1
                continue
            whys = left.get(plant.kind, {}).get(plant.function)
            equivalent[plant.kind] += bool(whys)
            why = whys.pop(0) if whys else "WHY?"
            print(f"not noticed: {subject.name}: {plant.kind} {plant.number} in {plant.function}, line {plant.line}: {plant.text} ({why})")
    for kind, count in planted.items():
        least = LEAST[kind] * (count - equivalent[kind])
        print(f"{kind}: caught {caught[kind]} of {count}; {equivalent[kind]} of the others change nothing")
        report.check(caught[kind] >= least, f"{kind}: caught {caught[kind]}, must be at least {least:.1f}")
    print(f"caught {sum(caught.values())} of {sum(planted.values())}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
