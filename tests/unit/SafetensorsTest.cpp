// The safetensors reader against files that lie, and the writer against tasks it cannot finish.
#include "sm1rt/Safetensors.h"
#include "TestFiles.h"

#include <cstring>
#include <vector>

using namespace sm1rt;
using namespace sm1test;

namespace {

class SafetensorsTest : public testing::Test {
protected:
  /// Opens a file of these bytes.
  Expected<SafetensorsFile> open(const std::string &bytes) {
    writeBytes(folder.file("x.safetensors"), bytes);
    return SafetensorsFile::open(folder.file("x.safetensors"));
  }
  Expected<SafetensorsFile> open(const std::string &header, const std::string &data) {
    return open(safetensorsBytes(header, data));
  }

  TemporaryFolder folder;
};

std::string tensor(const std::string &name, const std::string &dtype, const std::string &shape, int64_t begin, int64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(end) + "]}";
}

TEST_F(SafetensorsTest, ReadsWhatIsThere) {
  auto file = open("{\"__metadata__\":{\"format\":\"pt\"}," + tensor("b", "U8", "[3]", 8, 11) + "," +
                       tensor("a", "F32", "[1,2]", 0, 8) + "," + tensor("empty", "I64", "[0,4]", 8, 8) + "}  ",
                   std::string("\0\0\x80\x3f\0\0\0\x40xyz", 11));
  ASSERT_OK(file);
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->metadata().at("format"), "pt");
  float values[2];
  std::memcpy(values, file->find("a")->data, 8);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], 2.0f);
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(file->find("b")->data), 3), "xyz");
  EXPECT_EQ(file->find("empty")->bytes, 0u);
  EXPECT_EQ(file->find("c"), nullptr);
}

TEST_F(SafetensorsTest, RefusesOtherFiles) {
  EXPECT_ERROR(SafetensorsFile::open(folder.file("none")), "no such file");
  EXPECT_ERROR(SafetensorsFile::open(folder.path.string()), "not a regular file");
  EXPECT_ERROR(open(""), "not a safetensors file: 0 bytes");
  EXPECT_ERROR(open("hello"), "not a safetensors file");
  EXPECT_ERROR(open("%PDF-1.7 and much more text"), "as packages, states and files of tensors are");
  EXPECT_ERROR(open(safetensorsBytes("[1]", "")), "does not start with '{'");
}

TEST_F(SafetensorsTest, RefusesLyingHeaders) {
  std::string good = safetensorsBytes("{" + tensor("a", "F32", "[2]", 0, 8) + "}", "12345678");
  ASSERT_OK(open(good));
  std::string longer = good;
  longer[1] = 1;
  EXPECT_ERROR(open(longer), "header ends at byte");
  longer[7] = 0x7f;
  EXPECT_ERROR(open(longer), "at most 100000000 are allowed");
  EXPECT_ERROR(open("{\"a\":", ""), "not JSON");
  EXPECT_ERROR(open("{\"__metadata__\":{\"a\":1}}", ""), "'a' must be a string");
  EXPECT_ERROR(open("{\"__metadata__\":[]}", ""), "must be an object");
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[1]", 0, 1) + "," + tensor("a", "U8", "[1]", 1, 2) + "}", "xy"),
               "key 'a' appears twice");
  EXPECT_ERROR(open("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}", ""), "nested more than");
}

// Every prefix of a good file is an error, never a crash.
TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  std::string good = safetensorsBytes("{" + tensor("a", "F32", "[2]", 0, 8) + "}", "12345678");
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(open(good.substr(0, length))) << length;
  EXPECT_ERROR(open(good.substr(0, good.size() - 1)), "ends at byte 8 of the data, the file has 7");
}

TEST_F(SafetensorsTest, RefusesBrokenTensors) {
  EXPECT_ERROR(open("{\"a\":1}", ""), "tensor 'a': must be an object");
  EXPECT_ERROR(open("{\"a\":{}}", ""), "key 'dtype' is missing");
  EXPECT_ERROR(open("{" + tensor("a", "F31", "[2]", 0, 8) + "}", "12345678"), "dtype 'F31'");
  EXPECT_ERROR(open("{" + tensor("a", "f32", "[2]", 0, 8) + "}", "12345678"), "dtype 'f32'");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[3]", 0, 8) + "}", "12345678"), "F32 [3] takes 12 bytes, its offsets span 8");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[-2]", 0, 8) + "}", "12345678"), "outside 0");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[2.0]", 0, 8) + "}", "12345678"), "must be an integer");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "2", 0, 8) + "}", "12345678"), "must be an array");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[18446744073709551615]", 0, 8) + "}", "12345678"), "outside 0");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[4294967296,4294967296,4]", 0, 8) + "}", "12345678"), "too large");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[2]", 8, 0) + "}", "12345678"), "begins at byte 8, after its end at 0");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[2]", -8, 0) + "}", "12345678"), "outside 0");
  EXPECT_ERROR(open("{" + tensor("a", "F32", "[2]", 0, 8) + "}", "1234"), "the file has 4");
  EXPECT_ERROR(open("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", "x"), "data_offsets");
}

TEST_F(SafetensorsTest, RefusesOverlapsAndGaps) {
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[4]", 0, 4) + "," + tensor("b", "U8", "[4]", 2, 6) + "}", "123456"),
               "tensor 'b' begins at byte 2 of the data and overlaps tensor 'a', which ends at 4");
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[4]", 0, 4) + "," + tensor("b", "U8", "[4]", 0, 4) + "}", "1234"), "overlaps");
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[1]", 0, 1) + "," + tensor("b", "U8", "[1]", 2, 3) + "}", "123"), "gap of 1 bytes");
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[1]", 1, 2) + "}", "12"), "the header ends at 0");
  EXPECT_ERROR(open("{" + tensor("a", "U8", "[1]", 0, 1) + "}", "12"), "1 bytes belong to no tensor");
}

TEST_F(SafetensorsTest, WritesWhatItReads) {
  std::string path = folder.file("out.safetensors");
  std::vector<float> values{1.5f, -2.5f, 3.0f};
  auto writer =
      SafetensorsWriter::create(path, {{"x", {DType::F32, {3}}}, {"odd \"name\"", {DType::U8, {2}}}, {"y", {DType::F32, {1, 2}}}},
                                {{"key", "line\n\"quoted\""}}, {4096, 64});
  ASSERT_OK(writer);
  ASSERT_OK(writer->write("x", values.data(), 8));
  ASSERT_OK(writer->write("x", values.data() + 2, 4));
  ASSERT_OK(writer->write("odd \"name\"", "ab", 2));
  ASSERT_OK(writer->write("y", values.data(), 8));
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_OK(writer->commit());
  auto file = SafetensorsFile::open(path);
  ASSERT_OK(file);
  EXPECT_EQ(file->dataOffset() % 4096, 0u);
  EXPECT_EQ(file->metadata().at("key"), "line\n\"quoted\"");
  for (const char *name : {"x", "odd \"name\"", "y"})
    EXPECT_EQ(uint64_t(file->find(name)->data - file->tensors()[0].data) % 64, 0u) << name;
  EXPECT_EQ(std::memcmp(file->find("x")->data, values.data(), 12), 0);
  EXPECT_EQ(std::memcmp(file->find("y")->data, values.data(), 8), 0);
}

TEST_F(SafetensorsTest, WriterHoldsItsDeclarations) {
  std::string path = folder.file("out.safetensors");
  auto create = [&] { return SafetensorsWriter::create(path, {{"x", {DType::F32, {2}}}, {"y", {DType::U8, {1}}}}, {}); };
  auto writer = create();
  ASSERT_OK(writer);
  EXPECT_ERROR(writer->write("y", "1", 1), "while 'x' is next");
  EXPECT_ERROR(writer->write("x", "123456789", 9), "9 bytes given, 8 are left of 8");
  ASSERT_OK(writer->write("x", "12345678", 8));
  EXPECT_ERROR(writer->commit(), "tensor 'y': 0 bytes of 1 were written");
  EXPECT_ERROR(SafetensorsWriter::create(path, {{"x", {DType::U8, {1}}}, {"x", {DType::U8, {1}}}}, {}), "declared twice");
}

// What is not committed leaves nothing, and an earlier file stays as it was.
TEST_F(SafetensorsTest, UnfinishedFilesDisappear) {
  std::string path = folder.file("out.safetensors");
  writeBytes(path, "before");
  {
    auto writer = SafetensorsWriter::create(path, {{"x", {DType::U8, {4}}}}, {});
    ASSERT_OK(writer);
    ASSERT_OK(writer->write("x", "12", 2));
    EXPECT_LE(folder.fileCount(), 2u); // the new one has no name yet, where the file system knows such files
  }
  EXPECT_EQ(folder.fileCount(), 1u);
  EXPECT_EQ(readBytes(path), "before");
  EXPECT_ERROR(SafetensorsWriter::create(folder.file("no/folder/x"), {}, {}), "no such file");
  EXPECT_ERROR(SafetensorsWriter::create("/dev/full", {}, {}), "/dev/full: not a regular file");
}

} // namespace
