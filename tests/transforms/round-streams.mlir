// In a prefill that computes in bf16, kernels hand projections and norms to each other in bf16.
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 compute=bf16" -split-input-file | FileCheck %s
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 compute=bf16 entry=step" -split-input-file | FileCheck %s --check-prefix=F32
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90" -split-input-file | FileCheck %s --check-prefix=F32

// The projection is rounded where it is made, and widened where it is read. The sum goes on to the next layer, and stays; so does what is
// added to it.
// CHECK-LABEL: sm1.model @handed_on
// CHECK: sm1.kernel "up" {{.*}} -> tensor<?x?x64xbf16> {
// CHECK: %[[P:.*]] = sm1.linear
// CHECK-NEXT: %[[R:.*]] = arith.truncf %[[P]]
// CHECK-NEXT: sm1.yield %[[R]]
// CHECK: sm1.kernel "conv" (%[[X:.*]] = %{{.*}} : tensor<?x?x64xbf16>,
// CHECK-NEXT: %[[W:.*]] = arith.extf %[[X]]
// CHECK-NEXT: sm1.conv1d %[[W]],
// CHECK: sm1.kernel "sum" {{.*}} -> tensor<?x?x64xf32> {
// F32-LABEL: sm1.model @handed_on
// F32-NOT: bf16
// F32-LABEL: sm1.model @stored_once
!s = tensor<?x?x64xf32>
sm1.model @handed_on(%x: !s {sm1.name = "x"}, %t: tensor<?x64x3xf32> {sm1.state = "t"}) -> (!s {sm1.name = "y"}, tensor<?x64x3xf32> {sm1.state = "t"}) {
  %m = sm1.param "m" : tensor<64x64xf32>
  %w = sm1.param "w" : tensor<64x1x4xf32>
  %b = sm1.param "b" : tensor<64xf32>
  %p = sm1.kernel "up" (%x0 = %x : !s, %m0 = %m : tensor<64x64xf32>) -> !s {
    %0 = sm1.linear %x0, %m0 : !s, tensor<64x64xf32>
    sm1.yield %0 : !s
  }
  %c, %last = sm1.kernel "conv" (%p0 = %p : !s, %w0 = %w : tensor<64x1x4xf32>, %b0 = %b : tensor<64xf32>, %t0 = %t : tensor<?x64x3xf32>) -> (!s, tensor<?x64x3xf32>) {
    %0, %1 = sm1.conv1d %p0, %w0, %b0 taps %t0 : !s, tensor<64x1x4xf32>
    sm1.yield %0, %1 : !s, tensor<?x64x3xf32>
  }
  %y = sm1.kernel "sum" (%x0 = %x : !s, %c0 = %c : !s) -> !s {
    %0 = arith.addf %x0, %c0 : !s
    sm1.yield %0 : !s
  }
  sm1.return %y, %last : !s, tensor<?x64x3xf32>
}

// -----

// A norm that is already there in bf16 is read so, and not stored twice.
// CHECK-LABEL: sm1.model @stored_once
// CHECK: %[[N:.*]] = sm1.kernel "norm" {{.*}} -> tensor<?x?x64xbf16> {
// CHECK: sm1.yield %{{.*}} : tensor<?x?x64xbf16>
// CHECK: sm1.kernel "gate" (%[[X:.*]] = %[[NL:.*]] : tensor<?x?x64xbf16>, %{{.*}} = %[[NL]] : tensor<?x?x64xbf16>)
!s = tensor<?x?x64xf32>
!r = tensor<?x?x64xbf16>
sm1.model @stored_once(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<64xf32>
  %f, %h = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<64xf32>) -> (!s, !r) {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
    %1 = arith.truncf %0 : !s to !r
    sm1.yield %0, %1 : !s, !r
  }
  %y = sm1.kernel "gate" (%f0 = %f : !s, %h0 = %h : !r) -> !s {
    %0 = arith.extf %h0 : !r to !s
    %1 = arith.mulf %f0, %0 : !s
    sm1.yield %1 : !s
  }
  sm1.return %y : !s
}
