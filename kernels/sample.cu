// The next token of every sequence of a batch, chosen where its logits lie: only the token goes back to the host.
//
// A block of 512 threads takes one sequence; sampling.cuh says how. Vocabularies up to 1,024 fit in shared memory, larger ones sort
// in `room`. The chosen token goes to the model's input for the next step, too, and a sequence that stops is taken out of the table
// of states, so that the step that may be on its way already leaves its state alone.
//
// The runtime embeds sample.ptx, which `tests/structure/ptx.py --write` makes of this file.
#include "sampling.cuh"

using namespace sm1sampling;

struct WholeBlock {
  static constexpr int size = 512;
  __device__ int rank() const { return threadIdx.x; }
  __device__ void meet() const { __syncthreads(); }
};

/// logits [rows][stride]; choices a row every `choiceBytes`; tokens, room may be null; room has 24 * padded bytes a row.
extern "C" __global__ void __launch_bounds__(WholeBlock::size)
    sm1_sample(const float *logits, long long stride, long long count64, const unsigned char *choices, long long choiceBytes,
               int *tokens, Chosen *results, unsigned long long *sequences, unsigned char *room, long long padded64) {
  extern __shared__ Key sharedRoom[];
  __shared__ Decision decision;
  long long row = blockIdx.x;
  int count = int(count64), padded = int(padded64);
  const Choice &choice = *reinterpret_cast<const Choice *>(choices + row * choiceBytes);
  if (choice.flags & skipped)
    return;
  Key *keys = room ? reinterpret_cast<Key *>(room + row * padded64 * 24) : sharedRoom;
  double *sums = reinterpret_cast<double *>(keys + padded);
  Chosen result =
      chooseToken(WholeBlock(), choice, logits + row * stride, SamplingRoom{keys, sums, sums + padded, &decision, count, padded});
  if (threadIdx.x > 0)
    return;
  results[row] = result;
  if (tokens)
    tokens[row] = result.status == chosen ? result.token : 0;
  if (ends(choice, result))
    sequences[row] = 0;
}
