"""Editing a printed description the way a person would: find an operation by what it does, change its line.

MLIR prints several results either as `%h, %last = ...` or as `%20:2 = ...` with uses `%20#0`; both are handled.
"""
import re
import sys

VALUE = re.compile(r"%[\w$.-]+(?:#\d+)?")


class Line:
    """One operation: its results as they are written in uses, its name, its operands, the text after `=`."""

    def __init__(self, text):
        match = re.match(r"\s*(%.*?) = ([\w.]+)(.*)", text)
        self.text, self.results, self.name, self.operands = text, [], "", []
        if match:
            self.name = match[2]
            self.operands = VALUE.findall(match[3])
            grouped = re.match(r"(%[\w$.-]+):(\d+)$", match[1].strip())
            if grouped:
                self.results = [f"{grouped[1]}#{i}" for i in range(int(grouped[2]))]
            else:
                self.results = VALUE.findall(match[1])

    def type(self):
        """The last type on the line: that of an elementwise operation's result."""
        return self.text.rsplit(" : ", 1)[1].strip()


class Spec:
    """A description as lines. Edits return the new text and leave this one alone."""

    def __init__(self, text):
        self.lines = [Line(line) for line in text.splitlines()]

    def find(self, name, *operands):
        """The index of the first operation of that name that uses all `operands`."""
        for index, line in enumerate(self.lines):
            if line.name == name and all(operand in line.operands for operand in operands):
                return index
        sys.exit(f"FAILED  the description has no {name} of {', '.join(operands) or 'anything'}:\n{self.text()}")

    def result(self, index, number=0):
        return self.lines[index].results[number]

    def text(self):
        return "\n".join(line.text for line in self.lines) + "\n"

    def with_line(self, index, *texts):
        """The description with one line replaced by others."""
        lines = [line.text for line in self.lines]
        return "\n".join([*lines[:index], *texts, *lines[index + 1 :]]) + "\n"

    def with_operand(self, index, old, new):
        """The description with one operand of one operation replaced."""
        head, tail = self.lines[index].text.split(" = ", 1)
        return self.with_line(index, head + " = " + re.sub(re.escape(old) + r"(?![\w#$.-])", lambda _: new, tail, count=1))

    def with_operation(self, index, name, *operands):
        """The description with an elementwise operation in place of another, of the same type."""
        line = self.lines[index]
        head = line.text.split(" = ", 1)[0]
        return self.with_line(index, f"{head} = {name} {', '.join(operands)} : {line.type()}")

    # The places of an SM1 layer that tests edit, found by the way values flow.
    def scan(self):
        return self.find("sm1.scan")

    def conv(self):
        return self.find("sm1.conv1d")

    def split_of(self, parts):
        return next(i for i, line in enumerate(self.lines) if line.name == "sm1.split" and len(line.results) == parts)

    def gate_input(self):
        """z, the second half of in_proj."""
        return self.result(self.split_of(2), 1)

    def state_readout(self):
        """C * h."""
        return self.find("arith.mulf", self.result(self.scan()))

    def readout(self):
        """C * h + D * u."""
        return self.find("arith.addf", self.result(self.state_readout()))

    def skip(self):
        """D * u."""
        state = self.result(self.state_readout())
        other = next(operand for operand in self.lines[self.readout()].operands if operand != state)
        return next(i for i, line in enumerate(self.lines) if other in line.results)

    def input_norm(self):
        """u, what D multiplies: the norm after the convolution's activation."""
        return next(i for i, line in enumerate(self.lines) if line.name == "sm1.rms_norm" and i > self.conv())
