// Form wgmma_tiles with blocks that go on from tile to tile.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -canonicalize -cse | FileCheck %s

// A step has 64 k, of 200 the last one 32: three steps before it have their weights asked for at once, and their rows when earlier
// kernels have ended. Of three warpgroups the first copies, and has fewer registers; its first thread waits until the eight warps of a
// tile have multiplied what it writes over. The others wait for a stage's bytes, start its products, wait for those of the step before,
// and free their stage. Kernels behind this one may start when a block has no other tile.
// CHECK-LABEL: func.func @wide
// CHECK-SAME: %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index, %[[MAP:[a-z0-9]+]]: memref<128xi8>)
// CHECK: memref.view %{{.*}} to memref<98304xi8, 3>
// CHECK: memref.view %{{.*}} to memref<12288xi8, 3>
// CHECK: memref.view %{{.*}} to memref<48xi8, 3>
// CHECK: "mov.u32 $0, %nctaid.x;"
// CHECK: mbarrier.init.shared.b64 [$0], 1;
// CHECK: mbarrier.init.shared.b64 [$0], 8;
// CHECK: fence.mbarrier_init
// CHECK-COUNT-6: cp.async.bulk.shared
// CHECK-NOT: cp.async
// CHECK: "griddepcontrol.wait;"
// CHECK: nvvm.barrier
// CHECK-NOT: nvvm.barrier
// CHECK: "setmaxnreg.dec.sync.aligned.u32 40;"
// CHECK-COUNT-3: cp.async.bulk.tensor.2d
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %{{.*}} to %c3 step %c1
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-2: cp.async.bulk.shared
// CHECK: cp.async.bulk.tensor.2d
// CHECK: mbarrier.try_wait.parity
// CHECK: cp.async.bulk.shared
// CHECK-NOT: cp.async.bulk.shared
// CHECK: cp.async.bulk.tensor.2d
// CHECK-NOT: cp.async
// CHECK: "setmaxnreg.inc.sync.aligned.u32 232;"
// CHECK: scf.for
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: scf.for %{{.*}} = %c1 to %c3 step %c1
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: wgmma.wait_group.sync.aligned 1;
// CHECK: mbarrier.arrive.shared.b64 _, [$0];
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK-NOT: wgmma.mma_async
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: mbarrier.arrive.shared.b64 _, [$0];
// CHECK: "griddepcontrol.launch_dependents;"
// CHECK: arith.cmpi slt, %{{.*}}, %[[COUNT]]
// CHECK: vector.store
// CHECK: sm1.dispatch @wide({{.*}}) panels 2 scratch 110640 blocks <wgmma_tiles, {{.*}}> mapped 0
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
    %y = sm1.kernel "wide" (%h0 = %r : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 256, panel_split = 2, stages = 3> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// Two tiles at a time, of a kernel that adds its sums to a stream: with each of four steps 32 of the tile's rows of it are asked for,
// those of the first three with the copies that wait for nothing. Where no block has a second tile both warpgroups share the one that
// there is, 64 rows each, so that twice as many warps free a stage, and none waits for its turn; a thread has its two rows of the stream in
// registers before the last products.
// CHECK-LABEL: func.func @added
// CHECK: %[[ALONE:.*]] = arith.cmpi slt
// CHECK: mbarrier.init.shared.b64 [$0], 1;
// CHECK: %[[WARPS:.*]] = arith.select %[[ALONE]], %c8_i32, %c4_i32
// CHECK: mbarrier.init.shared.b64 [$0], $1;{{.*}}%[[WARPS]]
// CHECK: mbarrier.init.shared.b64 [$0], 4;
// CHECK: "setmaxnreg.dec.sync.aligned.u32 40;"
// CHECK-COUNT-3: cp.async.bulk.tensor.2d
// CHECK-COUNT-96: cp.async.bulk.prefetch.L2.global [$0], $1;
// CHECK: scf.for
// CHECK: cp.async.bulk.tensor.2d
// CHECK-COUNT-32: cp.async.bulk.prefetch.L2.global [$0], $1;
// CHECK: cp.async.bulk.tensor.2d
// CHECK-COUNT-32: cp.async.bulk.prefetch.L2.global [$0], $1;
// Where blocks have more tiles two other warps of that warpgroup ask for rows of the stream, 32 lanes for eight rows of each warp's 32 at a
// time, one warp for the first panel and one for the other, when the warp has read what lay there.
// CHECK: scf.for
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK-NOT: cp.async.bulk.shared
// CHECK: scf.for
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
// CHECK-NOT: cp.async.bulk.shared
// CHECK: "setmaxnreg.inc.sync.aligned.u32 232;"
// CHECK: scf.if %[[ALONE]]
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: scf.for
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: mbarrier.arrive.shared.b64 _, [$0];
// CHECK-COUNT-4: vector.load %{{.*}} : memref<?x32xf32, 1>, vector<4xf32>
// CHECK-COUNT-2: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK-NOT: wgmma.mma_async
// CHECK: } else {
// CHECK-COUNT-2: mbarrier.try_wait.parity
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: wgmma.wait_group.sync.aligned 0;
// When the other warpgroup's warp has read the last of its rows this one's are those of its tile: it waits for a part of eight of them, and
// says when it has read them, eight times, and at the end that the other may go on.
// CHECK: mbarrier.try_wait.parity
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %{{.*}} : memref<4x8x16xf32, 3>, vector<4xf32>
// CHECK: vector.store
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive.shared.b64
// CHECK-NOT: mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.shared.b64
// CHECK-NOT: cp.async.bulk.shared
sm1.model @added_model(%x: tensor<?x?x200xf32> {sm1.name = "x"}, %s0: !s {sm1.name = "s"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "images"} : !w
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round_added" (%x0 = %x : tensor<?x?x200xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x200xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "added" (%h0 = %r : !h, %a0 = %a : !w, %s1 = %s0 : !s) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 2, stages = 3> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      %q = arith.addf %s1, %p : !s
      sm1.yield %q : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// Halves of norms: a lane asks for the squares of one of its warp's 32 rows before the tile's last products, and a thread gets the factors
// of its four rows from the lanes that have made them; of the rows that it makes it adds up the squares of all panels, four lanes theirs,
// and the tile's number is the first of four, the others zeros.
// CHECK-LABEL: func.func @halves
// CHECK: "setmaxnreg.inc.sync.aligned.u32 232;"
// CHECK: scf.if
// CHECK: } else {
// CHECK: vector.load %{{.*}} : memref<?x16xf32, 1>, vector<4xf32>
// CHECK-NOT: memref<?x16xf32, 1>, vector<4xf32>
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: math.sqrt
// CHECK-COUNT-4: nvvm.shfl.sync idx
// CHECK-NOT: nvvm.shfl.sync idx
// CHECK: arith.mulf
// CHECK: arith.truncf
// CHECK: nvvm.shfl.sync bfly
// CHECK: nvvm.shfl.sync bfly
// CHECK: memref.store
// CHECK-COUNT-3: memref.store
sm1.model @halves_model(%x: tensor<?x?x200xf32> {sm1.name = "x"}, %s0: !s {sm1.name = "s"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "images"} : !w
  %n = sm1.param "n" {layout = "channels"} : tensor<32xf32>
  %r, %q = sm1.launch sync(none) -> !h, tensor<?x?x4xf32> {
    %h, %p = sm1.kernel "round_halves" (%x0 = %x : tensor<?x?x200xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> (!h, tensor<?x?x4xf32>) {
      %0 = arith.truncf %x0 : tensor<?x?x200xf32> to !h
      %1 = sm1.panel_squares %x0 parts 4 : tensor<?x?x200xf32>
      sm1.yield %0, %1 : !h, tensor<?x?x4xf32>
    }
    sm1.yield %h, %p : !h, tensor<?x?x4xf32>
  }
  %s, %t, %u = sm1.launch sync(none) -> !s, tensor<?x?x32xbf16>, tensor<?x?x4xf32> {
    %y, %z, %v = sm1.kernel "halves" (%h0 = %r : !h, %a0 = %a : !w, %q0 = %q : tensor<?x?x4xf32>, %n0 = %n : tensor<32xf32>) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 2, stages = 3> -> (!s, tensor<?x?x32xbf16>, tensor<?x?x4xf32>) {
      %p = sm1.linear %h0, %a0 : !h, !w
      %c = sm1.rms_scale %p, %q0 width 200 eps 1.0e-6 : !s, tensor<?x?x4xf32>
      %d = sm1.broadcast %n0 : tensor<32xf32> to !s
      %e = arith.mulf %c, %d : !s
      %f = arith.truncf %e : !s to tensor<?x?x32xbf16>
      %g = sm1.panel_squares %c parts 4 : !s
      sm1.yield %c, %f, %g : !s, tensor<?x?x32xbf16>, tensor<?x?x4xf32>
    }
    sm1.yield %y, %z, %v : !s, tensor<?x?x32xbf16>, tensor<?x?x4xf32>
  }
  sm1.return %s : !s
}
