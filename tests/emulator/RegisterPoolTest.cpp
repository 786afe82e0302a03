// Registers that warpgroups pass on to each other: who asks for more than there are waits for ever, as on a GPU.
#include "Findings.h"

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:3", "threads"};

class RegisterPoolTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()}, polls{"SM1_EMULATOR_POLLS", "300"};
};
INSTANTIATE_TEST_SUITE_P(Schedules, RegisterPoolTest, testing::ValuesIn(kSchedules),
                         [](const auto &info) { return "Schedule" + std::to_string(info.index); });

constexpr unsigned kThreads = 384; // each begins with 168

/// Three warpgroups, of which the first goes down to `fewer` and the others up to `more`.
Outcome passOn(const std::string &fewer, const std::string &more, const std::string &head = "") {
  return outcome("setp.lt.u32 %p1, %r1, 128;\n@%p1 bra FIRST;\n" + head + "setmaxnreg.inc.sync.aligned.u32 " + more +
                     ";\nst.global.u32 [%rd5], %r1;\nret;\nFIRST: setmaxnreg.dec.sync.aligned.u32 " + fewer + ";\n",
                 "", kThreads);
}

void expectIn(const Outcome &found, const char *message) {
  EXPECT_NE(found.error, 0);
  EXPECT_NE(found.message.find(message), std::string::npos) << found.message;
}

TEST_P(RegisterPoolTest, GoesOnWithAllThereAre) {
  Outcome found = passOn("40", "232"); // 3 * 168 = 40 + 2 * 232
  EXPECT_EQ(found.error, 0) << found.message;
}

TEST_P(RegisterPoolTest, FindsWarpsThatWaitForEver) {
  expectIn(passOn("32", "240"), "deadlock");
  expectIn(passOn("48", "232"), "deadlock");
}

TEST_P(RegisterPoolTest, FindsMisuse) {
  expectIn(passOn("200", "232"), "setmaxnreg.dec to 200 registers, of 168");
  expectIn(passOn("40", "160"), "setmaxnreg.inc to 160 registers, of 168");
}

TEST(RegisterPoolAlignmentTest, FindsLanesThatStandElsewhere) {
  expectIn(passOn("40", "232", "setp.eq.u32 %p2, %r1, 130;\n@%p2 bra FIRST;\n"), "aligned setmaxnreg");
}

} // namespace
