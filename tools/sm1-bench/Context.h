// Sequences that have read much, and what this process holds in memory then.
#ifndef SM1_BENCH_CONTEXT_H
#define SM1_BENCH_CONTEXT_H

#include "Runner.h"

/// Takes one sequence further and further through `prefill`.
class ContextReader {
public:
  explicit ContextReader(sm1rt::Model &model);

  /// Reads on until the sequence has read `rows` rows; says how far it is on standard error. No way back.
  sm1rt::Expected<void> readTo(int64_t rows);
  const sm1rt::Sequence &sequence() const { return current; }

private:
  sm1rt::Model &model;
  sm1rt::Sequence current;
  Inputs inputs; // read again and again
};

/// Bytes of memory that this process has now, files that it maps among them; 0 where the system does not tell.
double residentBytes();

#endif // SM1_BENCH_CONTEXT_H
