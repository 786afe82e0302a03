#!/usr/bin/env python3
"""MIDI files and conditioning on the command line: tokenize both ways, folders, prompts, refusals without a file left behind.

  midi.py --bin DIR --work DIR --package PKG

The package is the trained checkpoint, whose vocabulary has no conditioning ids.
"""
import json
import struct
import sys

from harness import Programs, Report, parser

BOS, EOS, BAR, POS, TRACK, PITCH, DUR, VEL, TEMPO, SECTION = 1, 2, 3, 4, 20, 29, 117, 133, 141, 158
CONFIG = {
    "total_cond_tokens": 7,
    "bucket_config": {
        "tempo": {"type": "continuous", "token_offset": 0, "n_buckets": 4, "boundaries": [80, 100, 120]},
        "key_root": {"type": "categorical", "token_offset": 4, "n_buckets": 3, "values": [0, 4, 7]},
    },
}


def piece(root, bars, tracks=(7,)):
    tokens = [BOS]
    for bar in range(bars):
        section = 0 if bar / max(bars - 1, 1) < 0.33 else 1 if bar / max(bars - 1, 1) < 0.66 else 2
        tokens += [BAR, SECTION + section] + ([TEMPO + 4 + bar] if bar < 2 else [])
        for beat, interval in enumerate((0, 5, 7, 12)):
            for track in tracks:
                tokens += [POS + 4 * beat, TRACK + track]
                for pitch in (root + interval, root + interval + 4):
                    tokens += [PITCH + pitch - 21, DUR + 3, VEL + 5]
    return tokens + [EOS]


def midi(*tracks, kind=1):
    chunks = b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), 96) + chunks


def check_round_trip(programs, report):
    """Every track token, several pieces: the same lists come back."""
    lists = [piece(40, 6, range(9)), piece(48, 1), piece(50, 9, (0, 4, 8))]
    source, again = programs.work / "lists.json", programs.work / "again.json"
    source.write_text(json.dumps(lists))
    folder = programs.work / "songs"
    (folder / "deeper").mkdir(parents=True, exist_ok=True)
    programs.must(programs.sm1_run, "tokenize", source, "-o", folder / "deeper" / "song.mid")
    (folder / "broken.mid").write_bytes((folder / "deeper" / "song-0.mid").read_bytes()[:-20])
    (folder / "notes.txt").write_text("no music")
    output = programs.must(programs.sm1_run, "tokenize", folder, "-o", again)
    report.check(json.loads(again.read_text()) == lists, "lists differ after tokens, MIDI, tokens")
    info = json.loads((programs.work / "again.info.json").read_text())
    report.check(info["tokenizer"] == "v1" and info["vocabulary"] == 161 and len(info["sources"]) == 3, f"information is {info}")
    report.check("left out: 1 of 4 files" in output, f"the summary does not count the broken file: {output}")
    report.check("does not fit the grid: nothing" in output, f"something did not fit: {output}")


def check_misfits(programs, report):
    # Tempo 123; a note 5 ticks late, one of three bars, one too high, one of no length.
    track = (b"\x00\xff\x51\x03" + (60_000_000 // 123).to_bytes(3, "big") + b"\x05\x90\x3c\x40\x00\x90\x40\x40\x13\x80\x3c\x40"
             b"\x00\x90\x7f\x40\x18\x80\x7f\x40\x00\x90\x30\x40\x00\x80\x30\x40" + b"\x88\x50\x80\x40\x40\x00\xff\x2f\x00")
    source, out = programs.work / "odd.mid", programs.work / "odd.json"
    source.write_bytes(midi(track))
    for tokenizer, phrase in (("v0", "1 note shortened"), ("v1", "1 long note struck again at bar lines")):
        output = programs.must(programs.sm1_run, "tokenize", source, "-o", out, f"--tokenizer={tokenizer}")
        for text in ("2 starts moved to the grid", "1 pitch clamped", "1 tempo rounded", phrase):
            report.check(text in output, f"{tokenizer}: {text!r} is not said: {output}")
        report.check(json.loads((programs.work / "odd.info.json").read_text())["tokenizer"] == tokenizer, "tokenizer not recorded")


def check_prompts(programs, report, package):
    tokens, song, out = programs.work / "prompt.json", programs.work / "prompt.mid", programs.work / "out.json"
    whole = piece(48, 6)
    tokens.write_text(json.dumps([whole]))
    programs.must(programs.sm1_run, "tokenize", tokens, "-o", song)

    def generate(*options):
        programs.must(programs.sm1_run, "generate", package, "--tokens-out", out, "--max-tokens=60", *options)
        return json.loads(out.read_text())[0]

    third = [index for index, token in enumerate(whole) if token == BAR][2]
    for bars, kept in (((), whole[:-1]), (("--prompt-bars=2",), whole[:third])):
        made = generate("--prompt", song, *bars)
        report.check(made[: len(kept)] == kept, f"{bars}: the piece does not start with the prompt")
        report.check(len(made) > len(kept), f"{bars}: nothing was added")
        report.check(bars == () or made == generate("--prompt", tokens, *bars), "MIDI and token prompts give other pieces")


def check_conditioning(programs, report):
    config, song, out = programs.work / "vocab_config.json", programs.work / "prompt.mid", programs.work / "steered.json"
    config.write_text(json.dumps(CONFIG))
    for wishes, prefix in (((), [2, 5]), (("tempo=120", "key_root=0"), [3, 4]), (("key_root=7",), [2, 6])):
        options = [option for wish in wishes for option in ("--cond", wish)]
        programs.must(programs.sm1_run, "tokenize", song, "-o", out, "--vocab-config", config, *options)
        tokens = json.loads(out.read_text())[0]
        report.check(tokens[:3] == prefix + [7 + BOS], f"{wishes}: starts with {tokens[:3]}, expected {prefix + [7 + BOS]}")
    heard, back = programs.work / "steered.mid", programs.work / "back.json"
    programs.must(programs.sm1_run, "tokenize", out, "-o", heard)
    programs.must(programs.sm1_run, "tokenize", heard, "-o", back, "--vocab-config", config, "--cond", "key_root=7")
    report.check(json.loads(back.read_text())[0] == tokens, "the vocabulary beside the tokens was not taken")


def check_steering(programs, report):
    """A checkpoint with conditioning ids and its vocab_config.json beside its config.json."""
    checkpoint, out = programs.checkpoint("steered", vocab=168, d_model=48, layers=2), programs.work / "steered-out.json"
    (checkpoint / "vocab_config.json").write_text(json.dumps(CONFIG))
    made = {}
    for wish, prefix in (("tempo=60", [0, 5]), ("tempo=200", [3, 5])):
        options = ("--cond", wish, "--tokens-out", out, "--max-tokens=50", "--seed=3", "--batch=2")
        programs.must(programs.sm1_run, "generate", checkpoint, *options)
        lists = json.loads(out.read_text())
        for tokens in lists:
            report.check(tokens[:4] == prefix + [7 + BOS, 7 + BAR], f"{wish}: starts with {tokens[:4]}")
            report.check(min(tokens[3:]) >= 7 + EOS, f"{wish}: a conditioning id, PAD or BOS inside the piece")
        made[wish] = [tokens[3:] for tokens in lists]
    report.check(made["tempo=60"] != made["tempo=200"], "what was asked for changes nothing")
    result = programs.run(programs.sm1_run, "generate", checkpoint, "--tokens-out", out, "--cond", "tempo=slow")
    report.check("a number is needed: below 80, 80 to 100" in result.stderr, f"tempo=slow: {result.stderr}")


def check_refusals(programs, report, package):
    song, config, out = (programs.work / name for name in ("prompt.mid", "vocab_config.json", "refused.json"))
    noise = programs.work / "noise.mid"
    noise.write_bytes(bytes(range(256)) * 4)
    cases = [
        (["tokenize", noise, "-o", out], "not a MIDI file"),
        (["tokenize", song, "-o", programs.work / "refused.xyz"], "neither .json"),
        (["tokenize", song, song, "-o", programs.work / "refused.mid"], "is made of one token file"),
        (["tokenize", song, "-o", out, "--vocab-config", config, "--cond", "mood=1"], "no field 'mood'; there are tempo, key_root"),
        (["tokenize", song, "-o", out, "--vocab-config", config, "--cond", "key_root=1"], "it can be 0, 4, 7"),
        (["tokenize", song, "-o", out, "--cond", "tempo=1"], "no vocab_config.json"),
        (["generate", package, "--tokens-out", out, "--cond", "tempo=1"], "has 0 conditioning ids and no vocab_config.json that says what they "
         "mean; name one with --vocab-config, or leave --cond away"),
        (["score", package, "--tokens", song], "a MIDI file, not token lists; sm1-run tokenize makes them of it"),
        (["inspect", song], "not a safetensors file, as packages, states and files of tensors are"),
        (["generate", package, "--tokens-out", out, "--vocab-config", config], "'total_cond_tokens' is 7, the model has 0"),
        (["generate", package, "--tokens-out", out, "--prompt", song, "--prompt-bars=7"], "it has 6 bars, 7 were asked for"),
    ]
    for arguments, phrase in cases:
        result = programs.run(programs.sm1_run, *arguments)
        report.check(result.returncode == 1, f"{arguments}: exit code {result.returncode}")
        report.check(phrase in result.stderr, f"{arguments}: {phrase!r} is not in {result.stderr!r}")
    report.check(not list(programs.work.glob("refused*")), "a refused command left a file")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--package", required=True)
    a = arguments.parse_args()
    programs, report = Programs(a.bin, a.work), Report()
    check_round_trip(programs, report)
    check_misfits(programs, report)
    check_prompts(programs, report, a.package)
    check_conditioning(programs, report)
    check_steering(programs, report)
    check_refusals(programs, report, a.package)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
