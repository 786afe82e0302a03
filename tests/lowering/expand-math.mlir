// RUN: sm1-opt %s -sm1-expand-math | FileCheck %s
// RUN: sm1-opt %s -sm1-expand-math | sm1-opt -sm1-expand-math | FileCheck %s

// 2^n * exp(r): the argument is clamped, reduced in two steps, and the result scaled in two steps, so that denormals come out right.
// CHECK-LABEL: func.func @exp
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>)
// CHECK-NOT: math.exp
// CHECK: %[[HIGH:.*]] = arith.cmpf ogt, %[[X]], %[[MAX:.*]] : vector<16xf32>
// CHECK: %[[X1:.*]] = arith.select %[[HIGH]], %[[MAX]], %[[X]]
// CHECK: %[[LOW:.*]] = arith.cmpf olt, %[[X1]], %[[MIN:.*]] : vector<16xf32>
// CHECK: %[[X2:.*]] = arith.select %[[LOW]], %[[MIN]], %[[X1]]
// CHECK: %[[N:.*]] = math.roundeven
// CHECK-NEXT: %[[R:.*]] = math.fma %[[N]], %{{.*}}, %[[X2]]
// CHECK-NEXT: %[[R2:.*]] = math.fma %[[N]], %{{.*}}, %[[R]]
// CHECK-COUNT-6: math.fma
// CHECK: arith.fptosi %[[N]]
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
// CHECK: math.roundeven %{{.*}} : f32
// CHECK-COUNT-8: math.fma %{{.*}} : f32
// CHECK: return
func.func @scalar_exp(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// log1p ends with its three edges: inf at inf, NaN below -1, -inf at -1.
// CHECK-LABEL: func.func @log1p
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>)
// CHECK-DAG: %[[NINF:.*]] = arith.constant dense<0xFF800000>
// CHECK-DAG: %[[NAN:.*]] = arith.constant dense<0x7FC00000>
// CHECK-DAG: %[[INF:.*]] = arith.constant dense<0x7F800000>
// CHECK-NOT: math.log
// CHECK: %[[A:.*]] = arith.cmpf oge, %[[X]], %[[INF]]
// CHECK-NEXT: %[[Y1:.*]] = arith.select %[[A]], %[[X]],
// CHECK-NEXT: %[[B:.*]] = arith.cmpf olt, %[[X]],
// CHECK-NEXT: %[[Y2:.*]] = arith.select %[[B]], %[[NAN]], %[[Y1]]
// CHECK-NEXT: %[[C:.*]] = arith.cmpf oeq, %[[X]],
// CHECK-NEXT: %[[Y3:.*]] = arith.select %[[C]], %[[NINF]], %[[Y2]]
// CHECK-NEXT: return %[[Y3]]
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
