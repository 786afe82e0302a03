// Which kernels of a step's layer let the next one start only when they have what they wait for.
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_few" | FileCheck %s --check-prefixes=NONE,FEW
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_several" | FileCheck %s --check-prefix=SEVERAL
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_some" | FileCheck %s --check-prefix=SOME
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_many" | FileCheck %s --check-prefix=NONE
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 entry=step_some" | FileCheck %s --check-prefix=NONE

// All but the two in front of the one with the most weights, layers being a ring. Where there is more than one tile of rows the
// second in front. Of few sequences none; the others' that do not wait are those of few. Blocks that share no k come in pairs.
// FEW: sm1.kernel "first_step_few" {{.*}} attributes {few_rows, pace = {{[0-9]+}} : i64}
// FEW: sm1.kernel "heavy_step_few" {{.*}} attributes {few_rows, pace = 120 : i64, pairs}
// SEVERAL-NOT: late_next
// SEVERAL: sm1.kernel "first_step_few" {{.*}} attributes {few_rows, pace = {{[0-9]+}} : i64}
// SEVERAL: sm1.kernel "heavy_step_several" {{.*}} attributes {few_rows, late_next, pace = 200 : i64, pairs}
// SEVERAL-NEXT: sm1.linear
// SEVERAL: sm1.kernel "third_step_several" {{.*}} attributes {few_rows, late_next, pace = {{[0-9]+}} : i64}
// SEVERAL-NOT: late_next
// SOME-NOT: late_next
// SOME: sm1.kernel "last_step_some" {{.*}} attributes {late_next}
// SOME-NOT: late_next
// NONE-NOT: late_next
!h = tensor<?x?x704xbf16>
!y = tensor<?x?x704xf32>
!w = tensor<704x704xbf16>
sm1.model @layers(%x: !y {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %h = sm1.kernel "round" (%x0 = %x : !y) -> !h {
    %t = arith.truncf %x0 : !y to !h
    sm1.yield %t : !h
  }
  %l = sm1.layers 4 carry(%c = %h : !h) {
    %a = sm1.param "{i}.a" : !w
    %b = sm1.param "{i}.b" : !w
    %1 = sm1.kernel "first" (%x0 = %c : !h, %a0 = %a : !w) -> !h {
      %p = sm1.linear %x0, %a0 : !h, !w
      %t = arith.truncf %p : !y to !h
      sm1.yield %t : !h
    }
    %2 = sm1.kernel "heavy" (%x0 = %1 : !h, %a0 = %a : !w, %b0 = %b : !w) -> !h {
      %p = sm1.linear %x0, %a0 : !h, !w
      %q = sm1.linear %x0, %b0 : !h, !w
      %s = arith.addf %p, %q : !y
      %t = arith.truncf %s : !y to !h
      sm1.yield %t : !h
    }
    %3 = sm1.kernel "third" (%x0 = %2 : !h, %b0 = %b : !w) -> !h {
      %p = sm1.linear %x0, %b0 : !h, !w
      %t = arith.truncf %p : !y to !h
      sm1.yield %t : !h
    }
    %4 = sm1.kernel "last" (%x0 = %3 : !h, %b0 = %b : !w) -> !h {
      %p = sm1.linear %x0, %b0 : !h, !w
      %t = arith.truncf %p : !y to !h
      sm1.yield %t : !h
    }
    sm1.yield %4 : !h
  }
  %y = sm1.kernel "widen" (%x0 = %l : !h) -> !y {
    %t = arith.extf %x0 : !h to !y
    sm1.yield %t : !y
  }
  sm1.return %y : !y
}
