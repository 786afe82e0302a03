// Flat code: right at every address, and nothing in it that would need a loader.
#include "sm1c/Codegen.h"

#include "sm1rt/PackageFormat.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Memory.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Target/TargetMachine.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace sm1;

namespace {

/// `ir` through the code generator of x86-64-v3, which every machine that builds this runs.
llvm::Expected<FlatCode> flattenIr(const char *ir) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic error;
  auto module = llvm::parseAssemblyString(ir, error, context);
  EXPECT_TRUE(module) << error.getMessage().str();
  auto machine = llvm::cantFail(createTargetMachine(*findTarget("x86-64-v3")));
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());
  return flatten(llvm::cantFail(emitObject(*module, *machine)));
}

std::string errorOf(llvm::Expected<FlatCode> code) { return code ? "no error" : llvm::toString(code.takeError()); }

/// Code copied to fresh memory, `offset` bytes into it; runs one kernel on one argument.
float runAt(const FlatCode &code, size_t offset, float value) {
  std::error_code error;
  auto block = llvm::sys::Memory::allocateMappedMemory(code.bytes.size() + offset, nullptr,
                                                       llvm::sys::Memory::MF_READ | llvm::sys::Memory::MF_WRITE, error);
  EXPECT_FALSE(error);
  auto *base = static_cast<uint8_t *>(block.base()) + offset;
  std::memcpy(base, code.bytes.data(), code.bytes.size());
  EXPECT_FALSE(llvm::sys::Memory::protectMappedMemory(block, llvm::sys::Memory::MF_READ | llvm::sys::Memory::MF_EXEC));
  void *args[] = {&value};
  Sm1CpuTask task{};
  task.args = args;
  reinterpret_cast<Sm1CpuKernel>(base + code.kernels.at(0).offset)(&task);
  llvm::sys::Memory::releaseMappedMemory(block);
  return value;
}

// The kernel reads a constant and calls a function, so both kinds of references are there.
TEST(FlatCode, ComputesTheSameAtEveryAddress) {
  auto code = flattenIr(R"(
    @table = internal constant [4 x float] [float 1.0, float 2.5, float 3.0, float 4.0]
    define internal float @pick(i64 %i) noinline nounwind {
      %p = getelementptr float, ptr @table, i64 %i
      %v = load float, ptr %p
      ret float %v
    }
    define win64cc void @k$entry(ptr %task) nounwind {
      %args = load ptr, ptr %task
      %x = load ptr, ptr %args
      %v = load float, ptr %x
      %i = fptosi float %v to i64
      %t = call float @pick(i64 %i)
      %r = fmul float %t, 1.5e+00
      store float %r, ptr %x
      ret void
    })");
  ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
  ASSERT_EQ(code->kernels.size(), 1u);
  EXPECT_EQ(code->kernels[0].name, "k");
  EXPECT_EQ(runAt(*code, 0, 1.0f), 3.75f);
  EXPECT_EQ(runAt(*code, 64 * 37, 2.0f), 4.5f);
}

TEST(FlatCode, RefusesLibraryCalls) {
  std::string error = errorOf(flattenIr(R"(
    declare float @sinf(float)
    define win64cc void @k$entry(ptr %task) nounwind {
      %v = load float, ptr %task
      %s = call float @sinf(float %v)
      store float %s, ptr %task
      ret void
    })"));
  EXPECT_NE(error.find("no CPU form for sinf"), std::string::npos) << error;
}

TEST(FlatCode, RefusesWritableData) {
  std::string error = errorOf(flattenIr(R"(
    @count = internal global i64 1
    define win64cc void @k$entry(ptr %task) nounwind {
      %v = load i64, ptr @count
      %n = add i64 %v, 1
      store i64 %n, ptr @count
      ret void
    })"));
  EXPECT_NE(error.find("writable data"), std::string::npos) << error;
}

TEST(FlatCode, RefusesAbsoluteAddresses) {
  std::string error = errorOf(flattenIr(R"(
    define internal void @f() noinline nounwind { ret void }
    @table = internal constant [2 x ptr] [ptr @f, ptr @f]
    define win64cc void @k$entry(ptr %task) nounwind {
      %i = load i64, ptr %task
      %p = getelementptr ptr, ptr @table, i64 %i
      %g = load ptr, ptr %p
      call void %g()
      ret void
    })"));
  EXPECT_NE(error, "no error");
}

TEST(FlatCode, RefusesWhatIsNoObject) { EXPECT_NE(errorOf(flatten(llvm::ArrayRef<char>("not an object", 13))), "no error"); }

} // namespace
