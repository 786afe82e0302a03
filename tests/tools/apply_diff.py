#!/usr/bin/env python3
"""apply_diff.py BEFORE DIFF AFTER: applies a difference as `diff -u` prints it; nothing but AFTER may come out.

Every line of a hunk has to be where its header says, and headers count their lines.
"""
import re
import sys


def applied(before, diff):
    out, at, number = [], 0, 2
    while number < len(diff):
        begin, count, _, added = map(int, re.fullmatch(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", diff[number]).groups())
        start = begin - 1 if count else begin
        out += before[at:start]
        at, number = start, number + 1
        left = [count, added]
        while left != [0, 0]:
            kind, line = diff[number][0], diff[number][1:]
            if kind in " -":
                assert before[at] == line, f"line {at + 1} is {before[at]!r}, the difference has {line!r}"
                at, left[0] = at + 1, left[0] - 1
            if kind in " +":
                out.append(line)
                left[1] -= 1
            number += 1
    return out + before[at:]


def main(*paths):
    before, diff, after = (open(path, encoding="utf-8").read().splitlines() for path in paths)
    assert diff[0].startswith("--- a/") and diff[1].startswith("+++ b/"), diff[:2]
    sys.exit(applied(before, diff) != after)


if __name__ == "__main__":
    main(*sys.argv[1:])
