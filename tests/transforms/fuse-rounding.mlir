// RUN: sm1-opt %s -sm1-fuse-rounding -split-input-file | FileCheck %s

!f = tensor<?x?x8xf32>
!h = tensor<?x?x8xbf16>

// What a projection multiplies is stored rounded by the kernel that makes it, under that kernel's name.
// CHECK-LABEL: sm1.model @rounded_only
// CHECK: %[[N:.*]] = sm1.kernel "norm" (%[[X:.*]] = %x : tensor<?x?x8xf32>, {{.*}}) -> tensor<?x?x8xbf16> {
// CHECK-NEXT: %[[V:.*]] = sm1.rms_norm %[[X]]
// CHECK-NEXT: %[[R:.*]] = arith.truncf %[[V]]
// CHECK-NEXT: sm1.yield %[[R]] : tensor<?x?x8xbf16>
// CHECK-NOT: arith.truncf
// CHECK: sm1.kernel "proj" ({{.*}} = %[[N]] : tensor<?x?x8xbf16>
sm1.model @rounded_only(%x: !f {sm1.name = "x"}) -> (!f {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %w = sm1.param "w" : tensor<8x8xbf16>
  %r = sm1.kernel "norm" (%x0 = %x : !f, %n0 = %n : tensor<8xf32>) -> !f {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !f
    sm1.yield %0 : !f
  }
  %t = sm1.kernel "truncf" (%r0 = %r : !f) -> !h {
    %0 = arith.truncf %r0 : !f to !h
    sm1.yield %0 : !h
  }
  %y = sm1.kernel "proj" (%t0 = %t : !h, %w0 = %w : tensor<8x8xbf16>) -> !f {
    %0 = sm1.linear %t0, %w0 : !h, tensor<8x8xbf16>
    sm1.yield %0 : !f
  }
  sm1.return %y : !f
}

// -----

!f = tensor<?x?x8xf32>
!h = tensor<?x?x8xbf16>

// Somebody needs the value as it was: both are stored.
// CHECK-LABEL: sm1.model @both
// CHECK: %[[F:.*]], %[[H:.*]] = sm1.kernel "exp" ({{.*}}) -> (tensor<?x?x8xf32>, tensor<?x?x8xbf16>) {
// CHECK-NEXT: %[[V:.*]] = math.exp
// CHECK-NEXT: %[[R:.*]] = arith.truncf %[[V]]
// CHECK-NEXT: sm1.yield %[[V]], %[[R]]
// CHECK-NOT: arith.truncf
// CHECK: sm1.kernel "proj" ({{.*}} = %[[H]] : tensor<?x?x8xbf16>
// CHECK: sm1.return %[[F]],
sm1.model @both(%x: !f {sm1.name = "x"}) -> (!f {sm1.name = "y"}, !f {sm1.name = "r"}) {
  %w = sm1.param "w" : tensor<8x8xbf16>
  %e = sm1.kernel "exp" (%x0 = %x : !f) -> !f {
    %0 = math.exp %x0 : !f
    sm1.yield %0 : !f
  }
  %t = sm1.kernel "truncf" (%e0 = %e : !f) -> !h {
    %0 = arith.truncf %e0 : !f to !h
    sm1.yield %0 : !h
  }
  %y = sm1.kernel "proj" (%t0 = %t : !h, %w0 = %w : tensor<8x8xbf16>) -> !f {
    %0 = sm1.linear %t0, %w0 : !h, tensor<8x8xbf16>
    sm1.yield %0 : !f
  }
  sm1.return %e, %y : !f, !f
}

// -----

!f = tensor<?x?x8xf32>
!h = tensor<?x?x8xbf16>

// A kernel that does more than round stays one of its own; so does a rounding of the model's input, which no kernel makes.
// CHECK-LABEL: sm1.model @apart
// CHECK: sm1.kernel "truncf"
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "negf"
// CHECK-NEXT: arith.negf
// CHECK-NEXT: arith.truncf
sm1.model @apart(%x: !f {sm1.name = "x"}) -> (!f {sm1.name = "y"}) {
  %t = sm1.kernel "truncf" (%x0 = %x : !f) -> !h {
    %0 = arith.truncf %x0 : !f to !h
    sm1.yield %0 : !h
  }
  %e = sm1.kernel "exp" (%x0 = %x : !f) -> !f {
    %0 = math.exp %x0 : !f
    sm1.yield %0 : !f
  }
  %n = sm1.kernel "negf" (%e0 = %e : !f) -> !h {
    %0 = arith.negf %e0 : !f
    %1 = arith.truncf %0 : !f to !h
    sm1.yield %1 : !h
  }
  %y = sm1.kernel "addf" (%n0 = %n : !h, %t0 = %t : !h) -> !f {
    %0 = arith.extf %n0 : !h to !f
    %1 = arith.extf %t0 : !h to !f
    %2 = arith.addf %0, %1 : !f
    sm1.yield %2 : !f
  }
  sm1.return %y : !f
}
