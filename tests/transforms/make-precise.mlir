// RUN: sm1-opt %s -sm1-make-precise="storage=f32 compute=f32" | FileCheck %s --check-prefix=F32
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16" | FileCheck %s --check-prefix=STORE
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16" | FileCheck %s --check-prefix=BOTH
// RUN: sm1-opt %s -sm1-make-precise="storage=f16" | FileCheck %s --check-prefix=HALF
// RUN: sm1-opt %s -sm1-make-precise="storage=bf16 compute=bf16" > %t.once
// RUN: sm1-opt %t.once -sm1-make-precise="storage=bf16 compute=bf16" | diff %t.once -
// RUN: not sm1-opt %s -sm1-make-precise="storage=f64" 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: not sm1-opt %s -sm1-make-precise="storage=bf16 compute=f16" 2>&1 | FileCheck %s --check-prefix=COMPUTE
// RUN: not sm1-opt %s -sm1-make-precise="storage=f16 compute=bf16" 2>&1 | FileCheck %s --check-prefix=MIXED

// TYPE: error: storage must be f32, bf16, f16, int8 or int4 and compute f32, bf16 or int8, got 'f64' and 'f32'
// COMPUTE: error: storage must be f32, bf16, f16, int8 or int4 and compute f32, bf16 or int8, got 'bf16' and 'f16'
// MIXED: error: compute=bf16 multiplies bf16 by bf16, got storage=f16; store matrices as bf16 too

// Matrices are stored; what projections multiply is rounded once, where it is made, however many projections read it.
// F32-LABEL: sm1.model @projections
// F32-NOT: bf16
// STORE-LABEL: sm1.model @projections
// STORE-NOT: truncf
// BOTH-LABEL: sm1.model @projections
// HALF-LABEL: sm1.model @projections
// HALF-NOT: truncf
sm1.model @projections(%x: tensor<?x?x8xf32> {sm1.name = "x"})
    -> (tensor<?x?x4xf32> {sm1.name = "y"}, tensor<?x?x4xf32> {sm1.name = "z"}) {
  // BOTH: %[[R:.*]] = arith.truncf %x : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  // BOTH-NOT: truncf
  // STORE: sm1.param "a" : tensor<4x8xbf16>
  // HALF: sm1.param "a" : tensor<4x8xf16>
  %a = sm1.param "a" : tensor<4x8xf32>
  %b = sm1.param "b" : tensor<4x8xf32>
  // BOTH: sm1.linear %[[R]], %a : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  // STORE: sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xbf16>
  // HALF: sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xf16>
  %y = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<4x8xf32>
  // BOTH: sm1.linear %[[R]], %b : tensor<?x?x8xbf16>, tensor<4x8xbf16>
  %z = sm1.linear %x, %b : tensor<?x?x8xf32>, tensor<4x8xf32>
  sm1.return %y, %z : tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// A table that is the head as well: its rows are widened where they are read, and the head rounds what it multiplies.
// F32-LABEL: sm1.model @tied
// F32-NOT: bf16
// STORE-LABEL: sm1.model @tied
// BOTH-LABEL: sm1.model @tied
// HALF-LABEL: sm1.model @tied
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
  %x = sm1.embedding %tokens, %e : tensor<?x?xi32>, tensor<8x4xf32>
  %y = sm1.linear %x, %e : tensor<?x?x4xf32>, tensor<8x4xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// Vectors of parameters, norms, convolutions, scans and sums stay f32.
// F32-LABEL: sm1.model @stays
// STORE-LABEL: sm1.model @stays
// BOTH-LABEL: sm1.model @stays
// BOTH-NOT: bf16
// HALF-LABEL: sm1.model @stays
// HALF-NOT: f16
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
  sm1.return %y, %t, %last : tensor<?x?x8xf32>, tensor<?x8x3xf32>, tensor<?x8xf32>
}
