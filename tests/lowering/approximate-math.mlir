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

// Where subtracting 1 would lose digits, five terms of the series.
// CHECK-LABEL: func.func @expm1
// CHECK: %[[EXP:.*]] = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz"
// CHECK: %[[LARGE:.*]] = arith.subf %[[EXP]]
// CHECK-COUNT-3: math.fma
// CHECK: %[[SERIES:.*]] = math.fma
// CHECK: %[[SMALL:.*]] = arith.cmpf olt
// CHECK: arith.select %[[SMALL]], %[[SERIES]], %[[LARGE]]
func.func @expm1(%x: f32) -> f32 {
  %0 = math.expm1 %x : f32
  return %0 : f32
}

// -----

// Of -2|x|, so that nothing overflows, with the sign of x again at the end.
// CHECK-LABEL: func.func @tanh
// CHECK: %[[MAGNITUDE:.*]] = math.absf %arg0
// CHECK: arith.mulf %[[MAGNITUDE]]
// CHECK: ex2.approx
// CHECK: llvm.call_intrinsic "llvm.nvvm.div.full.ftz"
// CHECK: arith.cmpf olt, %arg0
// CHECK: arith.select
func.func @tanh(%x: f32) -> f32 {
  %0 = math.tanh %x : f32
  return %0 : f32
}

// -----

// Roots of a kernel's elements; that of a norm, one for a row, stays.
// CHECK-LABEL: func.func @roots
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.sqrt.approx.ftz.f"
// CHECK: math.sqrt %{{.*}} : f32
func.func @roots(%a: vector<2xf32>, %b: f32) -> (vector<2xf32>, f32) {
  %0 = math.sqrt %a : vector<2xf32>
  %1 = math.sqrt %b : f32
  return %0, %1 : vector<2xf32>, f32
}

// -----

// Vectors element by element; what is of another type stays.
// CHECK-LABEL: func.func @quotients
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.div.full.ftz"
// CHECK-NOT: div.full
// CHECK: arith.divf %{{.*}} : f64
func.func @quotients(%a: vector<2xf32>, %b: vector<2xf32>, %c: f64) -> (vector<2xf32>, f64) {
  %0 = arith.divf %a, %b : vector<2xf32>
  %1 = arith.divf %c, %c : f64
  return %0, %1 : vector<2xf32>, f64
}

// -----

// By 1 + exp(x), which is 1 at the least, with nothing for denominators above 2^126; whichever side the one is on, as a constant or spread
// over lanes. By another sum, and by 2 + exp(x), as ever.
// CHECK-LABEL: func.func @gates
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.nvvm.div.approx.ftz.f"
// CHECK-NOT: div.approx
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.div.full.ftz"
func.func @gates(%x: f32, %lanes: vector<2xf32>) -> (f32, vector<2xf32>, f32, f32) {
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %ones = vector.broadcast %one : f32 to vector<2xf32>
  %e = math.exp %x : f32
  %0 = arith.addf %e, %one : f32
  %gate = arith.divf %x, %0 : f32
  %es = math.exp %lanes : vector<2xf32>
  %1 = arith.addf %ones, %es : vector<2xf32>
  %gates = arith.divf %lanes, %1 : vector<2xf32>
  %2 = arith.addf %x, %one : f32
  %other = arith.divf %x, %2 : f32
  %3 = arith.addf %e, %two : f32
  %third = arith.divf %x, %3 : f32
  return %gate, %gates, %other, %third : f32, vector<2xf32>, f32, f32
}
