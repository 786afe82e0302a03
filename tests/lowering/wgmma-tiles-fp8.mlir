// Form wgmma_tiles of e4m3, and how rows become it.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -canonicalize -cse | FileCheck %s
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -sm1-gpu-to-llvm | FileCheck %s --check-prefix=LLVM

// A line of 64 bytes has 64 k, a product takes 32: four steps for 200 k. The row's scale is multiplied with four neighbouring channels of
// a panel at a time, where a thread has their sums.
// CHECK-LABEL: func.func @round
// CHECK: arith.truncf %{{.*}} : vector<4xf32> to vector<4xf8E4M3FN>
// CHECK: vector.store %{{.*}} {alignment = 4 : i64} : memref<?x208xf8E4M3FN, 1>, vector<4xf8E4M3FN>
// CHECK-LABEL: func.func @wide
// CHECK-SAME: memref<?x208xf8E4M3FN, 1>, %[[A:[a-z0-9]+]]: memref<4x2x16x64xf8E4M3FN, 1>, %[[S:[a-z0-9]+]]: memref<32xf32, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK: memref.view %{{.*}} to memref<40960xi8, 3>
// CHECK: memref.view %{{.*}} to memref<10240xi8, 3>
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n32k32.f32.e4m3.e4m3 {{.*}}, 1, 1, 1;"
// CHECK: %[[SUMS:.*]] = vector.from_elements
// CHECK: %[[SCALES:.*]] = vector.load %[[S]]
// CHECK: %[[SCALED:.*]] = arith.mulf %[[SUMS]], %[[SCALES]] : vector<4xf32>
// CHECK: vector.store %[[SCALED]], %[[Y]]

// The first number goes to the lower byte, which is the instruction's second.
// LLVM-LABEL: llvm.func @round
// LLVM: %[[B:.*]] = llvm.extractelement %[[X:.*]][%{{.*}}]
// LLVM: llvm.inline_asm "cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;", "=h,f,f"
// LLVM: llvm.inline_asm "cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;", "=h,f,f"
// LLVM: llvm.store %{{.*}} {alignment = 4 : i64} : vector<4xi8>, !llvm.ptr<1>
!h = tensor<?x?x200xf8E4M3FN>
!s = tensor<?x?x32xf32>
!w = tensor<32x200xf8E4M3FN>
sm1.model @wide_model(%x: tensor<?x?x200xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 200> {layout = "images"} : !w
  %b = sm1.param "a" quantised <bits = 8, group = 0, columns = 200> {layout = "scales"} : tensor<32x1xf32>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x200xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x200xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "wide" (%h0 = %r : !h, %a0 = %a : !w, %b0 = %b : tensor<32x1xf32>) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 2, stages = 5> -> !s {
      %p = sm1.linear %h0, %a0 scales %b0 : !h, !w, tensor<32x1xf32>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
