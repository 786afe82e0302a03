// JSON token lists, read event by event: no tree in memory, and every complaint knows its place.
#include "sm1rt/music/TokenFile.h"

#include "Platform.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace sm1rt {
namespace {

using Json = nlohmann::json;

/// The text is held whole while it is read.
constexpr uint64_t fileLimitBytes = uint64_t(4) << 30;
constexpr uint64_t infoLimitBytes = uint64_t(1) << 30;

/// Takes parse events; stops at the first thing that is no token list and keeps the reason.
class TokenListReader : public nlohmann::json_sax<Json> {
public:
  explicit TokenListReader(const TokenFileLimits &limits) : limits(limits) {}

  TokenLists lists;
  std::string complaint;

  bool number_unsigned(number_unsigned_t value) override {
    if (value >= uint64_t(limits.vocabulary))
      return complain(fmt::format("{} is {}, the vocabulary has ids 0 to {}", here(), value, limits.vocabulary - 1));
    if (depth == 0)
      return complain("it holds a number; a list of token lists is needed");
    if (depth == 1 && !flat) {
      if (!lists.empty())
        return complain(fmt::format("item {} is a number among lists", lists.size()));
      flat = true;
      lists.emplace_back();
    }
    if (++tokens > limits.tokens)
      return complain(fmt::format("more than {} tokens; split the file", limits.tokens));
    lists.back().push_back(int32_t(value));
    return true;
  }

  bool start_array(size_t) override {
    if (depth == 2 || flat)
      return complain(fmt::format("{} is a list; only numbers belong there", here()));
    if (++depth == 2) {
      if (lists.size() == limits.lists)
        return complain(fmt::format("more than {} lists; split the file", limits.lists));
      lists.emplace_back();
    }
    return true;
  }

  bool end_array() override {
    if (depth == 2 && lists.back().empty())
      return complain(fmt::format("list {} is empty; it needs at least one token", lists.size() - 1));
    if (--depth == 0 && lists.empty())
      return complain("it holds no tokens");
    return true;
  }

  bool number_integer(number_integer_t value) override {
    return complain(fmt::format("{} is {}, the vocabulary has ids 0 to {}", here(), value, limits.vocabulary - 1));
  }
  bool number_float(number_float_t, const string_t &text) override { return complainOf(text); }
  bool null() override { return complainOf("null"); }
  bool boolean(bool value) override { return complainOf(value ? "true" : "false"); }
  bool string(string_t &) override { return complainOf("a string"); }
  bool binary(binary_t &) override { return complainOf("binary data"); }
  bool start_object(size_t) override { return complainOf("an object"); }
  bool key(string_t &) override { return true; }
  bool end_object() override { return true; }
  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) override {
    return complain(fmt::format("byte {}: no valid JSON", position));
  }

private:
  bool complain(std::string text) {
    complaint = std::move(text);
    return false;
  }
  bool complainOf(const std::string &thing) {
    return complain(fmt::format("{} is {}, token ids are whole numbers", here(), thing));
  }

  std::string here() const {
    if (depth == 0)
      return "its content";
    if (depth == 1 && !flat)
      return fmt::format("item {}", lists.size());
    return fmt::format("list {}, token {}", lists.size() - 1, lists.back().size());
  }

  const TokenFileLimits &limits;
  int depth = 0;
  bool flat = false; ///< the file is one list of numbers
  size_t tokens = 0;
};

std::string listsToText(const TokenLists &lists) {
  std::string text = "[";
  for (size_t index = 0; index < lists.size(); ++index)
    text += fmt::format("{}[{}]", index == 0 ? "" : ",\n ", fmt::join(lists[index], ", "));
  return text + "]\n";
}

} // namespace

Expected<TokenLists> parseTokenLists(const std::string &text, const std::string &name, const TokenFileLimits &limits) {
  TokenListReader reader(limits);
  if (!Json::sax_parse(text, &reader))
    return Error{fmt::format("{}: {}", name, reader.complaint)};
  return std::move(reader.lists);
}

Expected<TokenLists> readTokenFile(const std::string &path, const TokenFileLimits &limits) {
  Expected<std::string> text = readTextFile(path, fileLimitBytes);
  if (!text)
    return text.error();
  if (text->compare(0, 4, "MThd") == 0)
    return Error{fmt::format("{}: a MIDI file, not token lists; sm1-run tokenize makes them of it", path)};
  return parseTokenLists(*text, path, limits);
}

Expected<void> writeTokenFile(const std::string &path, const TokenLists &lists) { return writeFile(path, listsToText(lists)); }

std::string tokenInfoPath(const std::string &tokenFile) {
  return std::filesystem::path(tokenFile).replace_extension(".info.json").string();
}

Expected<void> writeTokenInfo(const std::string &tokenFile, const TokenInfo &info) {
  nlohmann::ordered_json json = {{"tokenizer", info.tokenizer}, {"vocabulary", info.vocabulary}, {"sources", info.sources}};
  // File names need not be UTF-8.
  return writeFile(tokenInfoPath(tokenFile), json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Expected<std::optional<TokenInfo>> readTokenInfo(const std::string &tokenFile) {
  std::string path = tokenInfoPath(tokenFile);
  if (!fileExists(path))
    return std::optional<TokenInfo>();
  Expected<std::string> text = readTextFile(path, infoLimitBytes);
  if (!text)
    return text.error();
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  auto has = [&](const char *key, bool (Json::*is)() const noexcept) { return json.contains(key) && (json[key].*is)(); };
  TokenInfo info;
  if (json.is_discarded() || !has("tokenizer", &Json::is_string) || !has("vocabulary", &Json::is_number_unsigned) ||
      !has("sources", &Json::is_array))
    return Error{fmt::format("{}: needs a text 'tokenizer', a number 'vocabulary' and a list 'sources'; remove it if it is not "
                             "about {}",
                             path, tokenFile)};
  info.tokenizer = json["tokenizer"].get<std::string>();
  info.vocabulary = json["vocabulary"].get<int64_t>();
  for (const Json &source : json["sources"])
    if (source.is_string())
      info.sources.push_back(source.get<std::string>());
  return std::optional<TokenInfo>(std::move(info));
}

} // namespace sm1rt
