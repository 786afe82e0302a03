// Form tensor_tiles whose operands the copy engine brings (`boxes`), and the chips that have none.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90" -canonicalize -cse | FileCheck %s
// RUN: not sm1-opt %s "-sm1-kernel-to-gpu=target=sm_89" 2>&1 | FileCheck %s --check-prefix=OLD

// A step has 64 k, three of 160 k. One lane asks for its weights, all panels in one copy, before earlier kernels have ended, and for its rows behind
// that; the one whose turn it is asks for a later step's when warps have read the stage. Of the last step two tiles of k are multiplied. What is
// added to the sums comes by cp.async to stages of the steps before the last, when all warps have read them.
// CHECK-LABEL: func.func @out
// CHECK-SAME: memref<3x8x1056xbf16, 1>
// CHECK-SAME: %{{[a-z0-9]+}}: memref<128xi8>)
// CHECK: "mbarrier.init.shared.b64 [$0], 1;"
// CHECK: "mbarrier.init.shared.b64 [$0], 4;"
// CHECK: "fence.mbarrier_init.release.cluster;"
// CHECK: nvvm.barrier
// CHECK: "mbarrier.arrive.expect_tx.shared.b64 _, [$0], $1;"
// CHECK: "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];"
// CHECK-NOT: cp.async.bulk.tensor
// CHECK: "griddepcontrol.wait;"
// CHECK: "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [$0], [$1, {$2, $3}], [$4];"
// CHECK-NOT: nvvm.barrier
// CHECK: mbarrier.try_wait.parity.shared.b64
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync
// CHECK: mbarrier.try_wait.parity.shared.b64
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster
// CHECK: cp.async.bulk.tensor.2d
// CHECK: nvvm.bar.warp.sync
// CHECK: "mbarrier.arrive.shared.b64 _, [$0];"
// CHECK: nvvm.cp.async.shared.global
// CHECK-NOT: cp.async.bulk
// CHECK-COUNT-8: nvvm.cp.async.commit.group
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.wait.group 7
// CHECK-NEXT: nvvm.bar.warp.sync

// Two stages, of which one is free in the last step: a warp has three slots for its eight tiles of rows, and asks for the fourth tile when it has
// finished the first. No warp waits for others between the barriers' making and the products: there are no factors of rows to share.
// CHECK-LABEL: func.func @two
// CHECK: "mbarrier.init.shared.b64 [$0], 8;"
// CHECK: nvvm.barrier
// CHECK-NOT: nvvm.barrier
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.mma.sync
// CHECK-COUNT-3: nvvm.cp.async.commit.group
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.wait.group 2
// CHECK-NEXT: nvvm.bar.warp.sync
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// CHECK-NEXT: nvvm.cp.async.commit.group
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: sm1.dispatch @out({{.*}}) panels 8 scratch 99888 {{.*}}mapped 0

// OLD: error: {{.*}} has boxes, for which sm_89 has no copy engine; sm_90 and newer chips have
!h = tensor<?x?x160xbf16>
!s = tensor<?x?x128xf32>
!w = tensor<128x160xbf16>
sm1.model @out_model(%x: tensor<?x?x160xf32> {sm1.name = "x"}, %z: !s {sm1.name = "z"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "stages"} : !w
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x160xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x160xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "out" (%h0 = %r : !h, %a0 = %a : !w, %z0 = %z : !s) blocks<tensor_tiles, threads = 128, row_tile = 64, row_split = 128, panel_split = 8, stages = 3> -> !s attributes {boxes} {
      %p = sm1.linear %h0, %a0 : !h, !w
      %q = arith.addf %z0, %p : !s
      sm1.yield %q : !s
    }
    %u = sm1.kernel "two" (%h0 = %r : !h, %a0 = %a : !w, %z0 = %y : !s) blocks<tensor_tiles, threads = 256, row_tile = 64, row_split = 256, panel_split = 8, stages = 2> -> !s attributes {boxes} {
      %p = sm1.linear %h0, %a0 : !h, !w
      %q = arith.addf %z0, %p : !s
      sm1.yield %q : !s
    }
    sm1.yield %u : !s
  }
  sm1.return %s : !s
}
