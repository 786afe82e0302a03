// Reads rows in pieces, so that their inputs and outputs need little memory however long the context is.
#include "Context.h"

#include "Progress.h"

#include <algorithm>
#include <fstream>
#include <string>

using namespace sm1rt;

constexpr int64_t rowsPerRun = 2048;

ContextReader::ContextReader(Model &model) : model(model), current(model.newSequence()), inputs(model.plan(), rowsPerRun) {}

Expected<void> ContextReader::readTo(int64_t rows) {
  Progress progress("reading context", rows, "rows");
  while (current.position() < rows) {
    int64_t count = std::min(rows - current.position(), rowsPerRun);
    if (Expected<Outputs> outputs = model.run("prefill", {inputs.piece(current, 0, count)}); !outputs)
      return outputs.error();
    progress.update(current.position());
  }
  return {};
}

double residentBytes() {
  std::ifstream status("/proc/self/status");
  double kilobytes = 0;
  for (std::string word; status >> word;)
    if (word == "VmRSS:" && status >> kilobytes)
      return 1024 * kilobytes;
  return 0;
}
