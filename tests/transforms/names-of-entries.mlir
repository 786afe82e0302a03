// Two kernels of one name: the second has the same name in every entry that shares it, also where the first has a suffix of its own.
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill" | FileCheck %s --check-prefix=MANY
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_larger" | FileCheck %s --check-prefix=LARGER

// MANY: sm1.kernel "proj" (
// MANY: sm1.kernel "proj_2" (
// LARGER: sm1.kernel "proj_larger" (
// LARGER: sm1.kernel "proj_2" (
!h = tensor<?x?x704xbf16>
!y = tensor<?x?x704xf32>
sm1.model @projections(%x: !y {sm1.name = "x"}) -> (!y {sm1.name = "y"}, !y {sm1.name = "z"}) {
  %o = sm1.param "o" : tensor<704x704xbf16>
  %a = sm1.param "a" : tensor<704x704xbf16>
  %b = sm1.param "b" : tensor<704x704xbf16>
  %h = sm1.kernel "round" (%x0 = %x : !y) -> !h {
    %0 = arith.truncf %x0 : !y to !h
    sm1.yield %0 : !h
  }
  %y = sm1.kernel "proj" (%x0 = %h : !h, %o0 = %o : tensor<704x704xbf16>) -> !y {
    %0 = sm1.linear %x0, %o0 : !h, tensor<704x704xbf16>
    sm1.yield %0 : !y
  }
  %z = sm1.kernel "proj" (%x0 = %h : !h, %a0 = %a : tensor<704x704xbf16>, %b0 = %b : tensor<704x704xbf16>) -> !y {
    %0 = sm1.linear %x0, %a0 : !h, tensor<704x704xbf16>
    %1 = sm1.linear %x0, %b0 : !h, tensor<704x704xbf16>
    %2 = arith.mulf %0, %1 : !y
    sm1.yield %2 : !y
  }
  sm1.return %y, %z : !y, !y
}
