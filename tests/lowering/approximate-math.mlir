// RUN: sm1-opt %s -sm1-approximate-math -canonicalize -split-input-file | FileCheck %s

// One special function an element, on powers of two.
// CHECK-LABEL: func.func @exp
// CHECK: %[[SCALED:.*]] = arith.mulf %arg0, %cst
// CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz"(%[[SCALED]])
func.func @exp(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// -----

// Where adding 1 would lose x, the beginning of the series.
// CHECK-LABEL: func.func @log1p
// CHECK: %[[SUM:.*]] = arith.addf %arg0, %cst
// CHECK: %[[LOG:.*]] = llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%[[SUM]])
// CHECK: %[[LARGE:.*]] = arith.mulf %[[LOG]]
// CHECK: %[[SERIES:.*]] = math.fma
// CHECK: %[[SMALL:.*]] = arith.cmpf olt
// CHECK: arith.select %[[SMALL]], %[[SERIES]], %[[LARGE]]
func.func @log1p(%x: f32) -> f32 {
  %0 = math.log1p %x : f32
  return %0 : f32
}

// -----

// Vectors element by element; what has no special function stays.
// CHECK-LABEL: func.func @quotients
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.div.full.ftz"
// CHECK-NOT: div.full
// CHECK: math.sqrt
// CHECK: arith.divf %{{.*}} : f64
func.func @quotients(%a: vector<2xf32>, %b: vector<2xf32>, %c: f64) -> (vector<2xf32>, f64) {
  %0 = arith.divf %a, %b : vector<2xf32>
  %1 = math.sqrt %0 : vector<2xf32>
  %2 = arith.divf %c, %c : f64
  return %1, %2 : vector<2xf32>, f64
}
