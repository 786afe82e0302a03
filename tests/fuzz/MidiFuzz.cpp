// MIDI files, through both tokenizers and back to notes.
#include "FuzzTarget.h"
#include "MidiBytes.h"

#include "sm1rt/music/MidiReader.h"
#include "sm1rt/music/Song.h"
#include "sm1rt/music/Tokenizer.h"

using namespace sm1rt;
using namespace sm1test;
using sm1fuzz::require;

std::vector<std::string> sm1fuzz::seeds() {
  std::string conductor = midiTempo(0, 500'000) + midiEvent(0, {0xFF, 0x58, 4, 4, 2, 24, 8}) + midiTempo(960, 400'000);
  std::string notes = midiEvent(0, {0xC0, 24}) + midiEvent(0, {0x90, 60, 80}) + midiEvent(0, {64, 80}) + midiEvent(240, {60, 0}) +
                      midiEvent(9600, {0x80, 64, 0}) + midiEvent(0, {0xB0, 7, 100}) + midiEvent(0, {0xE0, 0, 64});
  std::string drums = midiEvent(120, {0x99, 36, 127}) + midiEvent(1, {0xF0, 3, 1, 2, 0xF7}) + midiEvent(0, {0xFF, 1, 2, 'h', 'i'}) +
                      midiEvent(60, {0x89, 36, 0});
  std::string ours =
      midiEvent(0, {0xFF, 0x7F, 5, 0x7D, 's', 'm', '1', 3}) + midiEvent(0, {0x91, 10, 1}) + midiEvent(1 << 20, {10, 0});
  return {midiBytes(1, 480, {conductor, notes, drums}), midiBytes(0, 96, {conductor + notes}), midiBytes(2, 240, {notes, drums}),
          midiBytes(1, 0xE728, {notes}), midiBytes(1, 1, {ours, notes})};
}

static void checkTokens(const MidiFile &file, Tokenizer tokenizer) {
  static const Vocabulary vocabulary = *Vocabulary::ofSize(Vocabulary::musicTokens);
  auto tokenized = tokenize(file, vocabulary, tokenizer, {});
  if (!tokenized)
    return;
  for (int32_t token : tokenized->tokens)
    require(token >= 0 && token < vocabulary.size(), "a token is of the vocabulary");
  Song song = readSong(tokenized->tokens, vocabulary);
  require(song.ignoredTokens == 0 && !song.notes.empty(), "tokens of a file are notes");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto file = parseMidi({reinterpret_cast<const char *>(data), size}, "fuzz");
  if (!file) {
    require(!file.error().message.empty(), "a refusal has a reason");
    return 0;
  }
  require(file->ticksPerQuarter > 0 && !file->tempos.empty() && file->tempos.front().tick == 0, "time runs from the start");
  for (const MidiNote &note : file->notes) {
    require(note.start >= 0 && note.end >= note.start, "a note ends after it starts");
    require(note.pitch >= 0 && note.pitch < 128 && note.velocity > 0 && note.velocity < 128, "a note is in range");
  }
  checkTokens(*file, Tokenizer::V0);
  checkTokens(*file, Tokenizer::V1);
  return 0;
}
