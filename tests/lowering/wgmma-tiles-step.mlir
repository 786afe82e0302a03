// Form wgmma_tiles in a step of many sequences.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a step" -canonicalize -cse | FileCheck %s
// RUN: sed "s/stages = 12> -> (!t, !s)/& attributes {late_next}/" %s | sm1-opt - "-sm1-kernel-to-gpu=target=sm_90a step" -canonicalize -cse | FileCheck %s --check-prefix=LATE
// RUN: sed "s/stages = 12> -> (!t, !s)/& attributes {few_rows, pace = 77 : i64}/" %s | sm1-opt - "-sm1-kernel-to-gpu=target=sm_90a step" -canonicalize -cse | FileCheck %s --check-prefix=FEW

// Tiles of 64 rows have steps of 64 k, whose rows are one box of 128 bytes each. Where every step has a stage of its own none is
// filled again, and nobody has to meet on the way. Both projections are columns of one product. The next kernel may start when the
// weights have been asked for, and the state is, too, before earlier kernels have ended. No two such blocks fit a
// multiprocessor, so that they may start early, too. Of fewer rows than a tile's a box has no more than there are, in eights, which
// the barriers count; the others are zeros before anything is copied. Of more rows tiles have equal shares.
// CHECK-LABEL: func.func @narrow
// CHECK-COUNT-2: memref.view %{{.*}} to memref<98304xi8, 3>
// CHECK: %[[ROWS:.*]] = arith.minsi %{{.*}}, %c64 : index
// CHECK: arith.cmpi slt, %[[ROWS]], %c64 : index
// CHECK: scf.for %{{.*}} = %c0 to %c12 step %c1
// CHECK: vector.store %{{.*}} : memref<98304xi8, 3>, vector<16xi8>
// CHECK: "fence.proxy.async.shared::cta;"
// CHECK-COUNT-48: cp.async.bulk.shared::cluster.global
// CHECK-COUNT-4: vector.load {{.*}}, vector<4xf32>
// CHECK: "griddepcontrol.launch_dependents;"
// CHECK-NEXT: "griddepcontrol.wait;"
// CHECK-COUNT-12: cp.async.bulk.tensor.2d
// CHECK-NOT: cp.async
// CHECK: scf.for %{{.*}} = %c0 to %c12 step %c1
// CHECK-NOT: nvvm.barrier
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK-NOT: wgmma.mma_async
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK-NOT: griddepcontrol
// CHECK: sm1.dispatch @narrow({{.*}}) panels 2 scratch 196704 blocks <wgmma_tiles, {{.*}}> mapped 0 {even} :
// Or when this one has waited, where its schedule says so.
// LATE-LABEL: func.func @narrow
// LATE: "griddepcontrol.wait;"
// LATE-NEXT: "griddepcontrol.launch_dependents;"
// LATE-NEXT: scf.if
// LATE-COUNT-12: cp.async.bulk.tensor.2d
// Where one tile has all rows nothing is shared. Stages of weights are asked for at the pace that the schedule says, those of rows at once.
// FEW-LABEL: func.func @narrow
// FEW-NOT: arith.divui {{.*}} : i32
// FEW-COUNT-11: setp.lt.u32 early, past, 77;
// FEW: "griddepcontrol.wait;"
// FEW-NOT: %clock
// FEW: sm1.dispatch @narrow({{.*}}) panels 2 scratch 196704 blocks <wgmma_tiles, {{.*}}> mapped 0 :
!h = tensor<?x?x768xbf16>
!s = tensor<?x?x32xf32>
!t = tensor<?x32xf32>
!w = tensor<32x768xbf16>
sm1.model @narrow_model(%x: tensor<?x?x768xf32> {sm1.name = "x"}, %h_in: !t {sm1.state = "h"}) -> (!t {sm1.state = "h"}, !s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "images"} : !w
  %b = sm1.param "b" {layout = "images"} : !w
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x768xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x768xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %t, %s = sm1.launch sync(none) -> !t, !s {
    %last, %y = sm1.kernel "narrow" (%h0 = %r : !h, %a0 = %a : !w, %b0 = %b : !w, %t0 = %h_in : !t) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 2, stages = 12> -> (!t, !s) {
      %p = sm1.linear %h0, %a0 : !h, !w
      %q = sm1.linear %h0, %b0 : !h, !w
      %l, %z = sm1.scan %p, %q init %t0 : !s
      sm1.yield %z, %l : !t, !s
    }
    sm1.yield %last, %y : !t, !s
  }
  sm1.return %t, %s : !t, !s
}
