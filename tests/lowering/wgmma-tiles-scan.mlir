// Form wgmma_tiles, tiles that are chunks of a sequence and end in a scan.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -canonicalize -cse | FileCheck %s

// The first warpgroup's first thread copies operands, and fetches the stream's rows of every tile. The last warpgroup scans: what it reads
// of memory is asked for before it waits for sums; from zero, it leaves what comes in where two of the sums lay; 16 threads put 32 groups in
// order, wait for the chunk before and leave their own. Where the segment ends within the chunk, the threads that have its last row walk to it
// and store the state. Rows that are there are stored, and sums may be written again. Those between multiply, wait for that but for the first
// tile, and leave bf16.
// CHECK-LABEL: func.func @scan
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: index, %[[WORDS:[a-z0-9]+]]: memref<?xi64, 1>, %{{[a-z0-9]+}}: memref<128xi8>)
// CHECK: %[[SUMS:[a-z0-9_]+]] = memref.view %{{.*}} to memref<384x16xbf16, 3>
// CHECK: %[[PRODUCTS:[a-z0-9_]+]] = memref.view %{{.*}} to memref<32x16xf32, 3>
// CHECK: memref.view %{{.*}} to memref<32x16xf32, 3>
// CHECK: memref.view %{{.*}} to memref<16xf32, 3>
// CHECK: "setmaxnreg.dec.sync.aligned.u32 40;"
// CHECK: cp.async.bulk.tensor.2d
// CHECK: cp.async.bulk.prefetch
// CHECK: "setmaxnreg.inc.sync.aligned.u32 200;"
// CHECK: mbarrier.try_wait.parity
// CHECK: vector.load %[[SUMS]]{{.*}} : memref<384x16xbf16, 3>, vector<4xbf16>
// CHECK: vector.store %{{.*}}, %[[SUMS]]{{.*}} : memref<384x16xbf16, 3>, vector<4xbf16>
// CHECK: vector.store %{{.*}}, %[[PRODUCTS]]{{.*}} : memref<32x16xf32, 3>, vector<4xf32>
// CHECK: llvm.load %{{.*}} atomic syncscope("device") monotonic
// CHECK: nvvm.barrier id = %[[BARRIER:[a-z0-9_]+]] number_of_threads = %c128_i32
// CHECK: scf.while
// CHECK: llvm.load %{{.*}} atomic syncscope("device") monotonic
// CHECK: llvm.store %{{.*}} atomic syncscope("device") monotonic
// CHECK: nvvm.barrier id = %[[BARRIER]] number_of_threads
// CHECK: scf.if
// CHECK-COUNT-3: arith.select
// CHECK: vector.store %{{.*}} : memref<?x16xf32, 1>, vector<4xf32>
// CHECK-COUNT-4: "@$1 st.global.v2.b64 [$0 + {{.*}}], {$2, $3};", "l,b,l,l"
// CHECK: mbarrier.arrive
// CHECK: "setmaxnreg.inc.sync.aligned.u32 136;"
// CHECK: wgmma.mma_async.sync.aligned.m64n48k16
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: mbarrier.try_wait.parity
// CHECK-COUNT-6: vector.store %{{.*}}, %[[SUMS]]{{.*}} : memref<384x16xbf16, 3>, vector<4xbf16>
// CHECK: mbarrier.arrive
// CHECK: sm1.dispatch @scan({{.*}}) panels 1 {{.*}} mapped 0 {alone, chunks}
!h = tensor<?x?x120xbf16>
!s = tensor<?x?x16xf32>
!g = tensor<?x?x16xbf16>
!w = tensor<16x120xbf16>
!t = tensor<?x16xf32>
sm1.model @scan_model(%x: tensor<?x?x120xf32> {sm1.name = "x"}, %v: tensor<?x?x16xf32> {sm1.name = "v"}, %t0: !t {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, !t {sm1.state = "h"}) {
  %a = sm1.param "a" {layout = "images"} : !w
  %b = sm1.param "b" {layout = "images"} : !w
  %c = sm1.param "c" {layout = "images"} : !w
  %d = sm1.param "d" {layout = "channels"} : tensor<16xf32>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x120xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x120xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %u = sm1.launch sync(none) -> !g {
    %g = sm1.kernel "round_gate" (%v0 = %v : !s) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !g {
      %0 = arith.truncf %v0 : !s to !g
      sm1.yield %0 : !g
    }
    sm1.yield %g : !g
  }
  %s, %l = sm1.launch sync(none) -> !s, !t {
    %y, %last = sm1.kernel "scan" (%h0 = %r : !h, %a0 = %a : !w, %b0 = %b : !w, %c0 = %c : !w, %d0 = %d : tensor<16xf32>, %g0 = %u : !g, %i0 = %t0 : !t)
        blocks<wgmma_tiles, threads = 512, row_tile = 64, row_split = 128, panel_split = 1, stages = 3> -> (!s, !t) attributes {chunks} {
      %p = sm1.linear %h0, %a0 : !h, !w
      %q = sm1.linear %h0, %b0 : !h, !w
      %z = sm1.linear %h0, %c0 : !h, !w
      %gate = arith.extf %g0 : !g to !s
      %input = arith.mulf %q, %gate : !s
      %h1, %last1 = sm1.scan %p, %input init %i0 : !s
      %m = arith.mulf %z, %h1 : !s
      %db = sm1.broadcast %d0 : tensor<16xf32> to !s
      %o = arith.mulf %db, %m : !s
      sm1.yield %o, %last1 : !s, !t
    }
    sm1.yield %y, %last : !s, !t
  }
  sm1.return %s, %l : !s, !t
}
