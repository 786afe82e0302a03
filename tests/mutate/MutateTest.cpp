// Mutated descriptions through the compiler: each becomes kernels or is refused with an error that has a place, and none ends the
// process.
//   sm1-mutate-test CASES SEED FOLDER SPEC... [--only=NUMBER]
// A child does the work and is started again behind a case that ends it; that case is kept in FOLDER, to be run alone with --only.
#include "Mutator.h"

#include "sm1c/Compile.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {
/// What the child tells its parent, while it lives.
struct Shared {
  volatile uint64_t next, compiled, refused, silent;
};

struct Work {
  Mutator mutator;
  uint64_t cases, seed;
  std::string folder;
};
} // namespace

/// Processor time, so that a busy machine ends nothing. Much more than the slowest takes; what is not done by then never is.
static constexpr int secondsOfCase = 60;
static constexpr int mostFailures = 20;
static const char *const targets[] = {"x86-64-v3", "sm_90", "x86-64-v4"};

static std::string fileOf(const Work &work, uint64_t number) { return work.folder + "/case-" + std::to_string(number) + ".mlir"; }

/// True if a case compiles, or is refused with an error that says where.
static bool runCase(const Work &work, uint64_t number, Shared &shared, bool isLoud) {
  sm1::CompileRequest request;
  request.model = work.folder + "/input.mlir";
  request.output = work.folder + "/output.mlir";
  request.targets = {targets[number % std::size(targets)]};
  // Lowering takes ten times as long as all that comes before it; 25 has no common factor with the targets and storages.
  request.emit = number % 25 ? "scheduled" : "target";
  if (number % 4 == 1)
    request.weights = "bf16";
  std::ofstream(request.model, std::ios::binary) << work.mutator.make(work.seed, number);
  bool said = false;
  bool compiled = sm1::compile(request, [&](const std::string &line) {
    said |= line.find("error: ") != std::string::npos && line.size() > 12;
    if (isLoud)
      std::fprintf(stderr, "%s\n", line.c_str());
  });
  ++(compiled ? shared.compiled : shared.refused);
  return compiled || said;
}

[[noreturn]] static void work(const Work &work, Shared &shared) {
  while (shared.next < work.cases) {
    const itimerval limit{{0, 0}, {secondsOfCase, 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
    uint64_t number = shared.next;
    if (!runCase(work, number, shared, /*isLoud=*/false)) {
      ++shared.silent;
      std::ofstream(fileOf(work, number), std::ios::binary) << work.mutator.make(work.seed, number);
      std::printf("FAILED  case %llu: refused without an error\n", static_cast<unsigned long long>(number));
      std::fflush(stdout);
    }
    shared.next = number + 1;
  }
  std::_Exit(0);
}

static std::vector<std::string> readAll(int count, char **paths) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    if (!file || text.str().empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", paths[i]);
      std::exit(2);
    }
    texts.push_back(text.str());
  }
  return texts;
}

int main(int argc, char **argv) {
  const char *only = argc > 5 && !std::strncmp(argv[argc - 1], "--only=", 7) ? argv[--argc] + 7 : nullptr;
  if (argc < 5)
    return std::fprintf(stderr, "usage: sm1-mutate-test CASES SEED FOLDER SPEC... [--only=NUMBER]\n"), 2;
  Work job{Mutator(readAll(argc - 4, argv + 4)), std::strtoull(argv[1], nullptr, 10), std::strtoull(argv[2], nullptr, 10), argv[3]};
  auto *shared = static_cast<Shared *>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (only)
    return runCase(job, std::strtoull(only, nullptr, 10), *shared, /*isLoud=*/true) ? 0 : 1;
  int failures = 0;
  while (shared->next < job.cases && failures < mostFailures) {
    pid_t child = fork();
    if (child == 0)
      work(job, *shared);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
      break;
    ++failures;
    uint64_t number = shared->next;
    std::ofstream(fileOf(job, number), std::ios::binary) << job.mutator.make(job.seed, number);
    std::printf("FAILED  case %llu: %s %d; %s\n", static_cast<unsigned long long>(number),
                WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                fileOf(job, number).c_str());
    std::fflush(stdout);
    shared->next = number + 1;
  }
  std::printf("%llu cases: %llu compiled, %llu refused, %d ended the process, %llu were refused in silence\n",
              static_cast<unsigned long long>(shared->next), static_cast<unsigned long long>(shared->compiled),
              static_cast<unsigned long long>(shared->refused), failures, static_cast<unsigned long long>(shared->silent));
  return failures || shared->silent || !shared->compiled || !shared->refused;
}
