// RUN: sm1-opt %s -sm1-expand-arithmetic -split-input-file -verify-diagnostics | FileCheck %s

// bf16 is integer work, so that no target needs an instruction or a library for it.
// CHECK-LABEL: func @rounds
// CHECK-NOT: arith.truncf
// CHECK-NOT: arith.extf
// CHECK: arith.trunci {{.*}} : vector<16xi32> to vector<16xi16>
func.func @rounds(%x: vector<16xf32>) -> vector<16xf32> {
  %b = arith.truncf %x : vector<16xf32> to vector<16xbf16>
  %f = arith.extf %b : vector<16xbf16> to vector<16xf32>
  return %f : vector<16xf32>
}

// -----

// CHECK-LABEL: func @approximates
// CHECK-NOT: math.tanh
// CHECK-NOT: math.exp
// CHECK: math.fma
func.func @approximates(%x: vector<16xf32>) -> vector<16xf32> {
  %t = math.tanh %x : vector<16xf32>
  %e = math.exp %t : vector<16xf32>
  return %e : vector<16xf32>
}

// -----

func.func @refuses(%x: vector<16xf32>) -> vector<16xf32> {
  // expected-error @+1 {{no instructions for math.powf on 'vector<16xf32>'}}
  %p = math.powf %x, %x : vector<16xf32>
  return %p : vector<16xf32>
}

// -----

// Upstream's lowering of vector.fma may round twice.
// CHECK-LABEL: func @fuses
// CHECK: math.fma %{{.*}}, %{{.*}}, %{{.*}} : vector<16xf32>
func.func @fuses(%a: vector<16xf32>, %b: vector<16xf32>, %c: vector<16xf32>) -> vector<16xf32> {
  %f = vector.fma %a, %b, %c : vector<16xf32>
  return %f : vector<16xf32>
}
