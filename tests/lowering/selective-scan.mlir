// A scan of several states per channel: a loop over states on a CPU, a state of a channel to each thread on a GPU. Nothing has rows, channels
// and states in memory.
// RUN: sm1-opt %s -split-input-file -sm1-schedule-for-cpu=target=x86-64-v4 -sm1-kernel-to-cpu -canonicalize -cse | FileCheck %s --check-prefix=CPU
// RUN: sm1-opt %s -split-input-file -sm1-schedule-for-gpu=target=sm_120 | FileCheck %s --check-prefix=SCHEDULE
// RUN: sm1-opt %s -split-input-file -sm1-schedule-for-gpu=target=sm_120 -sm1-kernel-to-gpu=target=sm_120 -canonicalize -cse | FileCheck %s --check-prefix=GPU
// RUN: sm1-opt %s -split-input-file -sm1-schedule-for-gpu='target=sm_120 entry=step' -sm1-kernel-to-gpu='target=sm_120 step=true' -canonicalize -cse | FileCheck %s --check-prefix=STEP

!s = tensor<?x?x40xf32>
!n = tensor<?x?x16xf32>
!h = tensor<?x40x16xf32>

// CPU-LABEL: func.func @k
// A is computed once for the task.
// CPU: math.exp
// CPU: vector.store %{{.*}}, %[[SCRATCH:[a-z0-9]+]][
// CPU: scf.for
// CPU: scf.for %[[N:[a-z0-9]+]] = %c0 to %c16 step %c1
// CPU: scf.if
// CPU: math.exp
// CPU: %[[H:.*]] = vector.fma
// CPU: vector.fma %{{.*}}, %[[H]],
// CPU: vector.store %[[H]], %[[SCRATCH]]

// 33 KB of states in shared memory; three barriers a tile.
// SCHEDULE: blocks<scan, threads = 256, row_tile = 32, row_split = 1, panel_split = 1, stages = 1>
// GPU-LABEL: func.func @k
// GPU: memref.view %{{.*}} to memref<32x16xf32, 3>
// GPU: %[[STATES:.*]] = memref.view %{{.*}} to memref<32x17x16xf32, 3>
// GPU-NOT: vector.load
// GPU: griddepcontrol.wait
// GPU: nvvm.barrier
// GPU: math.exp
// GPU: math.fma
// GPU: memref.store %{{.*}}, %[[STATES]]
// GPU: nvvm.barrier
// GPU: vector.load %[[STATES]]
// GPU: math.fma
// GPU: nvvm.barrier
// GPU-NOT: nvvm.barrier
// GPU: sm1.dispatch @k

// A step needs nobody's help.
// STEP-LABEL: func.func @k
// STEP-NOT: nvvm.barrier
// STEP: scf.for %{{.*}} = %c0 to %c16
// STEP: math.exp
// STEP: sm1.dispatch @k
sm1.model @sixteen(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}, %h0: !h {sm1.state = "h"}) -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}) {
  %w = sm1.param "A_log" : tensor<40x16xf32>
  %q:2 = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %i = %h0 : !h, %a0 = %w : tensor<40x16xf32>) -> (!s, !h) {
    %a = math.exp %a0 : tensor<40x16xf32>
    %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %b0 init %i : !s, !n
    sm1.yield %y, %last : !s, !h
  }
  sm1.return %q#0, %q#1 : !s, !h
}

// -----

// Few states leave room for more rows; A as it is needs no scratch. One state is 16 threads' to walk: the others decay for them, every
// 16th row each.
// SCHEDULE: blocks<scan, threads = 256, row_tile = 64,
// GPU: %[[PLACE:.*]] = memref.view %{{.*}} to memref<64x2x16xf32, 3>
// GPU: nvvm.barrier
// GPU: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c16
// GPU: math.exp
// GPU-NEXT: memref.store %{{.*}}, %[[PLACE]]
// GPU: nvvm.barrier
// GPU-NOT: math.exp
// GPU: memref.load %[[PLACE]]
// GPU: math.fma
!s = tensor<?x?x40xf32>
!n = tensor<?x?x1xf32>
sm1.model @one(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "A" : tensor<40x1xf32>
  %q = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %a = %w : tensor<40x1xf32>) -> !s {
    %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %b0 : !s, !n
    sm1.yield %y : !s
  }
  sm1.return %q : !s
}

// -----

// Many states: a thread walks two of them, one after the other.
// SCHEDULE: blocks<scan, threads = 256, row_tile = 16,
// GPU: memref.view %{{.*}} to memref<16x33x16xf32, 3>
!s = tensor<?x?x40xf32>
!n = tensor<?x?x32xf32>
sm1.model @many(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "A" : tensor<40x32xf32>
  %q = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %a = %w : tensor<40x32xf32>) -> !s {
    %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %b0 : !s, !n
    sm1.yield %y : !s
  }
  sm1.return %q : !s
}
