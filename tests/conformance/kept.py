#!/usr/bin/env python3
"""Packages that an earlier run of the tests compiled from the same contents: they are taken again, as ccache does with object files; and
numbers of the float64 references, which no compiler changes.

  kept.py SM1C SOURCE -o PACKAGE OPTIONS...

That the same request gives the same bytes is a test of its own (sm1c-package.test), and that one always compiles. A request is the bytes
of sm1c, the libraries and the ptxas that it uses, the machine's processor, the words of the command line and the bytes of every file that
they name. What sm1c said is kept with the package. Of four compilers packages are kept; SM1_TEST_COMPILE=always keeps nothing.

Among the names of --target, `own` are the levels that this machine executes, `best` is the one of them that sm1-run takes by itself, for
tests that run no other. --for-gpu=CHIP is for tests that run on a real GPU only: without one nothing is compiled, which ctest shows as a
skip. --cubin-for=CHIP is for those that run on the emulator, too: without a GPU nothing is assembled.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from devices import compute_of, machine_isas, missing_gpu, without_ptxas

TARGET, FOR_GPU, CUBIN_FOR = "--target=", "--for-gpu=", "--cubin-for="
SKIPPED = 77
KEEPING_PTXAS = "tests/ptxas"  # end of the folder of one that only keeps what another makes: tools/ptxas.py
REFERENCES = pathlib.Path(__file__).resolve().parent.parent / "reference"
COMPILERS = 4                  # whose packages are kept at once
LARGEST = 64 << 20  # bytes of a package that is worth keeping


def digest_of(path):
    """Of a file, or of all files of a folder with their names."""
    digest = hashlib.blake2b(digest_size=20)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with open(file, "rb") as stream:
                while part := stream.read(1 << 20):
                    digest.update(part)
    return digest.hexdigest()


def machine():
    """What `native` may mean."""
    with open("/proc/cpuinfo") as file:
        lines = {line.strip() for line in file if line.startswith(("flags", "model name", "Features", "CPU part"))}
    return [*sorted(lines), f"{os.cpu_count()} processors"]


def compiler_digest(sm1c):
    """Of sm1c; its libraries and ptxas are those of the system, replaced as a whole, so their sizes and times tell."""
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.endswith(KEEPING_PTXAS))
    assemblers = [shutil.which("ptxas", path=path), f"{os.environ.get('CUDA_HOME', '')}/bin/ptxas", "/usr/local/cuda/bin/ptxas"]
    libraries = re.findall(r"=> (/\S+)", subprocess.run(["ldd", sm1c], capture_output=True, text=True).stdout)
    files = libraries + [name for name in assemblers if name and os.path.isfile(name)]
    stats = [f"{name} {(stat := os.stat(name)).st_size} {stat.st_mtime_ns}" for name in files]
    return hashlib.blake2b("\n".join([digest_of(pathlib.Path(sm1c)), *stats, *machine()]).encode(), digest_size=12).hexdigest()


class Kept:
    """The packages of one sm1c, in a folder beside the build's programs."""

    def __init__(self, sm1c):
        self.sm1c, self.found = str(sm1c), None
        self.always = os.environ.get("SM1_TEST_COMPILE") == "always"

    def folder(self):
        if not self.found:
            place = pathlib.Path(self.sm1c).parent.parent / "tests" / "packages" / "kept"
            self.found = place / compiler_digest(self.sm1c)
            if not self.found.is_dir():
                self.found.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # another test may be at it, too
                    for other in sorted(place.glob("*"), key=os.path.getmtime)[:-COMPILERS]:
                        shutil.rmtree(other, ignore_errors=True)
        return self.found

    def key(self, words, environment):
        """Of a request: its words, and the contents of what they name."""
        settings = [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith("SM1_")]
        named = {part for word in words for part in [word, *word.partition("=")[2].split(",")] if part and os.path.exists(part)}
        contents = [f"{part} {digest_of(pathlib.Path(part))}" for part in sorted(named)]
        text = "\0".join([os.getcwd(), *words, *settings, *contents])
        return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()

    def compile(self, source, package, *options, environment=os.environ):
        """As subprocess.run with its text: compiles, or copies what the same request gave."""
        words = [str(source), *map(str, options)]
        run = lambda: subprocess.run([self.sm1c, words[0], "-o", str(package), *words[1:]], capture_output=True, text=True,
                                     env=environment, stdin=subprocess.DEVNULL)  # fmt: skip
        if self.always:
            return run()
        kept = self.folder() / self.key(words, environment)
        said = kept.with_suffix(".txt")
        if said.is_file():  # written last
            shutil.copyfile(kept, package)
            return subprocess.CompletedProcess(words, 0, "", said.read_text())
        done = run()
        if done.returncode == 0 and not done.stdout and os.path.getsize(package) <= LARGEST:
            put(kept, lambda file: shutil.copyfile(package, file))
            put(said, lambda file: pathlib.Path(file).write_text(done.stderr))
        return done

    def text(self, make, *what):
        """The text that make() gives, or that it gave for the same words before."""
        if self.always:
            return make()
        kept = self.folder() / f"{hashlib.blake2b(chr(0).join(map(str, what)).encode(), digest_size=20).hexdigest()}.text"
        if not kept.is_file():
            made = make()
            put(kept, lambda file: pathlib.Path(file).write_text(made))
        return kept.read_text()


    def reference(self, make, *what):
        """What make() gives, as JSON: numbers of float64 that follow from `what` and the code of the references, whichever compiler."""
        if self.always:
            return make()
        code = [file for folder in (REFERENCES, pathlib.Path(__file__).parent) for file in sorted(folder.glob("*.py"))]
        words = "\0".join([*(f"{file.name} {digest_of(file)}" for file in code), numpy_version(), *map(str, what)])
        place = pathlib.Path(self.sm1c).parent.parent / "tests" / "packages" / "references"
        kept = place / f"{hashlib.blake2b(words.encode(), digest_size=20).hexdigest()}.json"
        if not kept.is_file():
            made = json.dumps(make())
            put(kept, lambda file: pathlib.Path(file).write_text(made))
        return json.loads(kept.read_text())


def numpy_version():
    import numpy  # takes longer than all else here

    return numpy.__version__


def put(target, write):
    """Whole or not at all: several tests may keep the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    write(name)
    os.replace(name, target)


def main():
    sm1c, source, flag, package, *options = sys.argv[1:]
    if flag != "-o":
        sys.exit(__doc__)
    chips = [option.partition("=")[2] for option in options if option.startswith(FOR_GPU)]
    if chips and missing_gpu(chips[0]):
        print(f"SKIPPED {package}: {missing_gpu(chips[0])}")
        return SKIPPED
    emulated = any(option.startswith(CUBIN_FOR) and missing_gpu(option.partition("=")[2]) for option in options)
    options = [option for option in options if not option.startswith((FOR_GPU, CUBIN_FOR))]
    own = machine_isas(compute_of(options)) or ["native"]
    named = {"own": ",".join(own), "best": own[-1]}
    options = [TARGET + ",".join(named.get(name, name) for name in option[len(TARGET):].split(",")) if option.startswith(TARGET) else option
               for option in options]  # fmt: skip
    done = Kept(sm1c).compile(source, package, *options, environment={**os.environ, **(without_ptxas() if emulated else {})})
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
