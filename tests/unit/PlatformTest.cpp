// What the operating system is asked for.
#include "Platform.h"
#include "TestFiles.h"

#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sm1rt;
using namespace sm1test;

namespace {

TEST(PlatformTest, RunsProcesses) {
  std::string seen;
  auto result = runProcess({"sh", "-c", "echo out; echo err >&2; exit 3"}, [&](std::string_view part) { seen += part; });
  ASSERT_OK(result);
  EXPECT_EQ(result->exitCode, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
  EXPECT_EQ(seen, result->output);
  EXPECT_EQ(runProcess({"sh", "-c", "kill -9 $$"})->exitCode, 128 + 9);
  EXPECT_ERROR(runProcess({"/nowhere/program"}), "/nowhere/program: no such file");
}

TEST(PlatformTest, CacheFolder) {
  TemporaryFolder folder;
  ASSERT_EQ(setenv("XDG_CACHE_HOME", folder.file("a/b").c_str(), 1), 0);
  auto path = cacheDirectory("sm1");
  ASSERT_OK(path);
  EXPECT_EQ(*path, folder.file("a/b/sm1"));
  EXPECT_TRUE(isDirectory(*path));
  unsetenv("XDG_CACHE_HOME");
}

TEST(PlatformTest, MemoryIsZeroAndAligned) {
  for (uint64_t bytes : {uint64_t(1), uint64_t(5000), uint64_t(3) << 20}) {
    auto memory = PageMemory::allocate(bytes);
    ASSERT_OK(memory);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % 4096, 0u);
    EXPECT_EQ(memory->data()[bytes - 1], 0);
    memory->data()[bytes - 1] = 1;
  }
  EXPECT_ERROR(PageMemory::allocate(uint64_t(1) << 60), "more than any machine has");
}

TEST(PlatformTest, WritesWholeFiles) {
  TemporaryFolder folder;
  ASSERT_OK(writeFile(folder.file("x"), "one"));
  ASSERT_OK(writeFile(folder.file("x"), "two"));
  EXPECT_EQ(*readTextFile(folder.file("x"), 10), "two");
  EXPECT_ERROR(readTextFile(folder.file("x"), 2), "3 bytes, at most 2");
  EXPECT_EQ(folder.fileCount(), 1u);
  EXPECT_ERROR(writeFile(folder.path.string(), "x"), "not a regular file");
}

// A link stays, and leads to what was written; what is no file is not replaced by one.
TEST(PlatformTest, WritesBehindLinks) {
  TemporaryFolder folder;
  ASSERT_OK(writeFile(folder.file("x"), "one"));
  ASSERT_EQ(symlink("x", folder.file("link").c_str()), 0);
  ASSERT_OK(writeFile(folder.file("link"), "two"));
  std::string beside = temporaryName(folder.file("link"));
  EXPECT_EQ(beside.find(folder.file("x.tmp-")), 0u) << beside;
  ASSERT_OK(writeFile(beside, "three"));
  ASSERT_OK(replaceFile(beside, folder.file("link")));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(*readTextFile(folder.file("x"), 10), "three");
  EXPECT_EQ(folder.fileCount(), 2u);
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_ERROR(writeFile(folder.file("pipe"), "x"), "not a regular file");
  EXPECT_ERROR(replaceFile(folder.file("x"), folder.file("pipe")), "not a regular file");
  EXPECT_EQ(folder.fileCount(), 3u);
}

// Nothing is left behind by who dies in the middle of writing.
TEST(PlatformTest, LeavesNothingWhenKilled) {
  TemporaryFolder folder;
  ASSERT_OK(writeFile(folder.file("x"), "one"));
  int handle = open(folder.path.c_str(), O_WRONLY | O_TMPFILE, 0600);
  if (handle < 0)
    GTEST_SKIP() << "the file system of " << folder.path << " has no files without names";
  close(handle);
  pid_t child = fork();
  if (child == 0) {
    auto file = TemporaryFile::create(folder.file("x"));
    raise(file && file->write("two", 3) ? SIGKILL : SIGABRT);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(folder.fileCount(), 1u);
  EXPECT_EQ(*readTextFile(folder.file("x"), 10), "one");
}

TEST(PlatformTest, KnowsItself) {
  EXPECT_GE(availableCores(), 1);
  EXPECT_TRUE(fileExists(*executablePath()));
  CpuFeatures features = cpuFeatures();
  EXPECT_TRUE(features.v3 || !features.v4);
  EXPECT_TRUE(features.v4 || !(features.avx512Vnni || features.avx512Bf16 || features.gfni || features.amxTile));
  EXPECT_TRUE(features.amxTile || !(features.amxBf16 || features.amxInt8));
}

// Where there are tiles the system grants them, as often as it is asked; where there are none it says so.
TEST(PlatformTest, GrantsTiles) {
  for (int times = 0; times < 2; ++times) {
    auto granted = useTileRegisters();
    EXPECT_EQ(bool(granted), cpuFeatures().amxTile);
    if (!granted) {
      EXPECT_NE(granted.error().message.find("tile registers of AMX"), std::string::npos) << granted.error().message;
    }
  }
}

} // namespace
