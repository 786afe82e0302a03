#!/usr/bin/env python3
"""bench_torch.py BENCH_TORCH FOLDER: what tools/bench-torch says where it cannot run. Its Python is one in which there is no torch."""
import pathlib
import subprocess
import sys


def said(bench_torch, folder, *options):
    """Exit code and standard error of the tool with a torch that cannot be imported."""
    absent = folder / "absent"
    absent.mkdir(parents=True, exist_ok=True)
    (absent / "torch.py").write_text("raise ImportError('no torch', name='torch')\n")
    done = subprocess.run([sys.executable, bench_torch, *options], capture_output=True, text=True, env={"PYTHONPATH": str(absent)})
    return done.returncode, done.stderr.strip()


def main(bench_torch, folder):
    folder = pathlib.Path(folder)
    code, text = said(bench_torch, folder, "--threads=1")
    assert code == 1 and len(text.splitlines()) == 1 and "has no torch; run tools/bench-torch with a Python that has" in text, text
    code, text = said(bench_torch, folder, "--times", "8x4096", "8by9")
    assert code == 1 and text == "error: --times 8by9: is no number of tokens and no BATCHxTOKENS", text
    code, text = said(bench_torch, folder, "--steps=0")
    assert code == 1 and text == "error: --steps 0: a decode has at least one", text
    code, text = said(bench_torch, folder, "--threads=100000")
    assert code == 1 and len(text.splitlines()) == 1 and "100000 threads, this process may use 1 to" in text, text


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
