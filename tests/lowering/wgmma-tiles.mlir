// Form wgmma_tiles.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -canonicalize -cse | FileCheck %s

// The first thread asks for the weights of three stages before earlier kernels have ended, then for the rows: boxes of a tensor map,
// in which what is outside is zero. A step waits for its barrier and, before everybody meets, for the products of the step before
// the last, whose stage is filled again behind the step's own products: two of 16 k for each of two times 64 rows. The last steps copy nothing
// more. Four neighbouring channels of each panel are stored where the thread has them.
// CHECK-LABEL: func.func @wide
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x208xbf16, 1>, %[[A:[a-z0-9]+]]: memref<7x2x16x32xbf16, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index, %[[MAP:[a-z0-9]+]]: memref<128xi8>)
// CHECK: memref.view %{{.*}} to memref<40960xi8, 3>
// CHECK: memref.view %{{.*}} to memref<10240xi8, 3>
// CHECK: memref.view %{{.*}} to memref<40xi8, 3>
// CHECK-COUNT-5: llvm.inline_asm has_side_effects "mbarrier.init.shared.b64 [$0], 1;"
// CHECK: fence.mbarrier_init
// CHECK-COUNT-3: llvm.inline_asm has_side_effects "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];"
// CHECK-NOT: cp.async
// CHECK: "griddepcontrol.wait;"
// CHECK: memref.extract_aligned_pointer_as_index %[[MAP]]
// CHECK-COUNT-3: cp.async.bulk.tensor.2d
// CHECK: nvvm.barrier
// CHECK: scf.for %{{.*}} = %c0 to %c4 step %c1
// CHECK: mbarrier.try_wait.parity
// CHECK: wgmma.wait_group.sync.aligned 1;
// CHECK: nvvm.barrier
// CHECK: "wgmma.fence.sync.aligned;"
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK-NOT: wgmma.mma_async
// CHECK: "wgmma.commit_group.sync.aligned;"
// CHECK: mbarrier.arrive.expect_tx
// CHECK: cp.async.bulk.shared
// CHECK: cp.async.bulk.tensor
// CHECK: scf.for %{{.*}} = %c4 to %c7 step %c1
// CHECK-NOT: cp.async
// CHECK-NOT: nvvm.barrier
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: "griddepcontrol.launch_dependents;"
// CHECK: arith.cmpi slt, %{{.*}}, %[[COUNT]]
// CHECK: vector.store %{{.*}}, %[[Y]]{{.*}} : memref<?x32xf32, 1>, vector<4xf32>
// CHECK: sm1.dispatch @wide({{.*}}) panels 2 scratch 51240 blocks <wgmma_tiles, {{.*}}> mapped 0 {alone}
!h = tensor<?x?x200xbf16>
!s = tensor<?x?x32xf32>
!w = tensor<32x200xbf16>
sm1.model @wide_model(%x: tensor<?x?x200xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "images"} : !w
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x200xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x200xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "wide" (%h0 = %r : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 2, stages = 5> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
