// RUN: sm1-opt %s -sm1-make-precise="storage=f32 compute=f32" | FileCheck %s --check-prefix=F32
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16" | FileCheck %s --check-prefix=STORE
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16" | FileCheck %s --check-prefix=BOTH
// RUN: sm1-opt %s -sm1-make-precise="storage=f16" | FileCheck %s --check-prefix=HALF
// RUN: sm1-opt %s -sm1-make-precise="storage=int8" -cse | FileCheck %s --check-prefixes=QUANT,INT8
// RUN: sm1-opt %s -sm1-make-precise="storage=int4" -cse | FileCheck %s --check-prefixes=QUANT,INT4
// RUN: sm1-opt %s -sm1-make-precise="storage=int4 compute=int8" -cse | FileCheck %s --check-prefixes=QUANT,INT4,BYTES
// RUN: sm1-opt %s -sm1-make-precise="storage=int8 compute=int8" > %t.once
// RUN: sm1-opt %t.once -sm1-make-precise="storage=int8 compute=int8" | diff %t.once -
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16" > %t.once
// RUN: sm1-opt %t.once -sm1-make-precise="storage=bf16 compute=bf16" | diff %t.once -
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16 streams" | FileCheck %s --check-prefix=STREAMS
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16 streams" > %t.once
// RUN: sm1-opt %t.once -sm1-make-precise="storage=bf16 compute=bf16 streams" | diff %t.once -
// RUN: not sm1-opt %s -sm1-make-precise="storage=f64" 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: not sm1-opt %s -sm1-make-precise="storage=bf16 compute=f16" 2>&1 | FileCheck %s --check-prefix=COMPUTE
// RUN: not sm1-opt %s -sm1-make-precise="storage=f16 compute=bf16" 2>&1 | FileCheck %s --check-prefix=MIXED
// RUN: sm1-opt %s -sm1-make-precise="storage=int8 compute=bf16" -cse | FileCheck %s --check-prefix=COARSE
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=fp8" -cse | FileCheck %s --check-prefix=FP8
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=fp8" > %t.once
// RUN: sm1-opt %t.once -sm1-make-precise="storage=bf16 compute=fp8" | diff %t.once -
// RUN: not sm1-opt %s -sm1-make-precise="storage=f32 compute=fp8" 2>&1 | FileCheck %s --check-prefix=FP8WIDE
// RUN: not sm1-opt %s -sm1-make-precise="storage=bf16 compute=int8" 2>&1 | FileCheck %s --check-prefix=WHOLE

// TYPE: error: storage must be f32, bf16, f16, int8 or int4 and compute f32, bf16, fp8 or int8, got 'f64' and 'f32'
// COMPUTE: error: storage must be f32, bf16, f16, int8 or int4 and compute f32, bf16, fp8 or int8, got 'bf16' and 'f16'
// MIXED: error: compute=bf16 multiplies what is stored as bf16, got storage=f16; store matrices as bf16 too
// FP8WIDE: error: compute=fp8 multiplies what is stored as bf16, got storage=f32; store matrices as bf16 too
// WHOLE: error: compute=int8 multiplies integers, got storage=bf16; store matrices as int8 or int4

// Matrices are stored; what projections multiply is rounded once, where it is made, however many projections read it. A quantised matrix
// is two parameters of one tensor; x stays f32, since the projection quantises it. Multiplied as bf16 it is one, what its integers stand for.
// F32-LABEL: sm1.model @projections
// F32-NOT: bf16
// STORE-LABEL: sm1.model @projections
// STORE-NOT: truncf
// BOTH-LABEL: sm1.model @projections
// HALF-LABEL: sm1.model @projections
// HALF-NOT: truncf
// COARSE-LABEL: sm1.model @projections
// QUANT-LABEL: sm1.model @projections
// QUANT-NOT: truncf
sm1.model @projections(%x: tensor<?x?x8xf32> {sm1.name = "x"})
    -> (tensor<?x?x4xf32> {sm1.name = "y"}, tensor<?x?x4xf32> {sm1.name = "z"}) {
  // BOTH: %[[R:.*]] = arith.truncf %x : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  // BOTH-NOT: truncf
  // STORE: sm1.param "a" : tensor<4x8xbf16>
  // HALF: sm1.param "a" : tensor<4x8xf16>
  // COARSE: %[[R:.*]] = arith.truncf %x
  // COARSE: %[[A:.*]] = sm1.param "a" quantised <bits = 8, group = 0, columns = 8> : tensor<4x8xbf16>
  // COARSE: sm1.linear %[[R]], %[[A]] : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  // INT8: %[[A:.*]] = sm1.param "a" quantised <bits = 8, group = 0, columns = 8> : tensor<4x8xi8>
  // INT8: %[[AS:.*]] = sm1.param "a" quantised <bits = 8, group = 0, columns = 8> : tensor<4x1xf32>
  // INT4: %[[A:.*]] = sm1.param "a" quantised <bits = 4, group = 32, columns = 8> : tensor<4x8xi4>
  // INT4: %[[AS:.*]] = sm1.param "a" quantised <bits = 4, group = 32, columns = 8> : tensor<4x1xf16>
  %a = sm1.param "a" : tensor<4x8xf32>
  %b = sm1.param "b" : tensor<4x8xf32>
  // BOTH: sm1.linear %[[R]], %a : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  // STORE: sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xbf16>
  // HALF: sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xf16>
  // INT8: sm1.linear %x, %[[A]] scales %[[AS]] : tensor<?x?x8xf32>, tensor<4x8xi8>, tensor<4x1xf32>
  // BYTES: sm1.linear %x, %[[A]] scales %[[AS]] int8 : tensor<?x?x8xf32>, tensor<4x8xi4>, tensor<4x1xf16>
  %y = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xf32>
  // BOTH: sm1.linear %[[R]], %b : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  %z = sm1.linear %x, %b : tensor<?x?x8xf32>, tensor<4x8xf32>
  sm1.return %y, %z : tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// A table that is the head as well: its rows are widened where they are read, and the head rounds what it multiplies. Beside a quantised
// head the table is bf16. A matrix of 40 columns has two groups of 32.
// F32-LABEL: sm1.model @tied
// F32-NOT: bf16
// STORE-LABEL: sm1.model @tied
// BOTH-LABEL: sm1.model @tied
// HALF-LABEL: sm1.model @tied
// COARSE-LABEL: sm1.model @tied
// QUANT-LABEL: sm1.model @tied
sm1.model @tied(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x8xf32> {sm1.name = "logits"}) {
  // STORE: sm1.param "embed" : tensor<8x4xbf16>
  %e = sm1.param "embed" : tensor<8x4xf32>
  // STORE: %[[ROW:.*]] = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<8x4xbf16>
  // STORE: %[[WIDE:.*]] = arith.extf %[[ROW]] : tensor<?x?x4xbf16> to tensor<?x?x4xf32>
  // STORE: sm1.linear %[[WIDE]], %embed : tensor<?x?x4xf32>, tensor<8x4xbf16>
  // BOTH: %[[WIDE:.*]] = arith.extf %{{.*}} : tensor<?x?x4xbf16> to tensor<?x?x4xf32>
  // BOTH: %[[R:.*]] = arith.truncf %[[WIDE]]
  // BOTH: sm1.linear %[[R]], %embed : tensor<?x?x4xbf16>, tensor<8x4xbf16>
  // HALF: arith.extf %{{.*}} : tensor<?x?x4xf16> to tensor<?x?x4xf32>
  // COARSE: %[[E:.*]] = sm1.param "embed" : tensor<8x4xbf16>
  // COARSE: sm1.embedding %tokens, %[[E]]
  // COARSE: %[[H:.*]] = sm1.param "embed" quantised <bits = 8, group = 0, columns = 4> : tensor<8x4xbf16>
  // COARSE: sm1.linear %{{.*}}, %[[H]] : tensor<?x?x4xbf16>, tensor<8x4xbf16>
  // QUANT: %[[E:.*]] = sm1.param "embed" : tensor<8x4xbf16>
  // QUANT: %[[ROW:.*]] = sm1.embedding %tokens, %[[E]]
  // QUANT: %[[WIDE:.*]] = arith.extf %[[ROW]] : tensor<?x?x4xbf16> to tensor<?x?x4xf32>
  // INT8: sm1.linear %[[WIDE]], %{{.*}} scales %{{.*}} : tensor<?x?x4xf32>, tensor<8x4xi8>, tensor<8x1xf32>
  %x = sm1.embedding %tokens, %e : tensor<?x?xi32>, tensor<8x4xf32>
  %y = sm1.linear %x, %e : tensor<?x?x4xf32>, tensor<8x4xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// Rows of a larger tensor stay rows; groups of 32 columns, the last one shorter.
// INT8-LABEL: sm1.model @groups
// INT4-LABEL: sm1.model @groups
sm1.model @groups(%x: tensor<?x?x40xf32> {sm1.name = "x"}) -> (tensor<?x?x4xf32> {sm1.name = "y"}) {
  // INT8: sm1.param "w" rows 4 to 8 of 12 quantised <bits = 8, group = 0, columns = 40> : tensor<4x40xi8>
  // INT8: sm1.param "w" rows 4 to 8 of 12 quantised <bits = 8, group = 0, columns = 40> : tensor<4x1xf32>
  // INT4: sm1.param "w" rows 4 to 8 of 12 quantised <bits = 4, group = 32, columns = 40> : tensor<4x40xi4>
  // INT4: sm1.param "w" rows 4 to 8 of 12 quantised <bits = 4, group = 32, columns = 40> : tensor<4x2xf16>
  %w = sm1.param "w" rows 4 to 8 of 12 : tensor<4x40xf32>
  %y = sm1.linear %x, %w : tensor<?x?x40xf32>, tensor<4x40xf32>
  sm1.return %y : tensor<?x?x4xf32>
}

// Vectors of parameters, norms, convolutions, scans and sums stay f32.
// F32-LABEL: sm1.model @stays
// STORE-LABEL: sm1.model @stays
// BOTH-LABEL: sm1.model @stays
// BOTH-NOT: bf16
// HALF-LABEL: sm1.model @stays
// HALF-NOT: f16
// QUANT-LABEL: sm1.model @stays
// QUANT-NOT: quantised
sm1.model @stays(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %taps: tensor<?x8x3xf32> {sm1.state = "conv"}, %h: tensor<?x8xf32> {sm1.state = "h"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8x3xf32> {sm1.state = "conv"}, tensor<?x8xf32> {sm1.state = "h"}) {
  %n = sm1.param "norm" : tensor<8xf32>
  %w = sm1.param "conv" : tensor<8x1x4xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  %c, %t = sm1.conv1d %r, %w, %n taps %taps : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  %s, %last = sm1.scan %c, %c init %h : tensor<?x?x8xf32>
  %y = arith.addf %s, %x : tensor<?x?x8xf32>
  // BOTH: sm1.return
  // HALF: sm1.return
  // QUANT: sm1.return
  sm1.return %y, %t, %last : tensor<?x?x8xf32>, tensor<?x8x3xf32>, tensor<?x8xf32>
}

// A norm's rows become e4m3, once for all projections of them, and so do the matrices, with a scale for each row. What is no norm's, and
// results for rows that somebody selects, multiply bf16.
// FP8-LABEL: sm1.model @norms
sm1.model @norms(%x: tensor<?x?x8xf32> {sm1.name = "x"})
    -> (tensor<?x?x4xf32> {sm1.name = "y"}, tensor<?x?x4xf32> {sm1.name = "z"}, tensor<?x?x4xf32> {sm1.name = "logits", sm1.rows = "selected"}) {
  %n = sm1.param "norm" : tensor<8xf32>
  %w = sm1.param "w" rows 4 to 8 of 12 : tensor<4x8xf32>
  %v = sm1.param "v" : tensor<4x8xf32>
  %u = sm1.param "u" : tensor<4x8xf32>
  // FP8: %[[NORM:.*]] = sm1.rms_norm
  // FP8-DAG: %[[R:.*]] = arith.truncf %[[NORM]] : tensor<?x?x8xf32> to tensor<?x?x8xf8E4M3FN>
  // FP8-DAG: %[[RB:.*]] = arith.truncf %[[NORM]] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // FP8-DAG: %[[W:.*]] = sm1.param "w" rows 4 to 8 of 12 quantised <bits = 8, group = 0, columns = 8> : tensor<4x8xf8E4M3FN>
  // FP8-DAG: %[[WS:.*]] = sm1.param "w" rows 4 to 8 of 12 quantised <bits = 8, group = 0, columns = 8> : tensor<4x1xf32>
  // FP8: sm1.linear %[[R]], %[[W]] scales %[[WS]] : tensor<?x?x8xf8E4M3FN>, tensor<4x8xf8E4M3FN>, tensor<4x1xf32>
  %a = sm1.linear %r, %w : tensor<?x?x8xf32>, tensor<4x8xf32>
  // FP8: sm1.linear %[[R]], %{{.*}} scales
  %b = sm1.linear %r, %v : tensor<?x?x8xf32>, tensor<4x8xf32>
  // FP8: sm1.linear %{{.*}}, %{{.*}} : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  %c = sm1.linear %x, %v : tensor<?x?x8xf32>, tensor<4x8xf32>
  // FP8: sm1.linear %[[RB]], %{{.*}} : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  %logits = sm1.linear %r, %u : tensor<?x?x8xf32>, tensor<4x8xf32>
  %y = arith.addf %a, %c : tensor<?x?x4xf32>
  sm1.return %y, %b, %logits : tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// With streams: both projections of one x are rounded, since a convolution reads one of them, behind the second of them; and who else
// reads a norm's rows reads what projections multiply. Projections of those rows are read where they are made, and stay f32.
// STREAMS-LABEL: sm1.model @streams
// BOTH-LABEL: sm1.model @streams
// BOTH-NOT: extf
sm1.model @streams(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %taps: tensor<?x8x3xf32> {sm1.state = "conv"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "g"}, tensor<?x8x3xf32> {sm1.state = "conv"}) {
  %n = sm1.param "norm" : tensor<8xf32>
  %k = sm1.param "conv" : tensor<8x1x4xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  // STREAMS: %[[U:.*]] = sm1.linear
  // STREAMS: %[[Z:.*]] = sm1.linear
  // STREAMS-DAG: %[[SU:.*]] = arith.truncf %[[U]] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  // STREAMS-DAG: %[[WU:.*]] = arith.extf %[[SU]]
  // STREAMS-DAG: %[[SZ:.*]] = arith.truncf %[[Z]] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  // STREAMS-DAG: %[[WZ:.*]] = arith.extf %[[SZ]]
  %u = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  %z = sm1.linear %x, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
  // STREAMS: sm1.conv1d %[[WU]]
  %c, %t = sm1.conv1d %u, %k, %n taps %taps : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  // STREAMS: %[[R:.*]] = sm1.rms_norm
  // STREAMS: %[[SR:.*]] = arith.truncf %[[R]]
  // STREAMS: %[[WR:.*]] = arith.extf %[[SR]]
  %r = sm1.rms_norm %c, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // STREAMS: %[[P:.*]] = sm1.linear %[[SR]]
  %p = sm1.linear %r, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
  // STREAMS: arith.mulf %[[P]], %[[WR]]
  %y = arith.mulf %p, %r : tensor<?x?x8xf32>
  // STREAMS: math.exp %[[WZ]]
  %g = math.exp %z : tensor<?x?x8xf32>
  sm1.return %y, %g, %t : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x8x3xf32>
}
