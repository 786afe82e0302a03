// RUN: sm1-opt %s -sm1-kernel-to-cpu=madd-lanes=8 -canonicalize -cse -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,AVX2
// RUN: sm1-opt %s -sm1-kernel-to-cpu=madd-lanes=16 -canonicalize -cse -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,AVX512

!x = tensor<?x?x64xf32>
!y = tensor<?x?x8xf32>

// int8 without VNNI. Rows become integers of 16 bits, of every four the first and third in one word and the others in the next: 64 of
// them are 32 words, with 16 behind them. Bytes of weights become 16 bits by a mask and by a shift; the sum stays one chain.
// CHECK-LABEL: func.func @words(
// CHECK: %[[HALVES:.*]] = vector.bitcast %{{.*}} : vector<16xi32> to vector<32xi16>
// CHECK-NEXT: vector.shuffle %[[HALVES]], %[[HALVES]] [0, 4, 2, 6, 8, 12, 10, 14, 16, 20, 18, 22, 24, 28, 26, 30]
// CHECK: %[[STORED:.*]] = vector.load %{{.*}} : memref<1x16x16xi32>, vector<16xi32>
// CHECK: arith.andi %[[STORED]],
// AVX2-COUNT-2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"({{.*}}) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>
// AVX512: llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"({{.*}}) : (vector<32xi16>, vector<32xi16>) -> vector<16xi32>
// CHECK: %[[BYTES:.*]] = vector.bitcast %[[STORED]] : vector<16xi32> to vector<32xi16>
// CHECK: %[[ODD:.*]] = arith.shrui %[[BYTES]],
// AVX2: %[[PART:.*]] = vector.extract_strided_slice %[[ODD]]
// AVX2: %[[PRODUCTS:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[PART]],
// AVX512: %[[PRODUCTS:.*]] = llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"(%[[ODD]],
// CHECK-NEXT: %[[SUM:.*]] = arith.addi %{{.*}}, %[[PRODUCTS]]
// CHECK-NEXT: llvm.inline_asm "", "=v,0" %[[SUM]]
// CHECK: arith.sitofp
// CHECK: sm1.dispatch @words({{.*}}) panels 1 scratch 1792 schedule
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 64> {layout = "quads"} : tensor<8x64xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 64> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "words" (%x0 = %x : !x, %a0 = %a : tensor<8x64xi8>, %s0 = %s : tensor<8x1xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x64xi8>, tensor<8x1xf32>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x64xf32>
!y = tensor<?x?x8xf32>

// int4 stay bytes, whose products with those of a group's rows fit 16 bits when they are added up; only then come pairs of them and what
// is taken back for the 8 that each was stored with, and the scale.
// CHECK-LABEL: func.func @bytes(
// AVX2-COUNT-16: llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"({{.*}}) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
// AVX512-COUNT-8: llvm.call_intrinsic "llvm.x86.avx512.pmaddubs.w.512"({{.*}}) : (vector<64xi8>, vector<64xi8>) -> vector<32xi16>
// AVX2-NOT: pmadd.ub
// AVX512-NOT: pmaddubs
// CHECK: %[[SCALE:.*]] = arith.extf
// CHECK: %[[TAKEN:.*]] = vector.broadcast
// AVX2: %[[PAIRS:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
// AVX512: %[[PAIRS:.*]] = llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"
// CHECK-NEXT: arith.addi %[[TAKEN]], %[[PAIRS]]
// CHECK: %[[NUMBER:.*]] = arith.sitofp
// CHECK-NEXT: vector.fma %[[NUMBER]], %[[SCALE]],
// CHECK: sm1.dispatch @bytes(
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "nibbles"} : tensor<8x64xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "scales"} : tensor<8x2xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "bytes" (%x0 = %x : !x, %a0 = %a : tensor<8x64xi4>, %s0 = %s : tensor<8x2xf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x64xi4>, tensor<8x2xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x64xf32>
!y = tensor<?x?x8xf32>

// Rows are made for one of the two.
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "nibbles"} : tensor<8x64xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "scales"} : tensor<8x2xf16>
  %b = sm1.param "b" quantised <bits = 8, group = 0, columns = 64> {layout = "quads"} : tensor<8x64xi8>
  %t = sm1.param "b" quantised <bits = 8, group = 0, columns = 64> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !y {
    // expected-error @+1 {{multiplies the same rows with int8 and int4, for which dot products without VNNI want different rows; use products = fma}}
    %y = sm1.kernel "both" (%x0 = %x : !x, %a0 = %a : tensor<8x64xi4>, %s0 = %s : tensor<8x2xf16>, %b0 = %b : tensor<8x64xi8>, %t0 = %t : tensor<8x1xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x64xi4>, tensor<8x2xf16>
      %q = sm1.linear %x0, %b0 scales %t0 int8 : !x, tensor<8x64xi8>, tensor<8x1xf32>
      %u = arith.addf %p, %q : !y
      sm1.yield %u : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}
