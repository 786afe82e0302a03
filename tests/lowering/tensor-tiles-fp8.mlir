// Form tensor_tiles of e4m3, and the chips that have none.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_120" -canonicalize -cse | FileCheck %s
// RUN: not sm1-opt %s "-sm1-kernel-to-gpu=target=sm_86" 2>&1 | FileCheck %s --check-prefix=OLD

// A slice of 64 bytes has 64 k of e4m3, a product takes 32: two steps for 100 k, and of the last chunk of a row four bytes. What a thread has of
// a row is multiplied with the scales of its channels.
// CHECK-LABEL: func.func @wide
// CHECK-SAME: memref<?x112xf8E4M3FN, 1>, %[[A:[a-z0-9]+]]: memref<2x4x32x16xf8E4M3FN, 1>, %[[S:[a-z0-9]+]]: memref<32xf32, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK: memref.view %{{.*}} to memref<16384xi8, 3>
// CHECK: memref.view %{{.*}} to memref<4096xi8, 3>
// CHECK: arith.subi %c100,
// CHECK: nvvm.ldmatrix
// CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: llvm.inline_asm "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};", "=f,=f,=f,=f,r,r,r,r,r,r,0,1,2,3"
// CHECK-NOT: nvvm.mma.sync
// CHECK: %[[SCALES:.*]] = vector.load %[[S]]
// CHECK: %[[SUMS:.*]] = vector.broadcast %{{.*}} : f32 to vector<1xf32>
// CHECK: %[[SCALED:.*]] = arith.mulf %[[SUMS]], %[[SCALES]]
// CHECK: vector.store %[[SCALED]], %[[Y]]

// OLD: error: {{.*}} multiplies e4m3, which sm_86 has no instructions for; sm_89 and newer chips have
!h = tensor<?x?x100xf8E4M3FN>
!s = tensor<?x?x20xf32>
!w = tensor<20x100xf8E4M3FN>
sm1.model @wide_model(%x: tensor<?x?x100xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 100> {layout = "fragments"} : !w
  %b = sm1.param "a" quantised <bits = 8, group = 0, columns = 100> {layout = "scales"} : tensor<20x1xf32>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x100xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x100xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "wide" (%h0 = %r : !h, %a0 = %a : !w, %b0 = %b : tensor<20x1xf32>) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 2, stages = 2> -> !s {
      %p = sm1.linear %h0, %a0 scales %b0 : !h, !w, tensor<20x1xf32>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
