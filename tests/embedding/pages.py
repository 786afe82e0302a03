"""The pages of runtime/docs as programs: a page's ```c blocks are one C program, its ```cpp blocks one C++ program, its ```sh blocks one
script, each read from top to bottom. What a block includes or defines outside of a function starts at its first column with #include,
static or struct; everything else stands in main. They run in a folder that holds chorales.sm1pkg and tiny.sm1pkg.
"""
import pathlib
import re
import shutil

BLOCK = re.compile(r"^```(c|cpp|sh)\n(.*?)^```$", re.M | re.S)
OUTSIDE = ("#include", "static ", "struct ", "using namespace")


def program_of(blocks):
    """Blocks that open outside of a function stand before main."""
    outside = [block for block in blocks if block.startswith(OUTSIDE)]
    inside = [block for block in blocks if not block.startswith(OUTSIDE)]
    return "".join([*outside, "\nint main(void) {\n", *inside, "  return 0;\n}\n"])


def sources_of(page, work):
    """Writes the programs of a page; {language: (source, number of blocks)}."""
    blocks = {}
    for language, text in BLOCK.findall(page.read_text()):
        blocks.setdefault(language, []).append(text)
    sources = {}
    for language, texts in blocks.items():
        source = work / f"{page.stem}.{language}"
        source.write_text("".join(texts) if language == "sh" else program_of(texts))
        sources[language] = source, len(texts)
    return sources


def check_pages(programs, report, installed, build, folder, music, small):
    """Every block compiles; where there are packages, every program and script ends well."""
    work = programs.work / "pages"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "build").symlink_to(build)
    programs.environment["PATH"] = f"{pathlib.Path(programs.sm1_run).parent}:{programs.environment['PATH']}"
    if music:
        (work / "chorales.sm1pkg").symlink_to(music)
        (work / "tiny.sm1pkg").symlink_to(small)
    pages = sorted(folder.glob("*.md"))
    report.check(len(pages) >= 7, f"{folder}: {len(pages)} pages")
    snippets = 0
    for page in pages:
        for language, (source, count) in sources_of(page, work).items():
            snippets += count
            command = ["bash", "-euo", "pipefail", source]
            if language != "sh":
                # Pages say what a value is without always using it.
                command = [installed.compile(source, f"pages/{page.stem}-{language}", "-Wno-unused-variable")]
            if music:
                done = programs.run(*command, cwd=work)
                report.check(done.returncode == 0, f"{page.name}, {language}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    report.check(snippets >= 30, f"{snippets} snippets in {len(pages)} pages")
