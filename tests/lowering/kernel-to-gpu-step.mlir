// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_120 step" -canonicalize -cse -split-input-file | FileCheck %s

// Form step: a block to a panel. A group of two rows is normed into shared memory; 16 neighbouring threads sum one block of 64 k, eight
// weights read ahead of their use; one thread for each row and channel adds the blocks in order. Rows that fill no group come one by one.
// CHECK-LABEL: func.func @step
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x112xf32, 1>, %[[N:[a-z0-9]+]]: memref<112xf32, 1>, %[[A:[a-z0-9]+]]: memref<2x100x16xf32, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: %[[END:.*]] = arith.minsi %{{.*}}, %[[COUNT]]
// CHECK: %[[REST:.*]] = arith.remui %{{.*}}, %c2
// CHECK: %[[WHOLE:.*]] = arith.subi %[[END]], %[[REST]]
// CHECK: scf.for %{{.*}} to %[[WHOLE]] step %c2
// CHECK: %[[ROWS:.*]] = memref.view %{{.*}} to memref<2x112xf32, 3>
// CHECK: nvvm.barrier
// CHECK: nvvm.shfl.sync
// CHECK: nvvm.barrier
// CHECK: vector.store %{{.*}}, %[[ROWS]]
// CHECK: nvvm.barrier
// CHECK: %[[PARTS:.*]] = memref.view %{{.*}} to memref<2x2x16xf32, 3>
// CHECK: %[[STOP:.*]] = arith.minsi %{{.*}}, %c100
// CHECK: %[[SUMS:.*]]:2 = scf.for %{{.*}} step %c8 iter_args(%[[S0:.*]] = %[[ZERO:[a-z0-9_]+]], %{{.*}} = %[[ZERO]]) -> (f32, f32)
// CHECK: %[[W0:.*]] = memref.load %[[A]]
// CHECK-COUNT-7: memref.load %[[A]]
// CHECK: %[[X0:.*]] = memref.load %[[ROWS]][%c0,
// CHECK-NEXT: math.fma %[[X0]], %[[W0]], %[[S0]]
// CHECK: scf.for %{{.*}} to %[[STOP]] step %c1 iter_args(%{{.*}} = %[[SUMS]]#0, %{{.*}} = %[[SUMS]]#1)
// CHECK: memref.store %{{.*}}, %[[PARTS]]
// CHECK: nvvm.barrier
// CHECK: scf.if
// CHECK: scf.for %[[PART:.*]] = %c0 to %c2 step %c1 iter_args(%[[TOTAL:.*]] = %[[ZERO]])
// CHECK-NEXT: %[[P:.*]] = memref.load %[[PARTS]]
// CHECK-NEXT: arith.addf %[[TOTAL]], %[[P]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: nvvm.barrier
// CHECK: scf.for %{{.*}} = %[[WHOLE]] to %[[END]] step %c1
// CHECK: sm1.dispatch @step(%x, %n, %a) panels 2 scratch {{[0-9]+}} blocks <step,
!x = tensor<?x?x100xf32>
!s = tensor<?x?x20xf32>
sm1.model @model_of_step(%x: !x {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<100xf32>
  %a = sm1.param "a" {layout = "panels"} : tensor<20x100xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "step" (%x0 = %x : !x, %n0 = %n : tensor<100xf32>, %a0 = %a : tensor<20x100xf32>)
        blocks<step, threads = 64, row_tile = 2, row_split = 16, panel_split = 1, stages = 1> -> !s {
      %v = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !x
      %p = sm1.linear %v, %a0 : !x, tensor<20x100xf32>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

// Form tensor_step: the weights' fragments are in registers before the rows are. Eight rows in shared memory, zero where there are none;
// four warps share the tiles of k in fixed parts, which are added in order.
// CHECK-LABEL: func.func @tensor
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x112xbf16, 1>, %[[A:[a-z0-9]+]]: memref<2x8x32x8xbf16, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: %[[ROWS:.*]] = memref.view %{{.*}} to memref<8x136xbf16, 3>
// CHECK: %[[PARTS:.*]] = memref.view %{{.*}} to memref<4x1x8x16xf32, 3>
// CHECK: %[[END:.*]] = arith.minsi %{{.*}}, %[[COUNT]]
// CHECK-COUNT-2: vector.load %[[A]]
// CHECK: scf.for %{{.*}} to %[[END]] step %c8
// CHECK: vector.store %{{.*}}, %[[ROWS]]
// CHECK: nvvm.barrier
// CHECK: %[[V:.*]] = vector.load %[[X]]
// CHECK: %[[INSIDE:.*]] = arith.cmpi slt, %{{.*}}, %c100
// CHECK: scf.if %[[INSIDE]]
// CHECK-NEXT: vector.store %[[V]], %[[ROWS]]
// CHECK: nvvm.barrier
// CHECK: vector.load %[[ROWS]]
// CHECK: %[[M:.*]] = nvvm.mma.sync
// CHECK: %[[M0:.*]] = llvm.extractvalue %[[M]][0]
// CHECK: nvvm.mma.sync {{.*}} C[%[[M0]],
// CHECK-COUNT-4: memref.store %{{.*}}, %[[PARTS]]
// CHECK: nvvm.barrier
// CHECK: %[[P0:.*]] = memref.load %[[PARTS]][%c0,
// CHECK: %[[T0:.*]] = arith.addf %[[P0]],
// CHECK: %[[P1:.*]] = memref.load %[[PARTS]][%c1,
// CHECK-NEXT: %[[T1:.*]] = arith.addf %[[T0]], %[[P1]]
// CHECK: %[[P2:.*]] = memref.load %[[PARTS]][%c2,
// CHECK-NEXT: %[[T2:.*]] = arith.addf %[[T1]], %[[P2]]
// CHECK: %[[P3:.*]] = memref.load %[[PARTS]][%c3,
// CHECK-NEXT: arith.addf %[[T2]], %[[P3]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: nvvm.barrier
// CHECK: sm1.dispatch @tensor({{.*}}) panels 2 scratch {{[0-9]+}} blocks <tensor_step,
!h = tensor<?x?x100xbf16>
!s = tensor<?x?x20xf32>
sm1.model @model_of_tensor_step(%x: tensor<?x?x100xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "fragments"} : tensor<20x100xbf16>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x100xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x100xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "tensor" (%h0 = %r : !h, %a0 = %a : tensor<20x100xbf16>)
        blocks<tensor_step, threads = 128, row_tile = 8, row_split = 32, panel_split = 1, stages = 1> -> !s {
      %p = sm1.linear %h0, %a0 : !h, tensor<20x100xbf16>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
