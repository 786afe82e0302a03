// libsm1c's interface, used as a C program would.
#include "sm1c/sm1c.h"

#include "TestFiles.h"

#include <cstring>

using namespace sm1test;

namespace {

void append(const char *line, void *lines) { *static_cast<std::string *>(lines) += std::string(line) + "\n"; }

TEST(CompilerCApi, Compiles) {
  TemporaryFolder folder;
  std::string model = folder.file("scan.mlir"), output = folder.file("scan.sm1pkg"), lines;
  writeBytes(model, R"(
    sm1.model @scan(%decay: tensor<?x?x8xf32> {sm1.name = "decay"}, %input: tensor<?x?x8xf32> {sm1.name = "input"},
                    %init: tensor<?x8xf32> {sm1.name = "init", sm1.state = "h"})
        -> (tensor<?x?x8xf32> {sm1.name = "h"}, tensor<?x8xf32> {sm1.name = "last", sm1.state = "h"}) {
      %h, %last = sm1.scan %decay, %input init %init : tensor<?x?x8xf32>
      sm1.return %h, %last : tensor<?x?x8xf32>, tensor<?x8xf32>
    })");
  Sm1cRequest request = {};
  request.model = model.c_str();
  request.output = output.c_str();
  request.targets = "x86-64-v3, sm_90";
  EXPECT_EQ(sm1c_compile(&request, append, &lines), 0) << lines;
  EXPECT_TRUE(std::filesystem::exists(output));
}

TEST(CompilerCApi, RefusesNull) {
  Sm1cRequest modelless = {}, outputless = {};
  modelless.output = outputless.model = "x";
  auto refused = [](const Sm1cRequest *request, const std::string &says) {
    std::string lines;
    EXPECT_EQ(sm1c_compile(request, append, &lines), 1);
    EXPECT_EQ(lines, "sm1c: error: " + says + "\n");
  };
  refused(nullptr, "request: null, the call needs one");
  refused(&modelless, "model: null, the call needs one");
  refused(&outputless, "output: null, the call needs one");
  EXPECT_EQ(sm1c_compile(nullptr, nullptr, nullptr), 1) << "without a report";
  EXPECT_NE(std::strstr(sm1c_version(), "sm1c "), nullptr);
}

} // namespace
