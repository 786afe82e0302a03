#!/usr/bin/env python3
"""The meaning of a description in float64: an interpreter of MLIR text as sm1-opt prints it, all tokens at once, scans in order.

  spec_reference.py run SPEC.mlir PARAMS.safetensors INPUTS.safetensors OUT.safetensors     results by name
  spec_reference.py params SPEC.mlir OUT.safetensors SEED                                   random parameters of sane scale
  spec_reference.py inputs SPEC.mlir OUT.safetensors BATCH TIME SEED                        random inputs and states

SPEC.mlir may be - for standard input. States that INPUTS lacks are zero; PARAMS is - where there are none. Kernels and launches are
read too, so every stage up to `scheduled` has a reference; select_rows selects all rows here.
"""
import re
import struct
import sys
import zlib
from collections import namedtuple

import numpy as np

import tensors

VALUE = r"%[\w$.-]+(?:#\d+)?"
LINE = re.compile(rf"^(?:({VALUE}(?::\d+)?(?:, {VALUE}(?::\d+)?)*) = )?([a-z_0-9]+\.[a-z_0-9.]+|module)\b ?(.*)$")
Operation = namedtuple("Operation", "results name text body")


# Reading the text ---------------------------------------------------------------------------------------------------


def parse_block(lines):
    """Operations up to the brace that closes the block; each is one line, with a body where it ends in an open brace."""
    block = []
    for line in lines:
        if line.startswith("}"):
            return block
        match = LINE.match(line)
        if not match:
            sys.exit(f"spec_reference: cannot read: {line}")
        results, name, text = match.groups()
        block.append(Operation(result_names(results or ""), name, text, parse_block(lines) if line.endswith("{") else None))
    return block


def result_names(text):
    """'%0:2, %last' -> ['%0#0', '%0#1', '%last']"""
    names = []
    for part in filter(None, text.split(", ")):
        name, _, count = part.partition(":")
        names += [f"{name}#{i}" for i in range(int(count))] if count else [name]
    return names


def find(block, name):
    for operation in block:
        if operation.name == name:
            yield operation
        yield from find(operation.body or [], name)


def shape_of(tensor, **sizes):
    """'tensor<?x3x8xf32>' -> the shape and element type; dynamic dimensions are batch, then time."""
    *dims, element = tensor[len("tensor<") : -1].split("x")
    dynamic = iter(sizes.values())
    return tuple(next(dynamic) if dim == "?" else int(dim) for dim in dims), element


Port = namedtuple("Port", "value type name state")


def parse_ports(text, prefix):
    """Arguments or results of sm1.model with their names in files."""
    ports = []
    for value, tensor, attributes in re.findall(rf"(?:({VALUE}): )?(tensor<[^>]*>) \{{([^}}]*)\}}", text):
        name, state = (re.search(rf'sm1\.{key} = "([^"]*)"', attributes) for key in ("name", "state"))
        ports.append(Port(value, tensor, name.group(1) if name else prefix + state.group(1), bool(state)))
    return ports


class Model:
    def __init__(self, path):
        with (sys.stdin if path == "-" else open(path)) as file:
            lines = iter([line.strip() for line in file if line.strip() and not line.lstrip().startswith("//")])
        (operation,) = find(parse_block(lines), "sm1.model")
        arguments, results = operation.text.split(" -> ")
        self.arguments, self.results = parse_ports(arguments, "state_in."), parse_ports(results, "state_out.")
        self.body = operation.body


# Operators ----------------------------------------------------------------------------------------------------------


def round_to(element, x):
    """Values of type `element`, in float64."""
    if element == "bf16":
        return tensors.widen_bf16(tensors.round_bf16(x)).astype(np.float64)
    return np.asarray(x, {"f16": np.float16, "f32": np.float64}[element]).astype(np.float64)


def constant(text):
    number = re.match(r"(?:dense<)?([^ >]+)", text).group(1)
    if number.startswith("0x"):
        return np.float64(struct.unpack(">f", bytes.fromhex(number[2:]))[0])
    return {"true": True, "false": False}.get(number) if number[0] in "tf" else np.float64(number)


def scan(decay, value, init, closed_form):
    if closed_form:
        decay, value, init = (np.asarray(x, np.float32) for x in (decay, value, init))
        product = np.cumprod(decay, 1)
        h = product * (init[:, None] + np.cumsum(value / np.maximum(product, np.float32(1e-6)), 1))
    else:
        h, state = np.empty_like(value), init
        for t in range(value.shape[1]):
            h[:, t] = state = decay[:, t] * state + value[:, t]
    return h.astype(np.float64), h[:, -1].astype(np.float64)


def selective_scan(dt, value, a, b, c, init):
    y, state = np.empty_like(dt), init
    for t in range(dt.shape[1]):
        state = np.exp(dt[:, t, :, None] * a) * state + value[:, t, :, None] * b[:, t, None]
        y[:, t] = (state * c[:, t, None]).sum(-1)
    return y, state


def conv1d(x, weight, bias, taps):
    window = np.concatenate([taps.transpose(0, 2, 1), x], 1)
    width, time = weight.shape[2], x.shape[1]
    result = bias + sum(weight[:, 0, j] * window[:, j : j + time] for j in range(width))
    return result, window[:, time:].transpose(0, 2, 1)


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def erf(x):
    return np.vectorize(__import__("math").erf)(x)


COMPARE = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal}
ELEMENTWISE = {
    "arith.addf": np.add, "arith.subf": np.subtract, "arith.mulf": np.multiply, "arith.divf": np.divide, "arith.negf": np.negative,
    "arith.maximumf": np.maximum, "arith.minimumf": np.minimum, "arith.maxnumf": np.fmax, "arith.minnumf": np.fmin,
    "arith.select": np.where, "math.absf": np.abs, "math.ceil": np.ceil, "math.cos": np.cos, "math.erf": erf, "math.exp": np.exp,
    "math.exp2": np.exp2, "math.expm1": np.expm1, "math.floor": np.floor, "math.fma": lambda a, b, c: a * b + c, "math.log": np.log,
    "math.log1p": np.log1p, "math.log2": np.log2, "math.powf": np.power, "math.rsqrt": lambda x: 1 / np.sqrt(x), "math.sin": np.sin,
    "math.sqrt": np.sqrt, "math.tanh": np.tanh, "math.copysign": np.copysign, "math.atan": np.arctan,
}  # fmt: skip


class Interpreter:
    """Runs blocks on values {name: array}. `layer` is the number that {i} stands for."""

    def __init__(self, params, batch, time):
        self.params, self.batch, self.time, self.layer = params, batch, time, None

    def run(self, block, values):
        """The operands of the block's terminator."""
        for operation in block:
            operands = [values[name] for name in re.findall(VALUE, operation.text) if name in values]
            if operation.name in ("sm1.return", "sm1.yield"):
                return operands
            results = self.evaluate(operation, operands, values)
            results = results if isinstance(results, (tuple, list)) else (results,)
            values.update(zip(operation.results, results))
        sys.exit("spec_reference: a block without a terminator")

    def evaluate(self, operation, operands, values):
        name, text = operation.name, operation.text
        if name in ELEMENTWISE:
            return ELEMENTWISE[name](*operands)
        method = getattr(self, name.replace(".", "_"), None)
        if not method:
            sys.exit(f"spec_reference: no meaning for {name}")
        return method(operation, operands, values) if operation.body is not None else method(text, *operands)

    def arith_constant(self, text):
        return constant(text)

    def arith_truncf(self, text, x):
        return round_to(shape_of(text.split(" to ")[1], batch=0, time=0)[1], x)

    def arith_extf(self, text, x):
        return x

    def arith_cmpf(self, text, a, b):
        return COMPARE[text[1:3]](a, b)

    def sm1_param(self, text):
        name, rows = re.match(r'"([^"]*)"(?: rows (\d+ to \d+))?', text).groups()
        value = self.params[name.replace("{i}", str(self.layer))]
        first, end = rows.split(" to ") if rows else (0, len(value))
        element = shape_of(text.rsplit(" : ", 1)[1])[1]
        return round_to(element, value[int(first) : int(end)])

    def sm1_broadcast(self, text, value):
        return np.broadcast_to(value, shape_of(text.split(" to ")[1], batch=self.batch, time=self.time)[0])

    def sm1_embedding(self, text, tokens, table):
        return table[tokens]

    def sm1_linear(self, text, x, weight):
        return x @ weight.T

    def sm1_rms_norm(self, text, x, weight):
        return rms_norm(x, weight, float(re.search(r" eps ([^ ]+)", text).group(1)))

    def sm1_conv1d(self, text, *operands):
        return conv1d(*operands)

    def sm1_scan(self, text, decay, value, init=None):
        init = np.zeros_like(value[:, 0]) if init is None else init
        return scan(decay, value, init, "form closed_form" in text)

    def sm1_selective_scan(self, text, dt, value, a, b, c, init=None):
        return selective_scan(dt, value, a, b, c, np.zeros((*dt[:, 0].shape, a.shape[1])) if init is None else init)

    def sm1_split(self, text, x):
        widths = [shape_of(part, batch=0, time=0)[0][-1] for part in re.findall(r"tensor<[^>]*>", text.split(" into ")[1])]
        return np.split(x, np.cumsum(widths)[:-1], -1)

    def sm1_select_rows(self, text, x):
        return x

    def sm1_layers(self, operation, operands, values):
        count, carried, states = re.match(r"(\d+) carry\((.*?)\)(?: state\((.*?)\))? ", operation.text).groups()
        split = lambda text: [pair.split(" = ") for pair in re.findall(f"{VALUE} = {VALUE}", text or "")]
        carry = [values[operand] for _, operand in split(carried)]
        stacks = [values[operand] for _, operand in split(states)]
        names, outs = [name for name, _ in split(carried) + split(states)], []
        for self.layer in range(int(count)):
            results = self.run(operation.body, dict(zip(names, carry + [stack[:, self.layer] for stack in stacks])))
            carry = results[: len(carry)]
            outs.append(results[len(carry) :])
        self.layer = None
        return carry + [np.stack(parts, 1) for parts in zip(*outs)]

    def sm1_kernel(self, operation, operands, values):
        pairs = [pair.split(" = ") for pair in re.findall(f"{VALUE} = {VALUE}", operation.text)]
        return self.run(operation.body, {name: values[operand] for name, operand in pairs})

    def sm1_launch(self, operation, operands, values):
        return self.run(operation.body, dict(values))


# Command line -------------------------------------------------------------------------------------------------------


def run(model, params, given):
    """{name: float32 array} of every result."""
    streams = [port for port in model.arguments if not port.state]
    batch, time = given[streams[0].name].shape[:2]
    values = {}
    for port in model.arguments:
        shape, element = shape_of(port.type, batch=batch, time=time)
        value = given.get(port.name) if not port.state else given.get(port.name, np.zeros(shape))
        if value is None or value.shape != shape:
            sys.exit(f"spec_reference: input '{port.name}' must have shape {shape}, got {None if value is None else value.shape}")
        values[port.value] = value if element == "i32" else value.astype(np.float64)
    params = {name: value.astype(np.float64) for name, value in params.items()}
    results = Interpreter(params, batch, time).run(model.body, values)
    return {port.name: np.asarray(value, np.float32) for port, value in zip(model.results, results)}


def random_tensor(name, shape, seed):
    """Matrices of about unit gain, norms near one, the rest small; from a stream of its own per name."""
    values = np.random.RandomState(zlib.crc32(name.encode()) ^ seed).standard_normal(shape)
    if len(shape) == 1:
        return (0.1 * values + ("norm" in name)).astype(np.float32)
    return (values / np.sqrt(shape[-1])).astype(np.float32)


def random_params(model, seed):
    counts = {id(o): int(loop.text.split()[0]) for loop in find(model.body, "sm1.layers") for o in find(loop.body, "sm1.param")}
    params = {}
    for operation in find(model.body, "sm1.param"):
        name, rows = re.match(r'"([^"]*)"(?: rows \d+ to \d+ of (\d+))?', operation.text).groups()
        shape = shape_of(operation.text.rsplit(" : ", 1)[1])[0]
        for layer in range(counts.get(id(operation), 1)):
            full = name.replace("{i}", str(layer))
            params[full] = random_tensor(full, (int(rows), *shape[1:]) if rows else shape, seed)
    return params


def random_inputs(model, batch, time, seed):
    tables = [int(rows) for o in find(model.body, "sm1.embedding") for rows in re.findall(r"tensor<(\d+)x", o.text)]
    inputs = {}
    for port in model.arguments:
        shape, element = shape_of(port.type, batch=batch, time=time)
        random = np.random.RandomState(zlib.crc32(port.name.encode()) ^ seed)
        values = random.randint(0, min(tables), shape).astype(np.int32) if element == "i32" else random.randn(*shape)
        inputs[port.name] = values if element == "i32" else values.astype(np.float32)
    return inputs


def main(command, spec, *arguments):
    model = Model(spec)
    if command == "run":
        params, given, target = arguments
        tensors.save(target, run(model, {} if params == "-" else tensors.load(params), tensors.load(given)))
    elif command == "params":
        tensors.save(arguments[0], random_params(model, int(arguments[1])))
    elif command == "inputs":
        tensors.save(arguments[0], random_inputs(model, *map(int, arguments[1:])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
