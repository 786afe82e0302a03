/* The package format: everything the compiler and the runtime must agree on, and the only header they share.
 *
 * A package is a safetensors file: 8 bytes of little-endian header length, a JSON header, then data. The compiler pads the
 * header with spaces so that data starts on a multiple of SM1_DATA_ALIGNMENT, and aligns every tensor to SM1_TENSOR_ALIGNMENT with
 * U8 tensors named "pad/<n>". The header's __metadata__ (string values only) holds:
 *
 *   "sm1.format"   decimal SM1_FORMAT_VERSION
 *   "sm1.plan"     the plan, JSON, described below
 *   "sm1.source"   the description that was compiled, MLIR text
 *
 * and the tensors are
 *
 *   "kernel/<target>"   U8 [bytes]   code of one target. CPU: machine code, flat, free of relocations, position independent.
 *                                    GPU: PTX text that ends with one NUL byte
 *   "cubin/<target>"    U8 [bytes]   optional, GPU: machine code of the same kernels
 *   "token/<target>"    U8 [bytes]   optional, GPU: CUDA C++ of a kernel that computes a whole token, and one NUL byte
 *   "weight/<name>"     packed weights, in a self-contained package; absent from an external one
 *
 * The plan (all keys required unless marked optional; unknown keys are ignored):
 *
 *   compiler  string                     "sm1c 0.1.0 (LLVM 22.1.8)"
 *   model     string                     the symbol of sm1.model
 *   form      "exact" | "closed_form"    arithmetic of the scans
 *   storage   "f32" | "bf16" | "f16" | "int8" | "int4"       how matrices are stored in memory
 *   compute   "f32" | "bf16" | "fp8" | "int8"    what projections multiply; "fp8": e4m3 where programs of many rows can, else bf16
 *   whole_sequence  bool                 true: a prefill must not be cut in time (closed_form)
 *   weights_in      "package" | "external"
 *   states    [{name, layers, shape}]    one per state of a sequence; element [channel, extra...] f32 per layer; layers 0: no layer
 *                                        dimension. In memory a layer's state is [extra...][stride(channel)], channels contiguous.
 *   inputs    [{name, kind: "tokens", limit}]           I32 [batch, time], 0 <= token < limit
 *             [{name, kind: "rows", width}]             F32 [batch, time, width]
 *             [{name, kind: "state", state}]            F32 [batch, layers, shape...] (no layers dimension when layers is 0)
 *   outputs   [{name, kind: "rows", width, rows: "all" | "selected"}]    "selected": computed only for the rows asked for
 *             [{name, kind: "state", state}]
 *   params    [{name, count, shape}]     tensors a checkpoint must hold, exactly these. "{i}" in the name runs over 0..count-1; count 0:
 *                                        one tensor, no "{i}"
 *             A norm's has "fp8_rows": true where some program makes rows of F8_E4M3 with it: its numbers decide what is lost
 *             [{name, equals}]           optional tensor, when present identical to param `equals`
 *   weights   [{name, from, count, dtype, shape, steps}]     what kernels read: `from` is a param's name, steps are applied in order:
 *                {op: "rows", begin, end}      keep rows begin..end-1 of the first dimension
 *                {op: "cast", to: dtype}       round to nearest even
 *                {op: "channels_last"}         [C, a, b...] becomes [a*b..., C]; [C] stays [C]
 *                {op: "pad", to: n}            last dimension grows to n with zeros
 *                {op: "panels", width: 16}     [N, K] becomes [ceil(N/16), K, 16], missing rows are zero
 *                {op: "fragments"}             [N, K] of 16 bits or F8_E4M3 becomes [ceil(N/16), 2 ceil(K/2w), 32, w/2], w of them 32
 *                                              bytes, what is missing is zero: for each 16 x w tile the A fragment of mma.m16n8k16
 *                                              or, of bytes, m16n8k32, lane by lane
 *                {op: "images"}                [N, K] of 16 bits or F8_E4M3 becomes [ceil(K/w), ceil(N/16), 16, w], w of them 64 bytes, what
 *                                              is missing is zero: line 8j + 2t + i of a panel is its row 4t + 2j + i, whose chunk c of
 *                                              16 bytes stands at c ^ (line/2 % 4), as wgmma reads shared memory swizzled by 64 bytes
 *                {op: "stages"}                [N, K] of 16 bits or F8_E4M3 becomes [ceil(K/w), 8 ceil(N/128), 33 w/2], w of them 128 bytes,
 *                                              what is missing is zero: for each step of k and panel the four fragments of 32
 *                                              bytes of k, then 64 bytes of zeros, as they lie in shared memory
 *                {op: "pairs"}                 [N, K] of 16 bits becomes [ceil(N/16), ceil(K/2), 16, 2], what is missing is zero
 *                {op: "quantise", bits: 8 | 4, group, scale: "f32" | "f16"}     [N, K] becomes I8 [N, K], see below
 *                {op: "scales", bits, group, scale}     [N, K] becomes [N, groups] of dtype `scale`: what the integers of the same
 *                                              "quantise" are multiplied with. Goes on as "channels_last" and "pad", or as "panels"
 *                {op: "coarsen", bits, group, scale}     [N, K] becomes BF16 [N, K]: the weights that both stand for, q s rounded
 *                {op: "e4m3", bits: 8, group, scale}     [N, K] becomes F8_E4M3 [N, K]: w / s, to nearest even, s that of "scales"
 *                {op: "quads"}                 I8 [N, K] becomes U8 [ceil(N/16), ceil(K/4), 16, 4] of q + 128, what is missing is q = 0
 *                {op: "nibbles"}               I8 [N, K] of 4 bits becomes U8 [ceil(N/16), ceil(K/32), 4, 16, 4]; byte [p, b, j, n, i]
 *                                              holds row 16p + n, below 16 times the other: k = 32b + 4j + i as q + 8 in its low four
 *                                              bits, k + 16 in its high four; what is missing is q = 0
 *             dtype and shape are those after the last step
 *
 *             A weight w is stored as the integer q = w / s, rounded to nearest even, with -127 <= q <= 127 for 8 bits, -8 <= q <= 7 for 4.
 *             The scale s belongs to `group` consecutive columns of one row, the last group of a row may be shorter; group 0: to the whole
 *             row. It is rounded to the type that it is stored as before any q is computed; where it is 0, so is q. With m the weight of
 *             largest magnitude (the first of equals), s is |m| / 127 for 8 bits; for 4 bits that of -m/6.5, -m/6.75 ... -m/10.25, so
 *             often a negative number, for which the squares of w - q s, added up in order, are least (the first of equals). All
 *             arithmetic is f32 rounded to nearest: the same bits everywhere.
 *   programs  {target: program}          target: "x86-64-v3", "x86-64-v4" (CPU); "sm_90", "sm_120" and so on (GPU);
 *                                      "sm_90a": code for chips of capability 9.0 alone
 *   hashes    {part: hex}                FNV-1a 64 of "source", of each "kernel/<target>", "cubin/<target>" and "token/<target>";
 *                                        detects accidents, not malice
 *
 * A program of a CPU target:
 *
 *   kernels   [{name, offset}]           entry points in kernel/<target>
 *   compute   optional, "f32" | "bf16" | "fp8" | "int8": overrides the plan's for this target
 *   buffers   [{rows: "all" | "selected", stride, dtype}]   workspace, one [rows, stride] array each; row padding may hold anything
 *                                        I32 buffers hold tokens and have stride 1
 *   inputs    [buffer]                   one per plan input; -1 for states
 *   outputs   [buffer]                   one per plan output; -1 for states
 *   entries   {"prefill": [step], "step": [step]}
 *
 * A step is a launch or a loop over layers (loops do not nest):
 *
 *   {kernel, args: [arg], rows: "all" | "selected", row_split, panels, panel_split, alone, scratch, cost}
 *   {loop: layers, body: [launch]}
 *   arg: {buffer: n} | {weight: n} | {next_weight: n} | {state_in: n} | {state_out: n}; inside a loop weights with count > 0 and states
 *   with layers > 0 are those of the current layer. next_weight is the next layer's: outside of loops that of layer 0, in the last
 *   layer its own, or weight `last` of {next_weight: n, last: n}.
 *
 * A launch covers [0, rows) x [0, panels), panel p being channels 16p..16p+15. The runtime cuts it into tasks that may run in any
 * order and at the same time: rows in blocks of at most row_split (0: never cut), panels in blocks that are multiples of panel_split
 * (0: never cut) except the last. alone, optional, asks for no more tasks than threads. Every task may use `scratch` bytes, 64-byte
 * aligned, uninitialised. A launch starts after all tasks of the one before it have finished.
 *
 * cost is optional and decides nothing: what a launch does, for predictions (sm1rt/packing/Cost.h). An object of finite numbers, none
 * negative and none above 1e15; all of them there but those that say otherwise:
 *
 *   weight_bytes                                   once, however many rows there are
 *   read_bytes, write_bytes                        of each row
 *   state_bytes                                    of each segment, reads plus writes
 *   f32_products, bf16_products, int8_products     multiply-adds of each row in projections, by what is multiplied
 *   unpack_ops                                     operations that make a loaded weight an operand
 *   vector_ops, chain_steps                        of each row: f32 operations of elements, and multiply-adds of vectors that wait for
 *                                                  the one before
 *   prologue_ops, prologue_steps                   the same of what is computed on the way into projections, by every task again
 *   projections                                    that share a loop; 0: none
 *   row_tile, panel_tile, single_row_panels        of the schedule, at least 1
 *   apart, widen_rows                              of the schedule, 0 when absent
 *   fp8_products                                   as the others, by e4m3; 0 when absent
 *   group_products                                 those of int8_products whose matrix is int4; 0 when absent
 *   stages, depth_split, wgmma, registers          of a GPU's kernel: of the schedule, and of a thread; 0 when absent
 *
 * A program of a GPU target has the same keys, with these differences:
 *
 *   kernels   [{name}]                   no offset; name is the .entry of the PTX
 *   entries   "prefill" and "step" may be different lists of launches over the same buffers, and there may be others of any name
 *   ranges    {variant: {entry, least_rows, most_rows}}, optional: a pass of `entry` whose rows are in the range takes the launches of
 *             entry `variant`. No variant has variants; in one of "step" every row is a segment of its own, and selected. One
 *             whose launches have chunks takes passes alone whose rows are at least 7/8 of what their chunks have room for
 *   overlaps  boolean, optional: every kernel waits (griddepcontrol.wait) before it touches what earlier ones write or read, so it may
 *             be started while they run; sm_90 and later
 *   launch    {kernel, args, rows: "all" | "selected" | "segments", row_split, panels, panel_split, threads, shared, time_split,
 *              cluster, alone, walks, chunks, map}
 *
 * threads is the size of a block, a multiple of 32 up to 1024; shared is its dynamic shared memory in bytes (above 48 KB the runtime
 * raises the kernel's limit); row_split and panel_split are at least 1. time_split is optional, 0 when absent; cluster, too, 1 when
 * absent: so many blocks, at most 8, that differ in z alone are a cluster, as the kernel's text says itself (.reqnctapercluster 1, 1,
 * cluster). alone, optional, says that blocks want a multiprocessor each: a launch of no more blocks than those does not overlap the
 * one before, whose last blocks would crowd them. walks, optional, says that blocks go on from tile to tile: the grid is along x alone,
 * as many blocks as there are multiprocessors and no more than x y below. chunks, optional, of launches over all rows that walk, the
 * same in all of an entry: tiles are so many rows of a segment, counted from its start, and x below is the number of such chunks. A
 * pass has a table of them: I32 [chunks][4], first row, end of the segment, segment, number in the segment, the first chunks of all
 * segments first, then the second ones, and so on. map, optional, is {arg, rows, channels, row_bytes, fits, even}:
 * of an arg that is a buffer of BF16 or F8_E4M3 with so many channels, and the kernel's last parameter a CUtensorMap (128 bytes) of its
 * [n][channels], in boxes of `rows` by row_bytes, 64 (when absent) or 128, swizzled by as many. Rows of a box behind n have any numbers,
 * channels behind the last are zero. fits, optional: boxes have no more rows than n, up to a multiple of 8. even, optional: than
 * n / ceil(n / rows), as tiles share rows evenly. With n = rows of the run, selected rows, or segments, the grid is
 *
 *   x = ceil(n / row_split), y = ceil(panels / panel_split) <= 65535,
 *   z = time_split ? ceil(rows of the longest segment / time_split) : cluster, <= 65535
 *
 * and a launch with n = 0 is left out. A kernel's parameters, 8 bytes each, in this order: one pointer per arg, rowSegment,
 * segmentStart, selected (the row tables of Sm1CpuTask), int64_t n, int64_t segments, and where z > 1 uint64_t *words: one for each of
 * the 16 panels channels of each time_split rows of the run, zero when the kernel starts and when it has ended; or the map. With
 * chunks there come int32_t *chunks, int64_t their number, and uint64_t *words, 16 panels for each chunk, before the map. Launches run in order,
 * each sees what earlier ones wrote. A device runs a target of its own compute capability or a lower one: PTX of any, a cubin of the same major version.
 *
 *   token     optional: a step in one launch of the kernel in "token/<target>", which includes kernels/token.cuh. An object:
 *             {layers, warps, words, bits, table: weight, partitions: [width],
 *              phases: [{width, partition, matrices: [weight], scales: [weight]}], vectors: [weight], states: [state]}
 *
 * The last phase makes the logits, the others run once a layer. A phase multiplies its matrices ("fragments" of bf16, as many rows each as
 * its partition is wide) with a vector of `width`. With `bits` 8 or 4, not 16, the launch reads them as integers: they are "coarsen"ed, and
 * come with their scales, F32 [1, rows up to a multiple of 16] or F16 [rows, groups of 32 up to a multiple of 16]; `warps` of a block share its columns, each has 32 at least. `words` is the length of
 * all vectors, each up to a multiple of 8; table the embedding, its rows padded to multiples of 16; vectors ("channels" of f32) are the kernel's other parameters in
 * the order of their memory, states those of Launch::stateOffset in kernels/token.h.
 *
 * Rows: the tokens of all sequences of a run, one after the other, without padding. Segment s owns rows segmentStart[s] to
 * segmentStart[s+1]-1, at least one. Strides are multiples of 16 elements, arrays start on 64 bytes.
 */
#ifndef SM1RT_PACKAGEFORMAT_H
#define SM1RT_PACKAGEFORMAT_H

#include <stdint.h>

/* 2: boxes of a tensor map may have fewer rows (`fits`). A runtime of before would take larger ones, and its kernels wait for ever.
 * 3: tiles may be chunks of segments (`chunks`). A runtime of before gives such kernels no table of them.
 * 4: tiles may share rows evenly (`even`). A runtime of before would take larger boxes, and their kernels wait for ever.
 * 5: a layer's kernel may have another weight in the last layer (`last`). A runtime of before would call that a fault of the plan. */
#define SM1_FORMAT_VERSION 5
#define SM1_FORMAT_OLDEST 1
#define SM1_DATA_ALIGNMENT 4096
#define SM1_TENSOR_ALIGNMENT 64
#define SM1_PANEL 16

/* Kernels use one calling convention on every system: that of Windows x64. */
#if defined(_WIN32) || !defined(__x86_64__)
#define SM1_CPU_ABI
#else
#define SM1_CPU_ABI __attribute__((ms_abi))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One task of a launch. Every field is 8 bytes, in this order; new fields go to the end. */
typedef struct Sm1CpuTask {
  void *const *args;           /* one pointer per arg of the launch */
  const int32_t *rowSegment;   /* [rows of the run] the segment of each row */
  const int32_t *segmentStart; /* [segments + 1] first row of each segment */
  const int32_t *selected;     /* [selected rows] row of the run behind each selected row */
  void *scratch;               /* private to the task */
  int64_t rowBegin, rowEnd;    /* rows of the launch's row space */
  int64_t panelBegin, panelEnd;
} Sm1CpuTask;

typedef void(SM1_CPU_ABI *Sm1CpuKernel)(const Sm1CpuTask *task);

#ifdef __cplusplus
}
#endif

#endif /* SM1RT_PACKAGEFORMAT_H */
