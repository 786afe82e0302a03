// The search for times of the kernel for whole tokens, over functions that are known; and what its setting understands.
#include "cuda/TokenDelays.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

using namespace sm1rt;
using namespace sm1rt::cuda;

namespace {

/// A valley: each number costs what it is away from the best one.
double valley(const TokenClocks &clocks, const TokenClocks &best) {
  double seconds = 50e-6;
  for (size_t i = 0; i < clocks.size(); ++i)
    seconds += 1e-8 * std::abs(double(clocks[i]) - double(best[i]));
  return seconds;
}

struct Setting {
  explicit Setting(const char *value) { ::setenv("SM1_TOKEN_DELAYS", value, 1); }
  ~Setting() { ::unsetenv("SM1_TOKEN_DELAYS"); }
};

TEST(TokenDelaysTest, FindsAValley) {
  const TokenClocks best = {550, 400, 1700, 0};
  size_t calls = 0;
  auto found = searchClocks({500, 1200, 1200, 1200}, [&](const TokenClocks &clocks) {
    ++calls;
    return Expected<double>(valley(clocks, best));
  });
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, best);
  EXPECT_LT(calls, 300u);
}

TEST(TokenDelaysTest, KeepsTheStartWhereNothingIsQuicker) {
  const TokenClocks start = {500, 1200, 1200};
  auto found = searchClocks(start, [](const TokenClocks &) { return Expected<double>(1e-4); });
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, start);
}

/// Who finds others quicker once, and never again, has measured noise.
TEST(TokenDelaysTest, BelievesTurnsOnly) {
  const TokenClocks start = {500, 1200, 1200};
  size_t calls = 0;
  auto found = searchClocks(start, [&](const TokenClocks &clocks) {
    ++calls;
    return Expected<double>(clocks == start ? 1e-4 : calls < 40 ? 0.5e-4 : 2e-4);
  });
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, start);
}

TEST(TokenDelaysTest, GivesErrorsOn) {
  auto found = searchClocks({500, 1200}, [](const TokenClocks &) { return Expected<double>(Error{"the device was lost"}); });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "the device was lost");
}

TEST(TokenDelaysTest, Settings) {
  auto read = [](const char *value) {
    Setting setting(value);
    return DelaySetting::ofEnvironment();
  };
  EXPECT_TRUE(read("")->measures);
  EXPECT_FALSE(read("fixed")->measures);
  EXPECT_TRUE(read("fixed")->given.empty());
  EXPECT_EQ(read("500,0,1200")->given, (TokenClocks{500, 0, 1200}));
  for (const char *wrong : {"quick", "500,", ",500", "500,-1", "500 400", "6001", "70000", "1.5"}) {
    auto setting = read(wrong);
    ASSERT_FALSE(setting) << wrong;
    EXPECT_NE(setting.error().message.find(wrong), std::string::npos);
  }
}

} // namespace
