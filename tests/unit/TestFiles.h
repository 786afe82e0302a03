// Files for tests: a folder that disappears, and safetensors files written byte by byte, so that they can lie.
#ifndef SM1_TESTS_UNIT_TESTFILES_H
#define SM1_TESTS_UNIT_TESTFILES_H

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace sm1test {

/// A new folder, removed with everything in it at the end of its scope.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sm1-test-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }

  std::string file(const std::string &name) const { return (path / name).string(); }
  size_t fileCount() const {
    return size_t(std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
  }

  std::filesystem::path path;
};

inline void writeBytes(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

inline std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A safetensors file with this header and data, true or not.
inline std::string safetensorsBytes(const std::string &header, const std::string &data) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i)
    bytes[size_t(i)] = char(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

} // namespace sm1test

/// The call must fail, and its message must hold the text.
#define EXPECT_ERROR(expression, text)                                                                                             \
  do {                                                                                                                             \
    auto outcome = (expression);                                                                                                   \
    ASSERT_FALSE(outcome) << "no error";                                                                                           \
    EXPECT_NE(outcome.error().message.find(text), std::string::npos) << outcome.error().message;                                   \
  } while (false)

/// The call must succeed.
#define ASSERT_OK(outcome) ASSERT_TRUE(bool(outcome)) << (outcome).error().message

#endif // SM1_TESTS_UNIT_TESTFILES_H
