// RUN: sm1-opt %s -sm1-expand-math -canonicalize | FileCheck %s
// RUN: sm1-opt %s -sm1-expand-math | sm1-opt -sm1-expand-math -canonicalize | FileCheck %s

// 2^n * exp(r): the argument is clamped, reduced in two steps, and the result scaled in two steps, so that denormals come out right.
// CHECK-LABEL: func.func @exp
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>)
// CHECK-NOT: math.exp
// CHECK: %[[HIGH:.*]] = arith.cmpf ogt, %[[X]], %[[MAX:.*]] : vector<16xf32>
// CHECK: %[[X1:.*]] = arith.select %[[HIGH]], %[[MAX]], %[[X]]
// CHECK: %[[LOW:.*]] = arith.cmpf olt, %[[X1]], %[[MIN:.*]] : vector<16xf32>
// CHECK: %[[X2:.*]] = arith.select %[[LOW]], %[[MIN]], %[[X1]]
// CHECK: %[[SHIFTED:.*]] = math.fma %[[X2]],
// CHECK-NEXT: %[[N:.*]] = arith.subf %[[SHIFTED]],
// CHECK: %[[R:.*]] = math.fma %[[N]], %{{.*}}, %[[X2]]
// CHECK: math.fma %[[N]], %{{.*}}, %[[R]]
// CHECK-COUNT-6: math.fma
// CHECK: arith.shrsi
// CHECK: %[[Y:.*]] = arith.mulf
// CHECK: %[[Z:.*]] = arith.mulf %[[Y]]
// CHECK-NEXT: return %[[Z]]
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// The scalar form is the same formula: a norm's scalar and a row's vector have the same bits.
// CHECK-LABEL: func.func @scalar_exp
// CHECK-NOT: math.exp
// CHECK-COUNT-9: math.fma %{{.*}} : f32
// CHECK: return
func.func @scalar_exp(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// A sum with one rounds to one where exp is tiny: one factor is enough. The argument may be large.
// CHECK-LABEL: func.func @absorbed
// CHECK: arith.cmpf ogt
// CHECK: arith.cmpf olt
// CHECK-COUNT-1: arith.mulf
// CHECK-NOT: arith.mulf
// CHECK: return
func.func @absorbed(%x: vector<16xf32>) -> vector<16xf32> {
  %one_f = arith.constant 1.0 : f32
  %one = vector.broadcast %one_f : f32 to vector<16xf32>
  %0 = math.exp %x : vector<16xf32>
  %1 = arith.addf %one, %0 : vector<16xf32>
  return %1 : vector<16xf32>
}

// One other user can tell.
// CHECK-LABEL: func.func @also_returned
// CHECK-COUNT-2: arith.mulf
// CHECK: return
func.func @also_returned(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %one = arith.constant dense<1.0> : vector<16xf32>
  %0 = math.exp %x : vector<16xf32>
  %1 = arith.addf %one, %0 : vector<16xf32>
  return %0, %1 : vector<16xf32>, vector<16xf32>
}

// The clamped softplus and the decay of SM1: arguments are negative, so nothing overflows; what is tiny is under the clamps; log1p is of a
// number in [0, 1], and is no division.
// CHECK-LABEL: func.func @softplus
// CHECK-NOT: arith.cmpf ogt
// CHECK-NOT: arith.divf
// CHECK-NOT: arith.shrsi
// CHECK: return
func.func @softplus(%v: vector<16xf32>, %a_log: vector<16xf32>) -> vector<16xf32> {
  %zero = arith.constant dense<0.0> : vector<16xf32>
  %low = arith.constant dense<1.0e-4> : vector<16xf32>
  %least = arith.constant dense<1.0e-6> : vector<16xf32>
  %abs = math.absf %v : vector<16xf32>
  %neg = arith.negf %abs : vector<16xf32>
  %e = math.exp %neg : vector<16xf32>
  %l = math.log1p %e : vector<16xf32>
  %pos = arith.maximumf %v, %zero : vector<16xf32>
  %soft = arith.addf %pos, %l : vector<16xf32>
  %dt = arith.maximumf %soft, %low : vector<16xf32>
  %a = math.absf %a_log : vector<16xf32>
  %a_neg = arith.negf %a : vector<16xf32>
  %rate = arith.mulf %dt, %a_neg : vector<16xf32>
  %decay = math.exp %rate : vector<16xf32>
  %clamped = arith.maximumf %decay, %least : vector<16xf32>
  return %clamped : vector<16xf32>
}

// Neighbours are computed step by step side by side; what needs the other's result is not one.
// CHECK-LABEL: func.func @side_by_side
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>, %[[Y:.*]]: vector<16xf32>)
// CHECK: arith.cmpf ogt, %[[X]]
// CHECK-NEXT: arith.select
// CHECK-NEXT: arith.cmpf ogt, %[[Y]]
// CHECK-NEXT: %[[Y1:.*]] = arith.select
// CHECK: arith.cmpf olt
// CHECK-NEXT: arith.select
// CHECK-NEXT: arith.cmpf olt, %[[Y1]]
// CHECK: arith.mulf
// CHECK: %[[LAST:.*]] = arith.mulf
// CHECK: arith.cmpf ogt,
// CHECK: return
func.func @side_by_side(%x: vector<16xf32>, %y: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %0 = math.exp %x : vector<16xf32>
  %1 = math.exp %y : vector<16xf32>
  %2 = math.exp %0 : vector<16xf32>
  return %1, %2 : vector<16xf32>, vector<16xf32>
}

// log1p has its three edges: inf at inf, NaN below -1, -inf at -1; and in [0, 1] the formula of that range, so that its bits do not
// depend on who knows the range.
// CHECK-LABEL: func.func @log1p
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>)
// CHECK-DAG: %[[NINF:.*]] = arith.constant dense<0xFF800000>
// CHECK-DAG: %[[NAN:.*]] = arith.constant dense<0x7FC00000>
// CHECK-DAG: %[[INF:.*]] = arith.constant dense<0x7F800000>
// CHECK-NOT: math.log
// CHECK: %[[A:.*]] = arith.cmpf oge, %[[X]], %[[INF]]
// CHECK-NEXT: %[[Y1:.*]] = arith.select %[[A]], %[[X]],
// CHECK: %[[B:.*]] = arith.cmpf olt, %[[X]],
// CHECK-NEXT: %[[Y2:.*]] = arith.select %[[B]], %[[NAN]], %[[Y1]]
// CHECK: %[[C:.*]] = arith.cmpf oeq, %[[X]],
// CHECK-NEXT: %[[Y3:.*]] = arith.select %[[C]], %[[NINF]], %[[Y2]]
// CHECK-COUNT-8: math.fma
// CHECK: arith.cmpf ole, %[[X]],
// CHECK-NEXT: %[[Y4:.*]] = arith.select %{{.*}}, %{{.*}}, %[[Y3]]
// CHECK: arith.cmpf oge, %[[X]],
// CHECK-NEXT: %[[Y5:.*]] = arith.select %{{.*}}, %[[Y4]], %[[Y3]]
// CHECK-NEXT: return %[[Y5]]
func.func @log1p(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.log1p %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// The rest is upstream's; what every target has as an instruction stays.
// CHECK-LABEL: func.func @others
// CHECK-NOT: math.tanh
// CHECK-NOT: math.erf
// CHECK: math.sqrt
// CHECK-NOT: math.tanh
// CHECK-NOT: math.erf
// CHECK: return
func.func @others(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>) {
  %0 = math.tanh %x : vector<16xf32>
  %1 = math.sqrt %x : vector<16xf32>
  %2 = math.erf %x : vector<16xf32>
  return %0, %1, %2 : vector<16xf32>, vector<16xf32>, vector<16xf32>
}
