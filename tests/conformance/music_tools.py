#!/usr/bin/env python3
"""What people do with music on the command line: follow, length and sections, pictures, sound, quality reports.

  music_tools.py --bin DIR --work DIR --package PKG

The package is the trained checkpoint, whose vocabulary has no conditioning ids.
"""
import array
import json
import re
import shutil
import sys
import wave
import xml.etree.ElementTree as xml

from harness import Programs, Report, parser

BOS, EOS, BAR, POS, TRACK, PITCH, DUR, VEL, SECTION = 1, 2, 3, 4, 20, 29, 117, 133, 158


def chord(position, pitches, track=7, duration=4):
    notes = [token for pitch in pitches for token in (PITCH + pitch - 21, DUR + duration - 1, VEL + 5)]
    return [POS + position, TRACK + track, *notes]


def piece(bars):
    """Each bar: a triad, a rest, a tritone, a single note; on two tracks."""
    tokens = [BOS]
    for _ in range(bars):
        tokens += [BAR, SECTION, *chord(0, (60, 64, 67)), *chord(8, (60, 66), track=0), *chord(12, (72,))]
    return tokens + [EOS]


def generate(programs, package, *options):
    out = programs.work / "made.json"
    said = programs.must(programs.sm1_run, "generate", package, "--tokens-out", out, *options)
    return json.loads(out.read_text()), said


def check_form(programs, report, package):
    """--bars and --sections are kept to by every piece of a batch."""
    lists, _ = generate(programs, package, "--bars=3", "--batch=3", "--seed=5")
    report.check([tokens.count(BAR) for tokens in lists] == [3, 3, 3], "--bars=3 gives other bars")
    report.check(all(tokens[-1] == EOS for tokens in lists), "--bars=3: a piece has no end")
    report.check(lists[0] != lists[1], "the variations are all the same")
    for options, sections in ((("--sections=late:2,early:1",), [2, 2, 0]), (("--sections=early,mid", "--bars=3"), [0, 0, 1])):
        lists, _ = generate(programs, package, *options)
        got = [token - SECTION for token in lists[0] if token >= SECTION]
        report.check(got == sections, f"{options}: sections {got}, not {sections}")


def check_follow(programs, report, package):
    """A line for every new bar, in order, that says the notes of the tokens."""
    prompt = programs.work / "prompt.json"
    prompt.write_text(json.dumps([piece(2)[:-1]]))
    lists, said = generate(programs, package, "--bars=4", "--follow", "--prompt", prompt)
    bars = re.findall(r"^bar (\d+) +(\w+) +(.*)$", said, re.M)
    report.check([int(bar[0]) for bar in bars] == [3, 4, 5, 6], f"bars {[bar[0] for bar in bars]} are said, not 3 to 6")
    notes = sum(len(re.findall(r"\b[A-G]#?-?\d\b", bar[2])) for bar in bars)
    new = lists[0][len(piece(2)) - 1:]
    report.check(notes == sum(DUR <= token < DUR + 16 for token in new), f"{notes} notes are said of {new}")
    _, said = generate(programs, package, "--bars=2", "--follow", "--batch=2")
    report.check(re.findall(r"^piece (\d+) +bar 2 ", said, re.M).count("1") == 1, f"the pieces of a batch are not told apart: {said}")


def check_penalty(programs, report, package):
    """A penalty looks at its own sequence: what another one of the batch has played changes nothing."""
    prompt = programs.work / "prompts.json"
    made = []
    for other in ([BOS], piece(3)[:-1]):
        prompt.write_text(json.dumps([other, [BOS, BAR, SECTION]]))
        lists, _ = generate(programs, package, "--prompt", prompt, "--max-tokens=120", "--repetition-penalty=2", "--penalty-window=40")
        made.append(lists[1])
    report.check(made[0] == made[1], "a piece depends on its neighbour in the batch")
    lists, _ = generate(programs, package, "--prompt", prompt, "--max-tokens=120", "--repetition-penalty=1")
    report.check(made[0] != lists[1], "the penalty changes nothing")


def check_pictures(programs, report):
    tokens, song, svg = (programs.work / name for name in ("two.json", "two.mid", "two.svg"))
    tokens.write_text(json.dumps(piece(20)))
    programs.must(programs.sm1_run, "tokenize", tokens, "-o", song)
    for source in (tokens, song):
        programs.must(programs.sm1_run, "draw", source, "-o", svg, "--title", "R&B <live>")
        root = xml.parse(svg).getroot()
        voices = [group for group in root if group.tag.endswith("}g")]
        report.check([len(group) for group in voices] == [40, 80], f"{source.name}: notes by voice {[len(v) for v in voices]}")
        report.check(len({group.get("fill") for group in voices}) == 2, f"{source.name}: voices have one colour")
        texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
        for text in ("R&B <live>", "piano", "organ", "C4", "C5", "1", "20"):
            report.check(text in texts, f"{source.name}: {text!r} is not in the picture")
    lists = programs.work / "several.json"
    lists.write_text(json.dumps([piece(1), piece(2)]))
    programs.must(programs.sm1_run, "draw", lists, "-o", programs.work / "several.svg")
    report.check((programs.work / "several-1.svg").exists(), "the second list has no picture")


def loudest(path):
    with wave.open(str(path)) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        return max(map(abs, samples), default=0), file.getnframes() / file.getframerate()


def check_sound(programs, report, package):
    song, out = programs.work / "two.mid", programs.work / "two.wav"
    environment = dict(programs.environment)
    programs.environment["PATH"] = "/nowhere"
    done = programs.run(programs.sm1_run, "render", song, "-o", out)
    programs.environment = environment
    report.check(done.returncode == 1 and "apt-get install fluidsynth" in done.stderr, f"no way out is said: {done.stderr}")
    report.check(not out.exists(), "a WAV file without fluidsynth")
    if not shutil.which("fluidsynth"):
        return report.skip("sound: fluidsynth is not installed")
    done = programs.run(programs.sm1_run, "render", song, "-o", out)
    if "soundfont: none found" in done.stderr:
        return report.skip("sound: no soundfont is installed")
    peak, seconds = loudest(out)
    report.check(1000 < peak < 32767, f"the loudest sample is {peak}")
    report.check(40 <= seconds < 50, f"{seconds:.1f} s of sound for 20 bars at 120")
    done = programs.run(programs.sm1_run, "render", song, "-o", programs.work / "refused.wav", "--soundfont", programs.work / "no.sf2")
    report.check("no such soundfont" in done.stderr, f"a missing soundfont: {done.stderr}")
    silence = programs.work / "silence.json"
    silence.write_text(json.dumps([[BOS, BAR, SECTION, EOS]]))
    done = programs.run(programs.sm1_run, "render", silence, "-o", programs.work / "refused.wav")
    report.check(done.returncode == 1 and "nothing sounds" in done.stderr, f"silence: {done.stderr}")
    generate(programs, package, "--bars=1", "--batch=2", "--wav", programs.work / "batch.wav")
    report.check(loudest(programs.work / "batch-1.wav")[0] > 500, "--wav of a batch is silent")


def check_report_of_music(programs, report):
    """Figures of pieces that were made to have them."""
    folder, out = programs.work / "music", programs.work / "figures.json"
    folder.mkdir(exist_ok=True)
    (folder / "pieces.json").write_text(json.dumps([piece(4), piece(2)[:-1]]))
    backwards = [BOS, BAR, SECTION, *chord(8, (60,)), *chord(4, (60,)), EOS]
    (programs.work / "backwards.json").write_text(json.dumps([backwards]))
    programs.must(programs.sm1_run, "report", folder, "--reference", programs.work / "backwards.json", "--json", out)
    got = json.loads(out.read_text())
    pieces, reference = got["pieces"], got["reference"]
    report.check((pieces["number"], pieces["ended"], pieces["bars"], pieces["notes"]) == (2, 0.5, 6, 36), f"{pieces}")
    report.check(pieces["beats"] == 12 and pieces["dissonant_beats"] == 0.5, f"beats {pieces['beats']}, {pieces['dissonant_beats']}")
    report.check(abs(pieces["repeated_bars"] - 4 / 6) < 1e-9, f"repeated bars {pieces['repeated_bars']}")
    report.check(pieces["pitch_classes"] == [18, 0, 0, 0, 6, 0, 6, 6, 0, 0, 0, 0], f"pitch classes {pieces['pitch_classes']}")
    report.check(sum(pieces["grammar_errors"].values()) == 0, f"errors {pieces['grammar_errors']}")
    report.check(reference["grammar_errors"]["positions that run backwards"] == 1, f"errors {reference['grammar_errors']}")
    report.check(abs(got["pitch_class_distance"] - 0.5) < 1e-9, f"distance {got['pitch_class_distance']}")


def check_report_of_model(programs, report, package):
    """The samples are those of generate, and what is said of them is what is true of their tokens."""
    out, samples = programs.work / "samples.json", programs.work / "report.json"
    options = ("--seed=4", "--temperature=1", "--top-p=0.95", "--no-grammar", "--max-tokens=400")
    said = programs.must(programs.sm1_run, "report", package, "--samples=6", *options, "--tokens-out", out, "--json", samples)
    lists = json.loads(out.read_text())
    made, _ = generate(programs, package, "--batch=6", *options)
    report.check(lists == made, "the samples are not what generate makes")
    figures = json.loads(samples.read_text())["samples"]
    report.check(figures["ended"] == sum(tokens[-1] == EOS for tokens in lists) / 6, f"ended: {figures['ended']}")
    report.check(figures["tokens"] == sum(map(len, lists)), f"tokens: {figures['tokens']}")
    report.check(figures["notes"] > 100 and 0 < figures["dissonant_beats"] < 0.7, f"no chorales: {figures}")
    report.check(f"{100 * figures['dissonant_beats']:.1f} %" in said, f"the table says otherwise: {said}")


def check_refusals(programs, report, package):
    tokens, song = programs.work / "two.json", programs.work / "two.mid"
    noise = programs.work / "noise.mid"
    noise.write_bytes(b"MThd but no more")
    picture, made = programs.work / "refused.svg", programs.work / "refused.mid"
    cases = [
        (["draw", song, "-o", programs.work / "refused.png"], "pictures are SVG"),
        (["draw", noise, "-o", picture], "noise.mid"),
        (["draw", package, "-o", picture], "neither .mid nor .json"),
        (["draw", tokens, "-o", picture, "--first-bar=21"], "it has bars 1 to 20"),
        (["render", package, "-o", programs.work / "refused.wav"], "neither .mid nor .json"),
        (["generate", package, "-o", made, "--sections=early:1,coda:1"], "no section 'coda'; there are early, mid, late"),
        (["generate", package, "-o", made, "--sections=early,mid"], "how many bars?"),
        (["generate", package, "-o", made, "--sections=early:2,mid"], "some have a number of bars"),
        (["generate", package, "-o", made, "--sections=early:2", "--bars=3"], "they have 2 bars and --bars is 3"),
        (["generate", package, "-o", made, "--sections=early:x"], "'x' bars of early"),
        (["generate", package, "-o", made, "--sections=early:1", "--no-grammar"], "without the grammar"),
        (["generate", package, "-o", made, "--bars=1", "--greedy"], "masks nothing"),
        (["generate", package], "nothing to write"),
        (["report", package, "--samples=1", "--reference", programs.work / "absent"], "no such file or folder"),
        (["report", programs.work / "music", "--tokens-out", programs.work / "refused.json"], "no samples for --tokens-out"),
        (["report", noise], "noise.mid"),
    ]
    prompt, song = programs.work / "read.json", programs.work / "read.mid"
    prompt.write_text(json.dumps([BOS]))
    shutil.copy(programs.work / "two.mid", song)
    copy = programs.work / "read.sm1pkg"
    shutil.copy(package, copy)
    lost = "is read by this command and would be lost"
    cases += [
        (["generate", copy, "-o", copy], lost),
        (["generate", copy, "-o", song, "--prompt", song], lost),
        (["generate", copy, "--tokens-out", prompt, "--prompt", prompt], lost),
        (["generate", copy, "-o", made, "--tokens-out", made], "is named for two outputs"),
        (["logits", copy, "--tokens", prompt, "--out", copy], lost),
    ]
    folder = programs.work / "trained"
    folder.mkdir()
    (folder / "model.pt").touch()
    cases += [
        (["generate", package, "-o", programs.work / "refused.wav"], "-o names a MIDI file"),
        (["generate", folder, "-o", made], "tools/convert-checkpoint makes a checkpoint of it"),
    ]
    misused = [
        (["generat", package, "-o", made], "'generat' is none of the commands of sm1-run: generate, tokenize"),
        (["generate", package, "-o", made, "--prompt", ""], "is empty, name a file"),
        (["generate", package, "-o", made, "--state-in", ""], "is empty, name a file"),
        (["generate", package, "-o", made, "--seed=-1"], "-1 is no whole number from 0"),
        (["generate", package, "-o", made, f"--seed={2**64}"], "is no whole number from 0"),
    ]
    for code, arguments, phrase in [(1, *case) for case in cases] + [(2, *case) for case in misused]:
        done = programs.run(programs.sm1_run, *arguments)
        report.check(done.returncode == code, f"{arguments}: exit code {done.returncode}")
        report.check(phrase in done.stderr, f"{arguments}: {phrase!r} is not in {done.stderr!r}")
    report.check(not list(programs.work.glob("refused*")), "a refused command left a file")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--package", required=True)
    a = arguments.parse_args()
    shutil.rmtree(a.work, ignore_errors=True)
    programs, report = Programs(a.bin, a.work), Report()
    check_form(programs, report, a.package)
    check_follow(programs, report, a.package)
    check_penalty(programs, report, a.package)
    check_pictures(programs, report)
    check_sound(programs, report, a.package)
    check_report_of_music(programs, report)
    check_report_of_model(programs, report, a.package)
    check_refusals(programs, report, a.package)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
