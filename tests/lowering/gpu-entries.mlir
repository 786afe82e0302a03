// RUN: sm1-opt %s -sm1-gpu-entries -split-input-file -verify-diagnostics | FileCheck %s

// Buffers become pointers to global memory; all but states are known to have no other name. Shared memory is the block's dynamic memory,
// one array of no size, so the argument for it goes. The number of threads is the dispatch's. Models are dropped.
// CHECK: llvm.mlir.global external @sm1_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK-LABEL: llvm.func @scale
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1> {llvm.noalias}, %[[STATE:[a-z0-9]+]]: !llvm.ptr<1>, %[[W:[a-z0-9]+]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:[a-z0-9]+]]: !llvm.ptr<1> {llvm.noalias}, %[[NEXT:[a-z0-9]+]]: !llvm.ptr<1>, %{{[a-z0-9]+}}: !llvm.ptr<1> {llvm.noalias}, %{{[a-z0-9]+}}: !llvm.ptr<1> {llvm.noalias}, %{{[a-z0-9]+}}: !llvm.ptr<1> {llvm.noalias}, %{{[a-z0-9]+}}: i64, %{{[a-z0-9]+}}: i64)
// CHECK-SAME: nvvm.kernel
// CHECK-SAME: nvvm.reqntid = array<i32: 96>
// CHECK: llvm.mlir.addressof @sm1_shared : !llvm.ptr<3>
// CHECK: memref.view
// CHECK: memref.load
// CHECK: llvm.return
// CHECK-NOT: sm1.model
func.func @scale(%x: memref<?x16xf32, 1>, %state: memref<?x16xf32, 1>, %w: memref<16xf32, 1>, %y: memref<?x16xf32, 1>, %next: memref<?x16xf32, 1>,
                 %rowSegment: memref<?xi32, 1>, %segmentStart: memref<?xi32, 1>, %selected: memref<?xi32, 1>, %shared: memref<?xi8, 3>,
                 %count: index, %segments: index) {
  %c0 = arith.constant 0 : index
  %view = memref.view %shared[%c0][] : memref<?xi8, 3> to memref<16xf32, 3>
  %v = memref.load %x[%count, %c0] : memref<?x16xf32, 1>
  memref.store %v, %view[%c0] : memref<16xf32, 3>
  memref.store %v, %y[%count, %c0] : memref<?x16xf32, 1>
  memref.store %v, %next[%segments, %c0] : memref<?x16xf32, 1>
  return
}
sm1.model @m(%x: tensor<?x?x16xf32> {sm1.name = "x"}, %s: tensor<?x16xf32> {sm1.state = "h"})
    -> (tensor<?x?x16xf32> {sm1.name = "y"}, tensor<?x16xf32> {sm1.state = "h"}) {
  %w = sm1.param "w" {layout = "channels"} : tensor<16xf32>
  %r, %t = sm1.launch sync(none) -> tensor<?x?x16xf32>, tensor<?x16xf32> {
    %y, %next = sm1.dispatch @scale(%x, %s, %w) panels 1 scratch 64 blocks <rows, threads = 96, row_tile = 1, row_split = 1, panel_split = 0, stages = 1>
        : (tensor<?x?x16xf32>, tensor<?x16xf32>, tensor<16xf32>) -> (tensor<?x?x16xf32>, tensor<?x16xf32>)
    sm1.yield %y, %next : tensor<?x?x16xf32>, tensor<?x16xf32>
  }
  sm1.return %r, %t : tensor<?x?x16xf32>, tensor<?x16xf32>
}

// -----

// A tensor map is passed whole, and read where it lies.
// CHECK: llvm.mlir.global external @sm1_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK-LABEL: llvm.func @mapped
// CHECK-SAME: %{{[a-z0-9]+}}: i64, %{{[a-z0-9]+}}: i64, %{{[a-z0-9]+}}: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant})
func.func @mapped(%x: memref<?x16xf32, 1>, %y: memref<?x16xf32, 1>, %rowSegment: memref<?xi32, 1>, %segmentStart: memref<?xi32, 1>,
                  %selected: memref<?xi32, 1>, %shared: memref<?xi8, 3>, %count: index, %segments: index, %map: memref<128xi8>) {
  return
}
sm1.model @m(%x: tensor<?x?x16xf32> {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    %y = sm1.dispatch @mapped(%x) panels 1 scratch 64 blocks <wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 1, stages = 4> mapped 0
        : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    sm1.yield %y : tensor<?x?x16xf32>
  }
  sm1.return %r : tensor<?x?x16xf32>
}

// -----

// expected-error @+1 {{no dispatch says how many threads this function runs on}}
func.func @nobody(%x: memref<?x16xf32, 1>, %rowSegment: memref<?xi32, 1>, %segmentStart: memref<?xi32, 1>, %selected: memref<?xi32, 1>,
                  %shared: memref<?xi8, 3>, %count: index, %segments: index) {
  return
}
