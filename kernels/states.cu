// The states of a pass: sequences keep theirs in memory of their own, kernels want one block of all sequences for each layer. These
// two kernels move everything between the two in one launch each, however many sequences there are.
//
// A CUDA block moves one part (a layer of a state) of one sequence at a time, a thread 16 bytes; parts and addresses are multiples
// of 64 bytes. The runtime embeds states.ptx, which `tests/structure/ptx.py --write` makes of this file.

struct Part {
  unsigned long long block, offset, bytes; // StatePart of the runtime
};

template <bool gather>
static __device__ void move(const Part *parts, const unsigned long long *sequences, long long partCount, long long segments) {
  for (long long index = blockIdx.x; index < partCount * segments; index += gridDim.x) {
    long long segment = index % segments;
    Part part = parts[index / segments];
    if (sequences[segment] == 0)
      continue;
    uint4 *own = reinterpret_cast<uint4 *>(sequences[segment] + part.offset);
    uint4 *block = reinterpret_cast<uint4 *>(part.block + segment * part.bytes);
    for (unsigned long long i = threadIdx.x; i < part.bytes / 16; i += blockDim.x)
      if (gather)
        block[i] = own[i];
      else
        own[i] = block[i];
  }
}

extern "C" __global__ void __launch_bounds__(256)
    sm1_gather_states(const Part *parts, const unsigned long long *sequences, long long partCount, long long segments) {
  move<true>(parts, sequences, partCount, segments);
}

extern "C" __global__ void __launch_bounds__(256)
    sm1_scatter_states(const Part *parts, const unsigned long long *sequences, long long partCount, long long segments) {
  move<false>(parts, sequences, partCount, segments);
}
