//===- Passes.td - sm1 to sm1: from a description to scheduled kernels -------------------------------------------===//
//
// In the order in which buildStage runs them. Every fusion pass moves one kernel into another and changes no bit: each value is
// still computed by the same operations in the same order, only its way through memory goes.

#ifndef SM1C_TRANSFORMS_PASSES_TD
#define SM1C_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// spec -> precise
//===----------------------------------------------------------------------===//

def SetScanForm : Pass<"sm1-set-scan-form"> {
  let summary = "Choose the arithmetic of every scan";
  let description = [{
    ```mlir
    %h, %last = sm1.scan %a, %b init %h0 : tensor<?x?x8xf32>
    // becomes, with form=closed_form
    %h, %last = sm1.scan %a, %b init %h0 form closed_form : tensor<?x?x8xf32>
    ```
    Expects:  a description.
    Leaves:   scans of one form.
    Numerics: closed_form changes the results; that is its purpose.
  }];
  let options = [Option<"form", "form", "std::string", "\"exact\"", "exact or closed_form">];
}

def MakePrecise : Pass<"sm1-make-precise"> {
  let summary = "Make storage types and every rounding explicit";
  let description = [{
    Matrices get the storage type; with compute=bf16 what a projection multiplies is rounded just before it. Vectors of parameters,
    norms, scans and sums stay f32.
    ```mlir
    %w = sm1.param "w" : tensor<8x4xf32>
    %y = sm1.linear %x, %w : tensor<?x?x4xf32>, tensor<8x4xf32>
    // becomes, with storage=bf16 compute=bf16
    %w = sm1.param "w" : tensor<8x4xbf16>
    %r = arith.truncf %x : tensor<?x?x4xf32> to tensor<?x?x4xbf16>
    %y = sm1.linear %r, %w : tensor<?x?x4xbf16>, tensor<8x4xbf16>
    ```
    With storage=int8 (one scale per row) or int4 (one f16 per 32 columns) matrices become integers and scales; rows that tokens look up
    are kept in bf16. With compute=int8 each projection quantises what it multiplies, row by row; with compute=bf16 matrices become bf16, what the
    integers and scales stand for (GPUs).
    ```mlir
    %q = sm1.param "w" quantised <bits = 8, group = 0, columns = 4> : tensor<8x4xi8>
    %s = sm1.param "w" quantised <bits = 8, group = 0, columns = 4> : tensor<8x1xf32>
    %y = sm1.linear %x, %q scales %s int8 : tensor<?x?x4xf32>, tensor<8x4xi8>, tensor<8x1xf32>
    ```
    With storage=bf16 compute=fp8 projections of a norm's rows multiply f8E4M3FN, the matrix with a scale for each of its rows, and all
    others bf16. Rows need no scale: a norm leaves numbers of about the size of its weights, and f8E4M3FN reaches from 2^-9 to 448;
    arith.truncf to it stops at 448. Results whose rows are selected (logits) stay bf16.
    ```mlir
    %q = sm1.param "w" quantised <bits = 8, group = 0, columns = 4> : tensor<8x4xf8E4M3FN>
    %s = sm1.param "w" quantised <bits = 8, group = 0, columns = 4> : tensor<8x1xf32>
    %r = arith.truncf %normed : tensor<?x?x4xf32> to tensor<?x?x4xf8E4M3FN>
    %y = sm1.linear %r, %q scales %s : tensor<?x?x4xf8E4M3FN>, tensor<8x4xf8E4M3FN>, tensor<8x1xf32>
    ```
    With `streams`, what waits in memory for another kernel, however kernels are fused, is rounded to the compute type for all who read it:
    a norm's rows that are multiplied, and all projections of one x if a convolution reads one of them.
    ```mlir
    %u = sm1.linear %r, %w : tensor<?x?x4xbf16>, tensor<8x4xbf16>
    %c, %t = sm1.conv1d %u, %taps, %bias taps %before : tensor<?x?x8xf32>, tensor<8x1x4xf32>
    // becomes
    %u = sm1.linear %r, %w : tensor<?x?x4xbf16>, tensor<8x4xbf16>
    %s = arith.truncf %u : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
    %v = arith.extf %s : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
    %c, %t = sm1.conv1d %v, %taps, %bias taps %before : tensor<?x?x8xf32>, tensor<8x1x4xf32>
    ```
    Expects:  a description in f32.
    Leaves:   no implicit rounding.
    Numerics: rounds matrices to the storage type, operands of projections and, with `streams`, results to the compute type; on CPUs nothing
              after this pass rounds.
  }];
  let options = [Option<"storage", "storage", "std::string", "\"f32\"", "f32, bf16, f16, int8 or int4">,
                 Option<"compute", "compute", "std::string", "\"f32\"", "f32, bf16, fp8 or int8">,
                 Option<"streams", "streams", "bool", "false", "round what waits for another kernel, too">];
}

//===----------------------------------------------------------------------===//
// precise -> fused
//===----------------------------------------------------------------------===//

def SelectRows : Pass<"sm1-select-rows"> {
  let summary = "Compute selected results only for the rows that the caller asks for";
  let description = [{
    Walks back from a result with `sm1.rows = "selected"` over operations that treat each row by itself, and selects at the first value
    that something else needs for all rows.
    ```mlir
    %r = sm1.rms_norm %x, %w eps 1.0e-06 : tensor<?x?x8xf32>
    // becomes
    %s = sm1.select_rows %x : tensor<?x?x8xf32>
    %r = sm1.rms_norm %s, %w eps 1.0e-06 : tensor<?x?x8xf32>
    ```
    Expects:  a precise module.
    Leaves:   selected results computed from sm1.select_rows.
    Numerics: exact.
  }];
}

def FormKernels : Pass<"sm1-form-kernels"> {
  let summary = "Give every operation a kernel of its own";
  let description = [{
    Constants, broadcasts, arithmetic on parameters alone and what widens a rounded stream cost nothing to repeat and are copied into each
    kernel that uses them.
    ```mlir
    %y = arith.addf %a, %b : tensor<?x?x8xf32>
    // becomes
    %y = sm1.kernel "addf" (%0 = %a : tensor<?x?x8xf32>, %1 = %b : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %2 = arith.addf %0, %1 : tensor<?x?x8xf32>
      sm1.yield %2 : tensor<?x?x8xf32>
    }
    ```
    Expects:  a precise module.
    Leaves:   models made of parameters, kernels and layers.
    Numerics: exact.
  }];
}

def KeepApart : Pass<"sm1-keep-apart"> {
  let summary = "Keep kernels out of every fusion";
  let description = [{
    `fuse=off` of a schedule file. No fusion pass touches a kernel that is marked.
    ```mlir
    %y = sm1.kernel "exp" (%0 = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> { ... }
    // becomes, with kernels=exp
    %y = sm1.kernel "exp" (%0 = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> attributes {keep_apart} { ... }
    ```
    Expects:  kernels, one per operation.
    Leaves:   marks on those of the given names.
    Numerics: exact.
  }];
  let options = [ListOption<"kernels", "kernels", "std::string", "names of kernels, as sm1-form-kernels gives them">];
}

class FusionPass<string flag> : Pass<flag>;

def FuseElementwise : FusionPass<"sm1-fuse-elementwise"> {
  let summary = "Merge elementwise kernels into the elementwise kernel that alone uses them";
  let description = [{
    An embedding's rows count as elementwise here: what widens or scales them joins their kernel.
    ```mlir
    %e = sm1.kernel "exp"(%x) { exp }      %y = sm1.kernel "addf"(%e, %b) { addf }
    // becomes
    %y = sm1.kernel "addf"(%x, %b) { exp, addf }
    ```
    Expects:  kernels.
    Leaves:   no elementwise kernel whose only user is an elementwise kernel.
    Numerics: exact.
  }];
}

def FuseScanProducers : FusionPass<"sm1-fuse-scan-producers"> {
  let summary = "Move elementwise producers into the scan that alone uses them";
  let description = [{
    Discretisation (softplus, decay, B·u·dt) is then computed as the scan walks the rows.
    ```mlir
    %a = sm1.kernel "exp"(%rate) { exp }   %h, %l = sm1.kernel "scan"(%a, %b, %h0) { scan }
    // becomes
    %h, %l = sm1.kernel "scan"(%rate, %b, %h0) { exp, scan }
    ```
    Expects:  kernels.
    Leaves:   no elementwise kernel all of whose users are one scan kernel, but those of what all channels of a selective scan read.
    Numerics: exact.
  }];
}

def FuseScanReadout : FusionPass<"sm1-fuse-scan-readout"> {
  let summary = "Move the readout and the gate after a scan into it";
  let description = [{
    ```mlir
    %h, %l = sm1.kernel "scan"(%a, %b, %h0) { scan }   %y = sm1.kernel "mulf"(%c, %h) { mulf }
    // becomes: h stays in registers
    %y, %l = sm1.kernel "scan"(%a, %b, %h0, %c) { scan, mulf }
    ```
    Expects:  kernels; sm1-fuse-elementwise has gathered the readout into one.
    Leaves:   no elementwise kernel on h, unless h is used before it (missed remark).
    Numerics: exact.
  }];
}

def FuseConvNorm : FusionPass<"sm1-fuse-conv-norm"> {
  let summary = "One kernel for a convolution, the activation after it and their norm";
  let description = [{
    A norm needs whole rows, and so does not go into a kernel with projections or a scan.
    ```mlir
    %c, %t = sm1.kernel "conv1d"(%x, ...) { conv1d }   %s = sm1.kernel "divf"(%c) { silu }   %u = sm1.kernel "rms_norm"(%s, %w) { rms_norm }
    // becomes
    %u, %t = sm1.kernel "conv1d"(%x, ..., %w) { conv1d, silu, rms_norm }
    ```
    Expects:  kernels.
    Leaves:   no elementwise or norm kernel that could follow its convolution.
    Numerics: exact.
  }];
}

def FuseProjectionSiblings : FusionPass<"sm1-fuse-projection-siblings"> {
  let summary = "One kernel for projections of the same values";
  let description = [{
    At most three, so that the sums of a tile fit the registers. Their input is then read (and normalised) once.
    ```mlir
    %a = sm1.kernel "w1"(%r, %w1) { linear }   %b = sm1.kernel "w3"(%r, %w3) { linear }
    // becomes
    %a, %b = sm1.kernel "w1"(%r, %w1, %w3) { linear, linear }
    ```
    Expects:  kernels.
    Leaves:   no two projections of one value and one width in two kernels, up to three.
    Numerics: exact.
  }];
}

def FuseProjectionEpilogue : FusionPass<"sm1-fuse-projection-epilogue"> {
  let summary = "Move a residual, a gate or an activation after projections into their kernel";
  let description = [{
    ```mlir
    %o = sm1.kernel "out_proj"(%g, %w) { linear }   %y = sm1.kernel "addf"(%x, %o) { addf }
    // becomes
    %y = sm1.kernel "out_proj"(%g, %w, %x) { linear, addf }
    ```
    Expects:  kernels; siblings merged.
    Leaves:   no elementwise kernel that alone uses the projections it reads.
    Numerics: exact.
  }];
}

def FuseProjectionScan : FusionPass<"sm1-fuse-projection-scan"> {
  let options = [Option<"tiles", "tiles", "bool", "false", "for tiles of many rows, which are chunks of a sequence">];
  let summary = "Move projections into the scan that alone uses them";
  let description = [{
    B, C and dt of a channel are then sums of one tile, and never reach memory.
    ```mlir
    %B, %C, %dt = sm1.kernel "x_proj"(%u, ...) { linear, linear, linear }   %g, %l = sm1.kernel "scan"(%B, %C, %dt, ...) { ..., scan, ... }
    // becomes
    %g, %l = sm1.kernel "scan"(%u, ...) { linear, linear, linear, ..., scan, ... }
    ```
    Expects:  kernels; producers and readout already inside the scan.
    Leaves:   no projection kernel all of whose users are one scan kernel, up to three projections; those of a scan of several states per
              channel, which wants other tiles.
    Numerics: exact.
  }];
}

def FuseNormProjection : FusionPass<"sm1-fuse-norm-projection"> {
  let summary = "Move a norm (and the rounding of its result) into the projections that alone use it";
  let description = [{
    Every task then normalises its own rows into scratch before it multiplies.
    ```mlir
    %r = sm1.kernel "rms_norm"(%x, %w) { rms_norm }   %y = sm1.kernel "in_proj"(%r, %m) { linear }
    // becomes
    %y = sm1.kernel "in_proj"(%x, %w, %m) { rms_norm, linear }
    ```
    Expects:  kernels; siblings merged.
    Leaves:   no norm kernel all of whose users are the projections of one kernel without a scan.
    Numerics: exact.
  }];
}

def FuseRounding : FusionPass<"sm1-fuse-rounding"> {
  let summary = "Let the kernel that computes a value round it too";
  let description = [{
    What a projection multiplies is rounded by itself at the stage precise. The kernel that makes the value then stores it rounded, or
    both ways where somebody needs it as it was.
    ```mlir
    %y = sm1.kernel "norm"(%x, %w) { rms_norm }   %r = sm1.kernel "truncf"(%y) { truncf }
    // becomes
    %r = sm1.kernel "norm"(%x, %w) { rms_norm, truncf }
    ```
    Expects:  kernels; everything else is fused.
    Leaves:   no kernel that only rounds what another kernel of its rows makes.
    Numerics: exact.
  }];
}

def FuseNormHalves : FusionPass<"sm1-fuse-norm-halves"> {
  let summary = "Divide a norm between the projections that make a row and those that multiply it";
  let description = [{
    For GPUs, in programs for few rows, where a kernel for each norm waits longer than it works, and for many rows on sm_90a, where it
    reads from memory what its neighbours have in registers. What makes a row multiplies it
    by the norm's weight, stores it rounded, and stores the sums of squares of its panels; what multiplies it scales its sums by the row's
    inverse root mean square. The first norm of a layer goes to the layer before, which reads the next one's weight, and for the first
    layer to what comes before the layers; rows and squares are carried. With `step` the kernel of a convolution and its norm goes into
    the projection before it the same way. With `tiles` squares are added up for each of the tiles that a row is in. In a step all rows are selected, so the norm behind the layers goes to the last layer,
    which reads its weight where others read the next layer's; if it stays it selects its rows itself.
    ```mlir
    %x = sm1.kernel "out_proj"(%g, %m) { linear }  %r = sm1.kernel "norm"(%x, %w) { rms_norm, truncf }  %y = sm1.kernel "w1"(%r, %n) { linear }
    // becomes
    %x, %r, %s = sm1.kernel "out_proj"(%g, %m, %w) { linear, mulf, truncf, panel_squares }
    %y = sm1.kernel "w1"(%r, %s, %n) { linear, rms_scale }
    ```
    Expects:  fused kernels with their roundings.
    Leaves:   no norm kernel between projections on tensor cores, unless something else reads it (missed remark).
    Numerics: the row is rounded before it is scaled, the squares are added in another order.
  }];
  let options = [Option<"step", "step", "bool", "false", "every row is a segment of its own">,
                 Option<"tiles", "tiles", "bool", "false", "squares are those of wgmma's tiles of many rows">];
}

//===----------------------------------------------------------------------===//
// fused -> scheduled
//===----------------------------------------------------------------------===//

def ScheduleForCpu : Pass<"sm1-schedule-for-cpu"> {
  let summary = "Tiles, splits, weight layouts and launches for one CPU target";
  let description = [{
    Tile sizes follow from the target's vector registers and the number of projections in a kernel, row blocks from its cache; a schedule
    that a kernel already has is kept. Parameters get the layout that their kernel reads. One launch per kernel. A scan of what other
    kernels made is marked `alone`: the runtime cuts it into one task for each thread, with long pieces of every row.
    ```mlir
    %y = sm1.kernel "w2"(...) { ... }
    // becomes
    %y = sm1.launch sync(none) { %k = sm1.kernel "w2"(...) schedule<row_tile = 8, ...> { ... }  sm1.yield %k }
    ```
    Expects:  fused kernels.
    Leaves:   scheduled kernels with unique names, one per launch.
    Numerics: exact: sums keep their order in every tile.
  }];
  let options = [Option<"target", "target", "std::string", "\"x86-64-v4\"", "a name of the target table">,
                 Option<"overrides", "overrides", "std::string", "\"\"", "a file of schedules, see compiler/docs/Schedules.md">,
                 Option<"tuned", "tuned", "std::string", "\"\"", "a file of measured schedules, or none; see compiler/docs/Tuning.md">];
}

def ScheduleForGpu : Pass<"sm1-schedule-for-gpu"> {
  let summary = "Forms of blocks, splits, weight layouts and launches for one GPU";
  let description = [{
    The form follows from what a kernel holds (a scan, projections, whole rows), from the types of what it multiplies (bf16 by bf16 goes to
    tensor cores) and from the entry: a step has one row per segment; few rows want smaller tiles than many. A schedule that a kernel already
    has is kept. One launch per kernel.
    ```mlir
    %y = sm1.kernel "w2"(...) { ... }
    // becomes
    %y = sm1.launch sync(none) { %k = sm1.kernel "w2"(...) blocks<tiles, threads = 256, ...> { ... }  sm1.yield %k }
    ```
    Expects:  fused kernels.
    Leaves:   scheduled kernels with unique names, one per launch; those of a step end in "_step", what differs in other entries in their names.
    Numerics: exact; which kernels use tensor cores follows from the types alone. How many warps share a sum's k there follows from the entry.
              With compute=bf16 a scan of one state adds in groups of eight rows and chunks of 128 to 512 over time, one of several keeps
              its order; and in a prefill what projections and norms hand to other kernels is stored in bf16.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"sm_120\"", "a GPU of the target table">,
    Option<"entry", "entry", "std::string", "\"prefill\"", "what to schedule for: prefill, prefill_long, prefill_larger, prefill_large, prefill_most, prefill_more, prefill_some, prefill_several, prefill_few, step, step_few, step_several, step_some, step_many or step_most">,
    Option<"compute", "compute", "std::string", "\"f32\"", "what projections multiply; a scan keeps the order of a step in f32 alone">,
    Option<"overrides", "overrides", "std::string", "\"\"", "a file of schedules, see compiler/docs/Schedules.md">,
    Option<"tuned", "tuned", "std::string", "\"\"", "a file of measured schedules, or none; see compiler/docs/Tuning.md">,
  ];
}

#endif // SM1C_TRANSFORMS_PASSES_TD
