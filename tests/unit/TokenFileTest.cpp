// Token files: what is read, what is refused and how, and that writing is the inverse.
#include "sm1rt/music/TokenFile.h"

#include "TestFiles.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace sm1rt;

namespace {

std::string complaint(const std::string &text, TokenFileLimits limits = {161}) {
  Expected<TokenLists> lists = parseTokenLists(text, "t.json", limits);
  return lists ? "accepted" : lists.error().message;
}

TEST(TokenFile, ReadsListsAndASingleList) {
  EXPECT_EQ(*parseTokenLists("[[1, 3], [160]]", "t.json", {161}), (TokenLists{{1, 3}, {160}}));
  EXPECT_EQ(*parseTokenLists("[1, 3, 160]", "t.json", {161}), (TokenLists{{1, 3, 160}}));
}

TEST(TokenFile, NamesThePlaceOfWhatItRefuses) {
  EXPECT_EQ(complaint("[[1, 161]]"), "t.json: list 0, token 1 is 161, the vocabulary has ids 0 to 160");
  EXPECT_EQ(complaint("[[1], [2, -1]]"), "t.json: list 1, token 1 is -1, the vocabulary has ids 0 to 160");
  EXPECT_EQ(complaint("[[99999999999999999999999]]"),
            "t.json: list 0, token 0 is 99999999999999999999999, token ids are whole numbers");
  EXPECT_EQ(complaint("[[1, 2.5]]"), "t.json: list 0, token 1 is 2.5, token ids are whole numbers");
  EXPECT_EQ(complaint("[[1], null]"), "t.json: item 1 is null, token ids are whole numbers");
  EXPECT_EQ(complaint("[[1, \"a\"]]"), "t.json: list 0, token 1 is a string, token ids are whole numbers");
  EXPECT_EQ(complaint("{\"a\": [1]}"), "t.json: its content is an object, token ids are whole numbers");
  EXPECT_EQ(complaint("[[1, [2]]]"), "t.json: list 0, token 1 is a list; only numbers belong there");
  EXPECT_EQ(complaint("[1, [2]]"), "t.json: list 0, token 1 is a list; only numbers belong there");
  EXPECT_EQ(complaint("[[1], 2]"), "t.json: item 1 is a number among lists");
  EXPECT_EQ(complaint("[[1], []]"), "t.json: list 1 is empty; it needs at least one token");
  EXPECT_EQ(complaint("[]"), "t.json: it holds no tokens");
  EXPECT_EQ(complaint("7"), "t.json: it holds a number; a list of token lists is needed");
}

TEST(TokenFile, NamesTheByteWhereJsonBreaks) {
  EXPECT_EQ(complaint("[[1, 2"), "t.json: byte 7: no valid JSON");
  EXPECT_EQ(complaint(""), "t.json: byte 1: no valid JSON");
  EXPECT_EQ(complaint("[[1]] x"), "t.json: byte 7: no valid JSON");
}

TEST(TokenFile, KnowsMusic) {
  sm1test::TemporaryFolder folder;
  sm1test::writeBytes(folder.file("song.json"), "MThd and more");
  EXPECT_ERROR(readTokenFile(folder.file("song.json"), {161}), "a MIDI file, not token lists; sm1-run tokenize makes them of it");
}

TEST(TokenFile, KeepsItsLimits) {
  TokenFileLimits limits{161};
  limits.lists = 2;
  limits.tokens = 4;
  EXPECT_EQ(complaint("[[1, 2], [3, 4]]", limits), "accepted");
  EXPECT_EQ(complaint("[[1], [2], [3]]", limits), "t.json: more than 2 lists; split the file");
  EXPECT_EQ(complaint("[[1, 2, 3, 4, 5]]", limits), "t.json: more than 4 tokens; split the file");
  // Depth is bounded by the form, not by the stack.
  EXPECT_EQ(complaint(std::string(100000, '['), limits), "t.json: list 0, token 0 is a list; only numbers belong there");
}

TEST(TokenFile, ReadsWhatItWrote) {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("sm1-tokens-" + std::to_string(std::rand()));
  std::filesystem::create_directories(folder);
  std::string path = (folder / "t.json").string();
  TokenLists lists = {{1, 3, 158}, {160}, {0, 0, 7, 9}};
  ASSERT_TRUE(writeTokenFile(path, lists));
  Expected<TokenLists> back = readTokenFile(path, {161});
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, lists);
  EXPECT_FALSE(readTokenFile((folder / "none.json").string(), {161}));
  EXPECT_FALSE(readTokenFile(folder.string(), {161}));
  EXPECT_FALSE(writeTokenFile((folder / "no" / "t.json").string(), lists));
  std::filesystem::remove_all(folder);
}

TEST(TokenFile, KeepsWhereTokensComeFrom) {
  sm1test::TemporaryFolder folder;
  std::string path = folder.file("t.json");
  EXPECT_EQ(tokenInfoPath(path), folder.file("t.info.json"));
  Expected<std::optional<TokenInfo>> none = readTokenInfo(path);
  ASSERT_OK(none);
  EXPECT_FALSE(*none);
  ASSERT_OK(writeTokenInfo(path, {"v0", 442, {"a \"b\".mid", "no UTF-8 \xFF.mid"}}));
  Expected<std::optional<TokenInfo>> info = readTokenInfo(path);
  ASSERT_OK(info);
  ASSERT_TRUE(*info);
  EXPECT_EQ((*info)->tokenizer, "v0");
  EXPECT_EQ((*info)->vocabulary, 442);
  ASSERT_EQ((*info)->sources.size(), 2u);
  EXPECT_EQ((*info)->sources[0], "a \"b\".mid");
  sm1test::writeBytes(folder.file("t.info.json"), "{\"tokenizer\": 3}");
  EXPECT_ERROR(readTokenInfo(path), "needs a text 'tokenizer'");
}

} // namespace
