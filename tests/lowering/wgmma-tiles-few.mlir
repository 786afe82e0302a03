// Form wgmma_tiles in a program for few rows.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -canonicalize -cse | FileCheck %s

// The L2 cache may give up weights first, not the rows. Where one tile has all rows the next kernel may start before this one waits.
// What is added to the sums is asked for before the products, though this is no step: no state is read.
// CHECK-LABEL: func.func @out
// CHECK-COUNT-24: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint
// CHECK: %[[ONE:.*]] = arith.cmpi slt, %{{.*}}, %c65 : index
// CHECK-NEXT: scf.if %[[ONE]]
// CHECK-NEXT: "griddepcontrol.launch_dependents;"
// CHECK: "griddepcontrol.wait;"
// CHECK-COUNT-12: cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [
// CHECK-COUNT-8: vector.load {{.*}}, vector<4xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c12 step %c1
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: "griddepcontrol.launch_dependents;"
// CHECK-NOT: vector.load
!h = tensor<?x?x768xbf16>
!y = tensor<?x?x64xf32>
sm1.model @out_model(%x: tensor<?x?x768xf32> {sm1.name = "x"}, %z: !y {sm1.name = "z"}) -> (!y {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "images"} : tensor<64x768xbf16>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x768xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x768xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %y = sm1.launch sync(none) -> !y {
    %s = sm1.kernel "out" (%h0 = %r : !h, %w0 = %w : tensor<64x768xbf16>, %z0 = %z : !y) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 12> -> !y attributes {few_rows} {
      %p = sm1.linear %h0, %w0 : !h, tensor<64x768xbf16>
      %q = arith.addf %p, %z0 : !y
      sm1.yield %q : !y
    }
    sm1.yield %s : !y
  }
  sm1.return %y : !y
}
