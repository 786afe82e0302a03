#!/usr/bin/env python3
"""sm1-lsp-server, asked as an editor asks: what is wrong and where, what an operation is, where a value comes from, what may follow.

  lsp.py SERVER SPEC
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
from harness import Report


class Server:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.number, self.notes = 0, []

    def send(self, method, values, **more):
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": values, **more}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def read(self):
        size = 0
        while (line := self.process.stdout.readline().strip()) or not size:
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return json.loads(self.process.stdout.read(size))

    def ask(self, method, **values):
        self.number += 1
        self.send(method, values, id=self.number)
        while (answer := self.read()).get("id") != self.number:
            self.notes.append(answer)
        return answer.get("result")

    def open(self, uri, text):
        """Opens a document; its diagnostics."""
        self.send("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "mlir", "version": 1, "text": text}})
        while True:
            note = self.notes.pop(0) if self.notes else self.read()
            if note.get("method") == "textDocument/publishDiagnostics" and note["params"]["uri"] == uri:
                return note["params"]["diagnostics"]


def place(text, word, inside=0):
    """Line and character of the first `word`."""
    before = text[: text.index(word) + inside]
    return {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}


def check_documentation(report, server, at, text):
    """Hovers say what an operation means, before its generic form; on a result, too, and for operations of MLIR's own dialects."""
    def shown(word, inside):
        hover = server.ask("textDocument/hover", **at, position=place(text, word, inside))
        report.check(hover and hover["contents"]["kind"] == "markdown" and "range" in hover, f"{word}: hover {hover}")
        return (hover or {}).get("contents", {}).get("value", "")

    scan = shown("sm1.scan %decay", 2)
    summary, formula = "_First-order recurrence along time, one f32 of state per channel_", "h[b, t, c]  = decay[b, t, c] * h[b, t-1, c]"
    report.check(scan.startswith('"sm1.scan"') and 0 < scan.find(summary) < scan.find(formula) < scan.find("Generic Form"),
                 f"no summary and formula before the generic form: {scan}")
    report.check("scan_c1" in scan and "```mlir" in scan and "Traits:" not in scan and "::sm1::" not in scan.split("Generic Form")[0],
                 f"a hover for people has constraints and an example, and no C++: {scan}")
    report.check(summary in shown("%h, %last = sm1.scan", 1), "no summary on a result")
    multiply = shown("arith.mulf", 2)
    report.check("_Floating point multiplication operation_" in multiply and "operation ::= `arith.mulf`" in multiply, f"arith: {multiply}")
    report.check("_The same layer, repeated" in shown("%x = %x0", 1), "no documentation of the layers that an argument is of")


def main(program, spec):
    report, text = Report(), pathlib.Path(spec).read_text()
    server = Server(program)
    told = server.ask("initialize", processId=None, rootUri=None, capabilities={})["capabilities"]
    report.check(told.get("hoverProvider") and told.get("definitionProvider") and told.get("completionProvider"), f"capabilities: {told}")
    server.send("initialized", {})

    uri = "file:///tmp/good.mlir"
    report.check(server.open(uri, text) == [], "a good description has diagnostics")
    at = {"textDocument": {"uri": uri}}
    hover = server.ask("textDocument/hover", **at, position=place(text, "sm1.scan %decay", 2))
    report.check("sm1.scan" in json.dumps(hover) and "tensor<?x?x72xf32>" in json.dumps(hover), f"hover: {hover}")
    check_documentation(report, server, at, text)
    use = place(text, "sm1.scan %decay", len("sm1.scan %de"))
    definition = server.ask("textDocument/definition", **at, position=use)
    report.check(definition and definition[0]["range"]["start"]["line"] == place(text, "%decay = ")["line"], f"definition: {definition}")
    found = server.ask("textDocument/references", **at, position=use, context={"includeDeclaration": True})
    report.check(found and len(found) == 2, f"references: {found}")

    bad = text.replace("sm1.scan %decay, %input init %h0 : !inner", "sm1.scan %decay, %input init %h0 : !model")
    told = server.open("file:///tmp/bad.mlir", bad)
    report.check(len(told) == 1 and told[0]["range"]["start"]["line"] == place(bad, "sm1.scan")["line"] and "%decay" in told[0]["message"] or
                 "tensor<?x?x40xf32>" in json.dumps(told), f"diagnostics: {told}")
    begun = text.replace("sm1.scan %decay, %input", "sm1.", 1)
    server.open("file:///tmp/begun.mlir", begun)
    offered = server.ask("textDocument/completion", textDocument={"uri": "file:///tmp/begun.mlir"}, position=place(begun, "= sm1. init", 6))
    labels = [item["label"] for item in (offered or {}).get("items", [])]
    report.check("scan" in labels and "conv1d" in labels, f"completion: {labels}")
    server.ask("shutdown")
    server.send("exit", {})
    report.check(server.process.wait(10) == 0, "the server does not end")
    helped = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10)
    report.check(helped.returncode == 0 and "USAGE" in helped.stdout, f"--help: {helped}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
