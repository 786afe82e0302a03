// RUN: sm1-opt %s -sm1-cpu-entries -split-input-file -verify-diagnostics | FileCheck %s

// Buffers become pointers with the strides of their types, and an entry loads them from the task.
// CHECK-LABEL: llvm.func internal @scale
// CHECK-SAME: %[[X:.*]]: !llvm.ptr, %[[OUT:.*]]: !llvm.ptr {llvm.noalias}, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr {llvm.noalias}, %[[BEGIN:.*]]: i64,
// CHECK-SAME: always_inline
// CHECK: llvm.insertvalue %[[X]]
// CHECK: memref.load
// CHECK: llvm.return
// CHECK: llvm.func win64cc @scale$entry(%[[TASK:.*]]: !llvm.ptr)
// CHECK: %[[ARGS:.*]] = llvm.load
// CHECK: %[[ARG1:.*]] = llvm.getelementptr %[[ARGS]][8]
// CHECK: %[[PANELEND:.*]] = llvm.getelementptr %[[TASK]][64]
// CHECK: llvm.call @scale
func.func @scale(%x: memref<?x16xf32>, %out: memref<?x16xf32> {llvm.noalias}, %rowSegment: memref<?xi32>, %segmentStart: memref<?xi32>,
                 %selected: memref<?xi32>, %scratch: memref<?xf32>, %rowBegin: index, %rowEnd: index, %panelBegin: index, %panelEnd: index) {
  %c0 = arith.constant 0 : index
  %v = memref.load %x[%rowBegin, %c0] : memref<?x16xf32>
  %w = arith.addf %v, %v : f32
  memref.store %w, %out[%rowBegin, %c0] : memref<?x16xf32>
  return
}

// -----

// A buffer whose places depend on more than its type has no pointer form.
// expected-error @+1 {{argument 0 of a kernel function must be a dense buffer with at most its first size dynamic, got 'memref<?x?xf32>'}}
func.func @loose(%x: memref<?x?xf32>, %rowSegment: memref<?xi32>, %segmentStart: memref<?xi32>, %selected: memref<?xi32>,
                 %scratch: memref<?xf32>, %rowBegin: index, %rowEnd: index, %panelBegin: index, %panelEnd: index) {
  return
}

// -----

// expected-error @+1 {{kernel function must end with the 8 arguments of a task, got 1}}
func.func @short(%x: memref<?x16xf32>) {
  return
}
