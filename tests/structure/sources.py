#!/usr/bin/env python3
"""sources.py ROOT: what may stand in a file of this repository.

No source file is longer than 600 lines (PTX, which a compiler writes, may be), none is a promise of work to come, and none speaks
of a place outside the repository other than what a system has: an absolute path starts in a standard system folder, a relative one
leads to something that exists, and an address belongs to a public project whose documents we cite.
"""
import pathlib
import re
import shutil
import subprocess
import sys

LONGEST = 600
FOLDERS = {"compiler", "dialect", "kernels", "runtime", "tests", "tools"}
TOP_LEVEL = FOLDERS | {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md"}
SYSTEM = {"bin", "dev", "etc", "lib", "nowhere", "opt", "proc", "run", "sys", "tmp", "usr", "var"}
HOSTS = ("apache.org", "arxiv.org", "debian.org", "doi.org", "github.com", "huggingface.co", "llvm.org", "nvidia.com", "w3.org")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

ABSOLUTE = re.compile(r"""(?<![^\s"'`(=:\[,])/([a-z][\w.-]*)/[\w.*-]""")
RELATIVE = re.compile(r"""(?<![\w./}$)*-])((?:\.\./)+[A-Za-z][\w./-]*)""")
ADDRESS = re.compile(r"https?://([\w.-]+)")


def files_of(root):
    """Tracked files and those git would track; every file outside build folders where there is no git."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True) if shutil.which("git") else None
    if listed and listed.returncode == 0:
        paths = [root / line for line in listed.stdout.splitlines()]
    else:
        paths = [p for p in root.rglob("*") if not p.relative_to(root).parts[0].startswith((".git", "build"))]
    return [p for p in paths if p.is_file()]


def line_problems(path, line):
    if UNFINISHED.search(line):
        yield "a promise of work to come; do it or drop it"
    for match in ABSOLUTE.finditer(line):
        if match[1] not in SYSTEM:
            yield f"absolute path {match[0]}; name files relative to the repository"
    for match in RELATIVE.finditer(line):
        if not (path.parent / match[1].rstrip(".")).exists():
            yield f"{match[1]} leads nowhere"
    for match in ADDRESS.finditer(line):
        if not match[1].endswith(HOSTS):
            yield f"address {match[1]} is none of the projects that may be cited"


def problems_of(root):
    for path in files_of(root):
        name = path.relative_to(root)
        if name.parts[0] not in TOP_LEVEL and not name.parts[0].startswith("."):
            yield f"{name}: does not belong to the top level"
        data = path.read_bytes()
        if b"\0" in data or name.parts[:2] == ("tests", "data"):
            continue
        lines = data.decode("utf-8").splitlines()
        if len(lines) > LONGEST and path.suffix != ".ptx":
            yield f"{name}: {len(lines)} lines, at most {LONGEST}; split it"
        for number, line in enumerate(lines, 1):
            for problem in line_problems(path, line):
                yield f"{name}:{number}: {problem}"


def main(root):
    problems = list(problems_of(pathlib.Path(root).resolve()))
    print("\n".join(problems) or "every file is as it should be")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
