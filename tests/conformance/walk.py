#!/usr/bin/env python3
"""Walks through README.md as its reader would: every command of some sections, as printed, in a folder that holds nothing but the
reader's own music and the programs.

  walk.py --bin DIR --work DIR --readme FILE

The reader's checkpoint, CHECKPOINT there, is a model made by hand that remembers the tempo it was asked for, so that steering it can
be heard.
"""
import array
import json
import pathlib
import re
import shlex
import shutil
import struct
import sys
import wave
import xml.etree.ElementTree as xml

from harness import DATA, HERE, Programs, Report, parser

sys.path.insert(0, str(HERE.parent / "tools"))
import make_metronome

SECTIONS = ("First model", "Your own MIDI", "What its pieces are like", "A piece as a file")
PROGRAMS = ("build/bin/sm1c", "build/bin/sm1-run")
SHORTER = {"CHECKPOINT": "metronome", "--samples 200": "--samples 3", "--max-tokens 2000": "--max-tokens 300"}
PROMPT_BARS, NEW_BARS = 4, 32
TICKS = 480


def commands(readme):
    """The commands of the sections that run one of the programs, in order, without comments."""
    for section in SECTIONS:
        text = re.search(rf"^## {section}\n(.*?)(?=^## )", readme, re.M | re.S)[1]
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] in PROGRAMS:
                    for long, short in SHORTER.items():
                        line = line.replace(long, short)
                    yield shlex.split(line, comments=True)


def own_song(bars):
    """A MIDI file of our own making: a cadence in half notes over and over, at 96 quarters a minute."""
    cadence = ((48, 55, 64, 72), (53, 57, 65, 72), (43, 59, 62, 71), (48, 55, 64, 72))
    events = b"\x00\xff\x51\x03" + struct.pack(">I", 60_000_000 // 96)[1:] + b"\x00\xc0\x13"
    for half in range(2 * bars):
        chord = cadence[half % len(cadence)]
        events += b"".join(bytes((0, 0x90, pitch, 80)) for pitch in chord)
        events += bytes((0x87, 0x40, 0x80, chord[0], 0)) + b"".join(bytes((0, 0x80, pitch, 0)) for pitch in chord[1:])
    events += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(events)) + events


def prepare(folder, bin_folder):
    """What the reader has: a clone that is built, and music."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "build").mkdir(parents=True)
    (folder / "build" / "bin").symlink_to(pathlib.Path(bin_folder).resolve())
    (folder / "tests").mkdir()
    (folder / "tests" / "data").symlink_to(DATA)
    (folder / "song.mid").write_bytes(own_song(8))
    (folder / "songs").mkdir()
    for name, bars in (("one.mid", 2), ("two.midi", 5)):
        (folder / "songs" / name).write_bytes(own_song(bars))
    make_metronome.write(folder / "metronome")


def follow(programs, folder, words):
    """A command as printed; a package with no options of its own is the one that other tests have, where that is compiled already."""
    if words[0] == PROGRAMS[0] and words[2:3] == ["-o"] and len(words) == 4:
        return programs.kept.compile((folder / words[1]).resolve(), folder / words[3], environment=programs.environment)
    return programs.run(*words, cwd=folder)


def walk(programs, report, folder, readme):
    """Runs everything; returns what each command that writes FILE with -o said, by FILE."""
    said = {}
    for words in commands(readme):
        done = follow(programs, folder, words)
        if words[1] == "render" and ("fluidsynth: not found" in done.stderr or "soundfont: none found" in done.stderr):
            report.check("apt-get install fluidsynth" in done.stderr, f"no way out is said: {done.stderr}")
            report.skip("sound: fluidsynth or a soundfont is not installed")
            continue
        report.check(done.returncode == 0, f"{' '.join(words)}: {done.stderr}")
        said[words[words.index("-o") + 1] if "-o" in words else words[1]] = done.stdout
    return said


def tokens_of(programs, folder, midi):
    programs.must(programs.sm1_run, "tokenize", folder / midi, "-o", folder / "check.json")
    return json.loads((folder / "check.json").read_text())[0]


def check_continuation(programs, report, folder, said):
    song, continued = tokens_of(programs, folder, "song.mid"), tokens_of(programs, folder, "continued.mid")
    bars = [index for index, token in enumerate(song) if token == 3]
    # Where a bar stands in the piece (section tokens, 158 on) changes when the piece grows.
    kept = [token for token in song[: bars[PROMPT_BARS]] if token < 158]
    report.check([token for token in continued if token < 158][: len(kept)] == kept, "the prompt is not what the piece starts with")
    lines = [int(number) for number in re.findall(r"^bar (\d+) ", said["continued.mid"], re.M)]
    report.check(lines == list(range(PROMPT_BARS + 1, PROMPT_BARS + NEW_BARS + 1)), f"--follow says the bars {lines}")
    report.check(f"{PROMPT_BARS + NEW_BARS} bars" in said["continued.mid"], f"the summary: {said['continued.mid'][-300:]}")
    notes = sum(29 <= token < 117 for token in continued)
    boxes = [box for box in xml.parse(folder / "continued.svg").getroot().iter() if box.get("opacity")]
    report.check(notes > 200 and len(boxes) >= notes * 0.9, f"{notes} notes, {len(boxes)} of them in the picture")


def check_sound(report, path):
    with wave.open(str(path)) as file:
        seconds = file.getnframes() / file.getframerate()
        samples = array.array("h", file.readframes(file.getnframes()))
    report.check(seconds > 30, f"{seconds:.0f} s of sound")
    parts = [max(map(abs, samples[len(samples) * part // 10: len(samples) * (part + 1) // 10])) for part in range(10)]
    report.check(min(parts) > 500, f"a tenth of the piece is silent: {parts}")


def tempos_of(data):
    return [round(60e6 / int.from_bytes(data[at + 3: at + 6], "big")) for at in range(len(data)) if data[at: at + 3] == b"\xff\x51\x03"]


def check_steering(programs, report, folder):
    got = tempos_of((folder / "slow.mid").read_bytes())
    report.check(got and set(got) == {60}, f"tempo=60 gives {got}")
    for asked, bpm in ((50, 60), (119, 100), (120, 140), (300, 180)):
        out = folder / "steered.mid"
        programs.must(programs.sm1_run, "generate", folder / "metronome", "-o", out, "--cond", f"tempo={asked}", "--bars=3")
        got = tempos_of(out.read_bytes())
        report.check(got and set(got) == {bpm}, f"tempo={asked} gives {got}, not {bpm}")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--readme", required=True, type=pathlib.Path)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    folder = programs.work / "empty"
    prepare(folder, a.bin)
    said = walk(programs, report, folder, a.readme.read_text(encoding="utf-8"))
    check_continuation(programs, report, folder, said)
    if "continued.wav" in said:
        check_sound(report, folder / "continued.wav")
    check_steering(programs, report, folder)
    report.check("dissonant beats" in said["report"] and "reference" in said["report"], f"the report: {said['report']}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
