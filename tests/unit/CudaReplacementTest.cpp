// What --replace says, and the comment that sets a launch.
#include "cuda/Replacement.h"

#include <gtest/gtest.h>

using namespace sm1rt;
using namespace sm1rt::cuda;

static std::string read(const std::string &text) {
  auto replacement = parseReplacement(text);
  if (!replacement)
    return "error: " + replacement.error().message;
  return replacement->kernel + "|" + replacement->file + "|" + replacement->function;
}

TEST(CudaReplacementTest, KernelFileFunction) {
  EXPECT_EQ(read("scan=my.cu"), "scan|my.cu|");
  EXPECT_EQ(read("scan=my.cu:fast_scan"), "scan|my.cu|fast_scan");
  EXPECT_EQ(read("*=folder/a=b.cu"), "*|folder/a=b.cu|");
  EXPECT_EQ(read("scan=C:\\kernels\\my.cu"), "scan|C:\\kernels\\my.cu|");
  EXPECT_EQ(read("scan=C:\\kernels\\my.cu:scan2"), "scan|C:\\kernels\\my.cu|scan2");
  for (const char *wrong : {"", "scan", "=my.cu", "scan="})
    EXPECT_EQ(read(wrong).compare(0, 7, "error: "), 0) << wrong;
  EXPECT_EQ(read("*=my.cu:scan"),
            "error: --replace=*=my.cu:scan: '*' replaces kernels by functions of the same names; drop ':scan'");
}

static constexpr char twoKernels[] = R"(// sm1: threads=64
extern "C" __global__ void first(float *x) {}

// about the second one
// sm1: threads=128 shared=1024 row_split=2	panel_split=4 time_split=0
// and more about it, which calls second(x)
extern "C" __global__ void __launch_bounds__(128) second(
    float *x) { first_helper(x); }
extern "C" __global__ void third(float *x) {}
)";

TEST(CudaReplacementTest, LaunchShapeIsThatOfItsFunction) {
  auto first = launchShapeOf("a.cu", twoKernels, "first"), second = launchShapeOf("a.cu", twoKernels, "second"),
       third = launchShapeOf("a.cu", twoKernels, "third"), none = launchShapeOf("a.cu", twoKernels, "none");
  ASSERT_TRUE(first && second && third && none);
  EXPECT_EQ(first->threads, 64);
  EXPECT_FALSE(first->shared || first->rowSplit || first->panelSplit || first->timeSplit);
  EXPECT_EQ(second->threads, 128);
  EXPECT_EQ(second->shared, 1024);
  EXPECT_EQ(second->rowSplit, 2);
  EXPECT_EQ(second->panelSplit, 4);
  EXPECT_EQ(second->timeSplit, 0);
  EXPECT_FALSE(third->threads || third->shared || none->threads);
}

static std::string problem(const std::string &comment) {
  auto shape = launchShapeOf("a.cu", "\n" + comment + "\n__global__ void f(int) {}", "f");
  return shape ? "" : shape.error().message;
}

TEST(CudaReplacementTest, LaunchShapeErrorsNameTheLine) {
  EXPECT_EQ(problem("// sm1:"), "");
  EXPECT_EQ(problem("// sm1: threads=100"), "a.cu:2: 'threads=100' is outside 32 to 1024, in steps of 32");
  EXPECT_EQ(problem("// sm1: row_split=0"), "a.cu:2: 'row_split=0' is outside 1 to 1048576");
  EXPECT_EQ(problem("// sm1: shared=12k"), "a.cu:2: 'shared=12k' is outside 0 to 1048576");
  EXPECT_EQ(problem("// sm1: shared="), "a.cu:2: 'shared=' is outside 0 to 1048576");
  EXPECT_EQ(problem("// sm1: warps=4"), "a.cu:2: 'warps=4' is none of threads=, shared=, row_split=, panel_split=, time_split=");
  EXPECT_EQ(problem("// sm1: threads"), "a.cu:2: 'threads' is none of threads=, shared=, row_split=, panel_split=, time_split=");
}
