// Projections whose matrices are words of two, four or eight values: what is multiplied, in which order, and what goes before and after.
// RUN: sm1-opt %s -sm1-kernel-to-cpu -canonicalize -cse -split-input-file | FileCheck %s

!x = tensor<?x?x41xf32>
!y = tensor<?x?x8xf32>

// Pairs of bf16 by f32: the low and the high half of a word, one after the other in one chain. An odd last k has no second.
// CHECK-LABEL: func.func @pairs
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x48xf32>, %[[A:[a-z0-9]+]]: memref<1x21x16xi32>,
// CHECK-DAG: %[[HIGH:.*]] = arith.constant dense<-65536> : vector<16xi32>
// CHECK-DAG: %[[BITS:.*]] = arith.constant dense<16> : vector<16xi32>
// CHECK: %[[SUM:.*]] = scf.for %[[STEP:.*]] = %c0 to %c20 step %c4 iter_args(%[[S:.*]] = %[[ZERO:[a-z0-9_]+]])
// CHECK-NEXT: %[[K:.*]] = arith.muli %[[STEP]], %c2
// CHECK: %[[W:.*]] = vector.load %[[A]][%{{.*}}, %[[STEP]], %c0]
// CHECK-NEXT: %[[L:.*]] = arith.shli %[[W]], %[[BITS]]
// CHECK-NEXT: %[[LOW:.*]] = arith.bitcast %[[L]]
// CHECK-NEXT: memref.load %[[X]][%{{.*}}, %[[K]]]
// CHECK-NEXT: %[[X0:.*]] = vector.broadcast
// CHECK-NEXT: %[[R0:.*]] = vector.fma %[[X0]], %[[LOW]], %[[S]]
// CHECK-NEXT: %[[H:.*]] = arith.andi %[[W]], %[[HIGH]]
// CHECK-NEXT: %[[UP:.*]] = arith.bitcast %[[H]]
// CHECK-NEXT: %[[K1:.*]] = arith.addi %[[K]], %c1
// CHECK-NEXT: memref.load %[[X]][%{{.*}}, %[[K1]]]
// CHECK-NEXT: %[[X1:.*]] = vector.broadcast
// CHECK-NEXT: %[[R1:.*]] = vector.fma %[[X1]], %[[UP]], %[[R0]]
// CHECK: scf.yield
// CHECK: vector.load %[[A]][%{{.*}}, %c20, %c0]
// CHECK: memref.load %[[X]][%{{.*}}, %c40]
// CHECK: %[[LAST:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[SUM]]
// CHECK-NOT: vector.fma
// CHECK: arith.addf %[[LAST]], %[[ZERO]]
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<8x41xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "pairs" (%x0 = %x : !x, %a0 = %a : tensor<8x41xbf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !y {
      %p = sm1.linear %x0, %a0 : !x, tensor<8x41xbf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x41xf32>
!b = tensor<?x?x41xbf16>
!y = tensor<?x?x8xf32>

// bf16 by bf16: blocks of 32 k, even k in one chain and odd k in another; the chains are added, then the blocks. Rows are rounded in front,
// two values to a word.
// CHECK-LABEL: func.func @two_chains
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x48xf32>, %[[A:[a-z0-9]+]]: memref<1x21x16xi32>,
// CHECK: %[[NARROW:.*]] = arith.truncf %{{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK-NEXT: %[[WORDS:.*]] = vector.bitcast %[[NARROW]] : vector<16xbf16> to vector<8xf32>
// CHECK: vector.store %[[WORDS]], %[[SCRATCH:[a-z0-9]+]][
// CHECK: %[[W:.*]] = vector.load %[[A]]
// CHECK-NEXT: arith.shli %[[W]]
// CHECK-NEXT: %[[W0:.*]] = arith.bitcast
// CHECK-NEXT: arith.andi %[[W]]
// CHECK-NEXT: %[[W1:.*]] = arith.bitcast
// CHECK: memref.load %[[SCRATCH]]
// CHECK: %[[X:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-NEXT: arith.shli %[[X]]
// CHECK-NEXT: %[[X0:.*]] = arith.bitcast
// CHECK-NEXT: arith.andi %[[X]]
// CHECK-NEXT: %[[X1:.*]] = arith.bitcast
// CHECK-NEXT: %[[EVEN:.*]] = vector.fma %[[X0]], %[[W0]], %[[ZERO:[a-z0-9_]+]]
// CHECK-NEXT: %[[ODD:.*]] = vector.fma %[[X1]], %[[W1]], %[[ZERO]]
// CHECK: %[[EVEN1:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[EVEN]]
// CHECK-NEXT: vector.fma %{{.*}}, %{{.*}}, %[[ODD]]
// CHECK-COUNT-14: vector.load %[[A]]
// CHECK: %[[EVEN15:.*]] = vector.fma
// CHECK-NEXT: %[[ODD15:.*]] = vector.fma
// CHECK-NEXT: %[[BLOCK:.*]] = arith.addf %[[EVEN15]], %[[ODD15]]
// CHECK-NEXT: %[[TOTAL:.*]] = arith.addf %[[BLOCK]], %[[ZERO]]
// Nine more: four pairs and one.
// CHECK-COUNT-4: vector.load %[[A]]
// CHECK: vector.fma
// CHECK-NEXT: %[[ODD:.*]] = vector.fma
// CHECK: vector.load %[[A]]
// CHECK: %[[EVEN:.*]] = vector.fma
// CHECK-NOT: vector.fma
// CHECK: %[[BLOCK:.*]] = arith.addf %[[EVEN]], %[[ODD]]
// CHECK-NEXT: arith.addf %[[TOTAL]], %[[BLOCK]]
// Eight rows of 21 words, in steps of 16.
// CHECK: sm1.dispatch @two_chains({{.*}}) panels 1 scratch 1024 schedule
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<8x41xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "two_chains" (%x0 = %x : !x, %a0 = %a : tensor<8x41xbf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<8x41xbf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x41xf32>
!b = tensor<?x?x41xbf16>
!y = tensor<?x?x8xf32>

// The same with dot products: one chain of words in blocks of 64 k. What is behind an odd last k is cut off.
// CHECK-LABEL: func.func @dots
// CHECK-DAG: %[[MASK:.*]] = arith.constant dense<65535> : vector<16xi32>
// CHECK: %[[SUM:.*]] = scf.for %{{.*}} = %c0 to %c20 step %c4 iter_args(%[[S:.*]] = %{{.*}})
// CHECK: %[[W:.*]] = vector.load
// CHECK: %[[X:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-NEXT: %[[X2:.*]] = vector.bitcast %[[X]] : vector<16xi32> to vector<32xbf16>
// CHECK-NEXT: %[[W2:.*]] = vector.bitcast %[[W]] : vector<16xi32> to vector<32xbf16>
// CHECK-NEXT: %[[R:.*]] = llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%[[S]], %[[X2]], %[[W2]])
// CHECK: scf.yield
// CHECK: %[[LAST:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-NEXT: %[[CUT:.*]] = arith.andi %[[LAST]], %[[MASK]]
// CHECK: %[[X2:.*]] = vector.bitcast %[[CUT]]
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%[[SUM]], %[[X2]],
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<8x41xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "dots" (%x0 = %x : !x, %a0 = %a : tensor<8x41xbf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<8x41xbf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x40xf32>
!y = tensor<?x?x8xf32>

// int8 by int8. Each row is quantised in front: its largest magnitude, at least 1e-30 and without the padding, by its bits; integers, rounded to even
// where a large number is added, four to a word; behind them what they are to be multiplied with and their sum; nobody asks for sums of groups. Without dot products
// integers are multiplied as f32, which is exact, and added up as integers. The scale of the row times that of the channel comes last.
// CHECK-LABEL: func.func @bytes
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x48xf32>, %[[A:[a-z0-9]+]]: memref<1x10x16xi32>, %[[S:[a-z0-9]+]]: memref<16xf32>,
// CHECK-DAG: %[[LEAST:.*]] = arith.constant dense<228737632> : vector<16xi32>
// CHECK-DAG: %[[UNSIGNED:.*]] = arith.constant dense<2147483647> : vector<16xi32>
// CHECK-DAG: %[[OFFSET:.*]] = arith.constant dense<-2139062144> : vector<16xi32>
// CHECK-DAG: %[[MOST:.*]] = arith.constant 1.270000e+02 : f32
// CHECK-DAG: %[[SHIFT:.*]] = arith.constant dense<0x4B400000> : vector<16xf32>
// CHECK-DAG: %[[SHIFTS:.*]] = arith.constant 805306368 : i32
// CHECK: scf.for
// CHECK: %[[FLOATS:.*]] = vector.load %[[X]]
// CHECK: vector.store %[[FLOATS]], %[[SCRATCH:[a-z0-9]+]][
// CHECK: %[[MAGNITUDE:.*]] = arith.andi %{{.*}}, %[[UNSIGNED]]
// CHECK-NEXT: arith.maxsi %[[MAGNITUDE]], %[[LEAST]]
// CHECK: vector.constant_mask [8]
// CHECK-NEXT: %[[PADDED:.*]] = arith.select
// CHECK-NEXT: %[[BITS:.*]] = arith.bitcast %[[PADDED]]
// CHECK-NEXT: %[[MAGNITUDE:.*]] = arith.andi %[[BITS]], %[[UNSIGNED]]
// CHECK-NEXT: arith.maxsi %[[MAGNITUDE]], %[[LEAST]]
// CHECK-COUNT-2: arith.maxsi
// CHECK-NEXT: %[[MAX:.*]] = arith.maxsi
// CHECK-NEXT: %[[MAXBITS:.*]] = vector.reduction <maxsi>, %[[MAX]]
// CHECK-NEXT: %[[M:.*]] = arith.bitcast %[[MAXBITS]] : i32 to f32
// CHECK-NEXT: %[[F:.*]] = arith.divf %[[MOST]], %[[M]]
// CHECK-NEXT: %[[FACTOR:.*]] = vector.broadcast %[[F]]
// CHECK-NEXT: %[[SCALE:.*]] = arith.divf %[[M]], %[[MOST]]
// CHECK-NEXT: %[[TAIL:.*]] = arith.addi %{{.*}}, %c16
// CHECK-NEXT: memref.store %[[SCALE]], %[[SCRATCH]][%[[TAIL]]]
// CHECK: %[[SCALED:.*]] = arith.mulf %{{.*}}, %[[FACTOR]]
// CHECK-NEXT: %[[ROUNDED:.*]] = arith.addf %[[SCALED]], %[[SHIFT]]
// CHECK-NEXT: %[[INTEGERS:.*]] = arith.bitcast %[[ROUNDED]]
// CHECK-NEXT: %[[BYTES:.*]] = arith.trunci %[[INTEGERS]]
// CHECK-NEXT: %[[WORDS:.*]] = vector.bitcast %[[BYTES]] : vector<16xi8> to vector<4xf32>
// CHECK: vector.store %[[WORDS]], %[[SCRATCH]]
// CHECK-NOT: vector.shuffle
// CHECK: %[[INTS:.*]] = vector.reduction <add>
// CHECK-NEXT: arith.addi %[[INTS]], %[[SHIFTS]] : i32
// CHECK: scf.for %{{.*}} = %c0 to %c10 step %c2 iter_args(%[[SUM:.*]] = %{{.*}})
// CHECK: %[[W:.*]] = vector.load %[[A]]
// CHECK-NEXT: arith.xori %[[W]], %[[OFFSET]]
// CHECK-COUNT-4: arith.sitofp
// CHECK: %[[XW:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-COUNT-4: arith.sitofp
// CHECK-NEXT: %[[R:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[SUM]]
// CHECK-NEXT: vector.fma %{{.*}}, %{{.*}}, %[[R]]
// CHECK: arith.fptosi
// CHECK: %[[CHANNEL:.*]] = vector.load %[[S]]
// CHECK: %[[BOTH:.*]] = arith.mulf %{{.*}}, %[[CHANNEL]]
// CHECK-NEXT: %[[TOTAL:.*]] = arith.sitofp
// CHECK-NEXT: arith.mulf %[[TOTAL]], %[[BOTH]]
// Eight rows of 16 words and 16 behind them, and one row of 64 f32.
// CHECK: sm1.dispatch @bytes({{.*}}) panels 1 scratch 1280 schedule
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 40> {layout = "quads"} : tensor<8x40xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 40> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "bytes" (%x0 = %x : !x, %a0 = %a : tensor<8x40xi8>, %s0 = %s : tensor<8x1xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x40xi8>, tensor<8x1xf32>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x40xf32>
!y = tensor<?x?x8xf32>

// With dot products the matrix's integers stand for themselves plus 128; 128 times the sum of x's is taken off at the end.
// CHECK-LABEL: func.func @vnni
// CHECK-DAG: %[[OFF:.*]] = arith.constant dense<-128> : vector<16xi32>
// CHECK: %[[SUM:.*]] = scf.for %{{.*}} = %c0 to %c10 step %c2 iter_args(%[[S:.*]] = %{{.*}}) -> (vector<16xi32>)
// CHECK: %[[W:.*]] = vector.load
// CHECK: %[[X:.*]] = vector.broadcast
// CHECK-NEXT: %[[W4:.*]] = vector.bitcast %[[W]] : vector<16xi32> to vector<64xi8>
// CHECK-NEXT: %[[X4:.*]] = vector.bitcast %[[X]] : vector<16xi32> to vector<64xi8>
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[S]], %[[W4]], %[[X4]])
// CHECK: scf.yield
// CHECK: %[[ALL:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-NEXT: %[[TOO:.*]] = arith.muli %[[ALL]], %[[OFF]]
// CHECK-NEXT: arith.addi %[[SUM]], %[[TOO]]
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 40> {layout = "quads"} : tensor<8x40xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 40> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "vnni" (%x0 = %x : !x, %a0 = %a : tensor<8x40xi8>, %s0 = %s : tensor<8x1xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x40xi8>, tensor<8x1xf32>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x40xf32>
!y = tensor<?x?x8xf32>

// int4: a word has k from two places 16 apart, the low and the high halves of its bytes; integers stand for themselves plus 8, so each
// group begins with -8 times the sum of x's in it, which its row carries, and its sum is scaled as it is added. Sums of two groups are
// made together. The second group has 8 k, none of them in a high half.
// CHECK-LABEL: func.func @groups
// CHECK-SAME: %[[A:[a-z0-9]+]]: memref<1x8x16xi32>, %[[S:[a-z0-9]+]]: memref<1x2x16xf16>,
// CHECK-DAG: %[[HALF:.*]] = arith.constant dense<252645135> : vector<16xi32>
// CHECK-DAG: %[[FOUR:.*]] = arith.constant dense<4> : vector<64xi8>
// CHECK-DAG: %[[OFF:.*]] = arith.constant -8 : i32
// CHECK-COUNT-5: vector.shuffle
// CHECK: %[[SUM:.*]] = vector.extract %{{.*}}[0] : i32
// CHECK-NEXT: %[[GROUP:.*]] = arith.addi %[[SUM]],
// CHECK-NEXT: arith.muli %[[GROUP]], %[[OFF]]
// CHECK: vector.extract %{{.*}}[8] : i32
// CHECK: %[[BEGIN:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK: %[[W:.*]] = vector.load %[[A]][%{{.*}}, %c0, %c0]
// CHECK-NEXT: arith.andi %[[W]], %[[HALF]]
// CHECK: %[[R0:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[BEGIN]],
// CHECK-NEXT: %[[PAIRS:.*]] = vector.bitcast %[[W]]
// CHECK-NEXT: arith.shrui %[[PAIRS]], %[[FOUR]]
// CHECK: %[[R1:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[R0]],
// CHECK-COUNT-6: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: vector.load %[[S]][%{{.*}}, %c0, %c0]
// CHECK: %[[SCALE:.*]] = arith.extf
// CHECK-NEXT: %[[SUM:.*]] = arith.sitofp
// CHECK-NEXT: %[[TOTAL:.*]] = vector.fma %[[SUM]], %[[SCALE]],
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK-NOT: llvm.call_intrinsic
// CHECK: vector.load %[[S]][%{{.*}}, %c1, %c0]
// CHECK: %[[ALL:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[TOTAL]]
// CHECK: arith.mulf %[[ALL]],
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 40> {layout = "nibbles"} : tensor<8x40xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 40> {layout = "scales"} : tensor<8x2xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "groups" (%x0 = %x : !x, %a0 = %a : tensor<8x40xi4>, %s0 = %s : tensor<8x2xf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x40xi4>, tensor<8x2xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x20xf32>
!y = tensor<?x?x8xf32>

// A matrix of one group has a vector of scales. Without int8 its integers are widened: k 0 to 3, 16 to 19, 4 to 7, ...
// CHECK-LABEL: func.func @one_group
// CHECK-SAME: %[[A:[a-z0-9]+]]: memref<1x4x16xi32>, %[[S:[a-z0-9]+]]: memref<16xf16>,
// CHECK-DAG: %[[TOP:.*]] = arith.constant dense<28> : vector<16xi32>
// CHECK: vector.load %[[A]][%{{.*}}, %c0, %c0]
// CHECK: arith.shrsi %{{.*}}, %[[TOP]]
// CHECK: memref.load %{{.*}}[%{{.*}}, %c0]
// CHECK: %[[R:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[ZERO:.*]] : vector<16xf32>
// CHECK: vector.fma %{{.*}}, %{{.*}}, %[[R]]
// CHECK: memref.load %{{.*}}[%{{.*}}, %c3]
// CHECK: memref.load %{{.*}}[%{{.*}}, %c16]
// CHECK: memref.load %{{.*}}[%{{.*}}, %c19]
// CHECK: memref.load %{{.*}}[%{{.*}}, %c4]
// CHECK-COUNT-12: vector.fma
// CHECK-NOT: vector.fma
// CHECK: vector.load %[[S]][%{{.*}}] : memref<16xf16>, vector<16xf16>
// CHECK: %[[SCALE:.*]] = arith.extf
// CHECK: vector.fma %{{.*}}, %[[SCALE]], %[[ZERO]]
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 20> {layout = "nibbles"} : tensor<8x20xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 20> {layout = "scales"} : tensor<8x1xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "one_group" (%x0 = %x : !x, %a0 = %a : tensor<8x20xi4>, %s0 = %s : tensor<8x1xf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 : !x, tensor<8x20xi4>, tensor<8x1xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x20xf32>
!y = tensor<?x?x8xf32>

// The same with a table: lane i holds i - 8, and what stands above a place in its word needs no mask.
// CHECK-LABEL: func.func @looked_up
// CHECK-SAME: %[[A:[a-z0-9]+]]: memref<1x4x16xi32>
// CHECK-DAG: %[[TABLE:.*]] = arith.constant dense<[-8.000000e+00, -7.000000e+00, {{.*}}, 6.000000e+00, 7.000000e+00]> : vector<16xf32>
// CHECK: %[[W:.*]] = vector.load %[[A]][%{{.*}}, %c0, %c0]
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[TABLE]], %[[W]])
// CHECK: %[[NEXT:.*]] = arith.shrui %[[W]]
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[TABLE]], %[[NEXT]])
// CHECK-NOT: arith.shrsi
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 20> {layout = "nibbles"} : tensor<8x20xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 20> {layout = "scales"} : tensor<8x1xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "looked_up" (%x0 = %x : !x, %a0 = %a : tensor<8x20xi4>, %s0 = %s : tensor<8x1xf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = table> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 : !x, tensor<8x20xi4>, tensor<8x1xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!b = tensor<?x?x64xbf16>
!x = tensor<?x?x64xf32>
!y = tensor<?x?x40xf32>

// Tile registers: whole blocks of 32 rows by 2 panels, then of 16 rows and of 8, each with sums that go to scratch and from there through
// the rest of the body. A sum is cut in pieces, and between them four rows of the block before go through the rest: one turn more than there
// are blocks, the first without a block before it, the last without one to sum. Beside four sums each row and panel of a step has a register,
// which is loaded for the next step behind the last product that takes it, and rows, 16 of which lie as a register takes them, pass the first cache by, which is left to the panels; eight rows have registers of another shape. Two blocks fetch the next panels together, half of each tile's lines each; a block of 8 rows fetches all. What is
// left comes after: the remaining panels of those rows, then the remaining rows.
// CHECK-LABEL: func.func @matrix
// CHECK-SAME: (%{{[a-z0-9]+}}: memref<?x64xf32>, %[[A:[a-z0-9]+]]: memref<3x32x16xi32>, %[[Y:[a-z0-9]+]]: memref<?x48xf32>,
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>, %[[ROWBEGIN:[a-z0-9]+]]: index, %[[ROWEND:[a-z0-9]+]]: index, %[[PANELBEGIN:[a-z0-9]+]]: index, %[[PANELEND:[a-z0-9]+]]: index)
// CHECK: avx512bf16.cvtneps2bf16.512
// CHECK: %[[REST:.*]] = arith.remui %{{.*}}, %c2
// CHECK: %[[PANELS:.*]] = arith.subi %[[PANELEND]], %[[REST]]
// CHECK: %[[REST:.*]] = arith.remui %{{.*}}, %c32
// CHECK: %[[ROWS:.*]] = arith.subi %[[ROWEND]], %[[REST]]
// CHECK: %[[SOME:.*]] = arith.cmpi ugt, %[[ROWS]], %[[ROWBEGIN]]
// CHECK-NEXT: scf.if %[[SOME]] {
// CHECK: llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK: %[[ROWBLOCKS:.*]] = arith.divui %{{.*}}, %c32
// CHECK: %[[PANELBLOCKS:.*]] = arith.divui %{{.*}}, %c2
// CHECK: %[[BLOCKS:.*]] = arith.muli %[[ROWBLOCKS]], %[[PANELBLOCKS]]
// CHECK: %[[TURNS:.*]] = arith.addi %[[BLOCKS]], %c1
// CHECK: scf.for %[[TURN:.*]] = %c0 to %[[TURNS]] step %c1
// CHECK: %[[SUMS:.*]] = arith.cmpi ult, %[[TURN]], %[[BLOCKS]]
// CHECK-NEXT: scf.if %[[SUMS]]
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tilezero"
// CHECK: "llvm.x86.tileloaddt164"(%c5_i8, %{{.*}}, %c64_i64)
// CHECK: "llvm.x86.tileloaddt164"(%c4_i8, %{{.*}}, %c64_i64)
// CHECK: "llvm.x86.tileloadd64"(%c7_i8, %{{.*}}, %c64_i64)
// CHECK: "llvm.x86.tileloadd64"(%c6_i8, %{{.*}}, %c64_i64)
// CHECK: scf.for %[[PIECE:.*]] = %c0 to %c8 step %c1
// CHECK-NEXT: scf.if %[[SUMS]]
// CHECK-NEXT: %[[STEPS:.*]] = arith.muli %[[PIECE]], %c2
// CHECK-NEXT: %[[FROM:.*]] = arith.divui %[[STEPS]], %c8
// CHECK-NEXT: %[[MORE:.*]] = arith.addi %[[STEPS]], %c2
// CHECK-NEXT: %[[TO:.*]] = arith.divui %[[MORE]], %c8
// CHECK-NEXT: scf.for %{{.*}} = %[[FROM]] to %[[TO]] step %c1
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c0_i8, %c5_i8, %c7_i8)
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c1_i8, %c4_i8, %c7_i8)
// CHECK: "llvm.x86.tileloadd64"(%c7_i8, %{{.*}}, %c64_i64)
// CHECK-COUNT-8: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: "llvm.x86.tdpbf16ps"(%c2_i8, %c5_i8, %c6_i8)
// CHECK: "llvm.x86.tileloaddt164"(%c5_i8, %{{.*}}, %c64_i64)
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c3_i8, %c4_i8, %c6_i8)
// CHECK: "llvm.x86.tileloaddt164"(%c4_i8, %{{.*}}, %c64_i64)
// CHECK: "llvm.x86.tileloadd64"(%c6_i8, %{{.*}}, %c64_i64)
// CHECK-COUNT-8: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: %[[BEFORE:.*]] = arith.cmpi ugt, %[[TURN]], %c0
// CHECK-NEXT: scf.if %[[BEFORE]]
// CHECK-COUNT-8: vector.load %[[SCRATCH]]
// CHECK-COUNT-8: math.absf
// CHECK-COUNT-8: vector.store %{{.*}}, %[[Y]]{{.*}} {alignment = 64 : i64, nontemporal = true}
// CHECK: scf.if %[[SUMS]]
// CHECK-COUNT-4: "llvm.x86.tilestored64"
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
// CHECK: %[[REST:.*]] = arith.remui %{{.*}}, %c16
// CHECK-NEXT: %[[MORE:.*]] = arith.subi %[[ROWEND]], %[[REST]]
// CHECK: arith.subi %[[MORE]], %[[ROWS]]
// CHECK-COUNT-2: "llvm.x86.tilestored64"
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
// CHECK: %[[REST:.*]] = arith.remui %{{.*}}, %c8
// CHECK-NEXT: %[[LAST:.*]] = arith.subi %[[ROWEND]], %[[REST]]
// CHECK: arith.subi %[[LAST]], %[[MORE]]
// CHECK: "llvm.x86.tileloadd64"(%c7_i8, %{{.*}}, %c64_i64)
// CHECK-COUNT-16: llvm.intr.prefetch
// CHECK: "llvm.x86.tdpbf16ps"
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
// CHECK: scf.for %[[SECOND:.*]] = %c0 to %c2 step %c1
// CHECK-NEXT: %[[FIRST:.*]] = arith.cmpi eq, %[[SECOND]], %c0
// CHECK-NEXT: arith.select %[[FIRST]], %[[ROWBEGIN]], %[[LAST]]
// CHECK-NEXT: arith.select %[[FIRST]], %[[LAST]], %[[ROWEND]]
// CHECK-NEXT: %[[FROM:.*]] = arith.select %[[FIRST]], %[[PANELS]], %[[PANELBEGIN]]
// CHECK-NEXT: scf.for %{{.*}} = %[[FROM]] to %[[PANELEND]]
// CHECK: vector.fma
// CHECK: math.absf
// CHECK: return
// Rows of 32 words, the registers' configuration and four tiles of sums.
// CHECK: sm1.dispatch @matrix({{.*}}) panels 3 scratch 12352 schedule
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<40x64xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "matrix" (%x0 = %x : !x, %a0 = %a : tensor<40x64xbf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 64, panel_split = 2, matrix_rows = 32, matrix_panels = 2> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<40x64xbf16>
      %e = math.absf %p : !y
      sm1.yield %e : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!b = tensor<?x?x64xbf16>
!x = tensor<?x?x64xf32>
!y = tensor<?x?x32xf32>

// Six sums leave one register for rows and one for panels: rows are walked there and back, so that the panel of the turn is loaded once.
// CHECK-LABEL: func.func @six
// CHECK: "llvm.x86.tileloadd64"(%c6_i8,
// CHECK: "llvm.x86.tileloadd64"(%c7_i8,
// CHECK: "llvm.x86.tdpbf16ps"(%c0_i8, %c6_i8, %c7_i8)
// CHECK: "llvm.x86.tileloadd64"(%c7_i8,
// CHECK: "llvm.x86.tdpbf16ps"(%c3_i8, %c6_i8, %c7_i8)
// CHECK: "llvm.x86.tileloadd64"(%c6_i8,
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c4_i8, %c6_i8, %c7_i8)
// CHECK-NEXT: "llvm.x86.tileloadd64"(%c7_i8,
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c1_i8, %c6_i8, %c7_i8)
// CHECK: "llvm.x86.tileloadd64"(%c6_i8,
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c2_i8, %c6_i8, %c7_i8)
// CHECK-NEXT: "llvm.x86.tileloadd64"(%c7_i8,
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c5_i8, %c6_i8, %c7_i8)
// CHECK: return
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<32x64xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "six" (%x0 = %x : !x, %a0 = %a : tensor<32x64xbf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 96, panel_split = 2, matrix_rows = 48, matrix_panels = 2> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<32x64xbf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!b = tensor<?x?x768xbf16>
!x = tensor<?x?x768xf32>
!y = tensor<?x?x32xf32>

// Two panels of 768 k are more than the first cache keeps: 384 of them for all rows of a band, then the others, whose sums go on from
// scratch. Rows are copied into the order of the registers before, and what follows the sums writes whole lines around the caches.
// CHECK-LABEL: func.func @deep
// CHECK: ldtilecfg
// CHECK: tileloadd64
// CHECK: tilestored64
// CHECK-COUNT-2: tileloaddt164
// CHECK-COUNT-2: tileloadd64
// CHECK-COUNT-4: tilezero
// CHECK-COUNT-4: tileloadd64
// CHECK: tdpbf16ps{{.*}} {step_of_sum = 0 : i64}
// CHECK: tdpbf16ps{{.*}} {step_of_sum = 1 : i64}
// CHECK: tileloadd64
// CHECK: tdpbf16ps{{.*}} {step_of_sum = 2 : i64}
// CHECK: tileloaddt164
// CHECK-NEXT: tdpbf16ps{{.*}} {step_of_sum = 3 : i64}
// CHECK-NOT: tdpbf16ps
// CHECK: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true}
// CHECK: tilestored64
// CHECK: sfence
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.tilerelease"
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<32x768xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "deep" (%x0 = %x : !x, %a0 = %a : tensor<32x768xbf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 64, panel_split = 2, matrix_rows = 32, matrix_panels = 2> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<32x768xbf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x320xf32>
!y = tensor<?x?x32xf32>

// int4: the first block of rows unpacks weights by one instruction for each half; the integers of a pair of groups go through
// scratch, where they are scaled and added three turns after they were multiplied. Fewer than 16 rows are left to dot products.
// CHECK-LABEL: func.func @int4_tiles
// CHECK: ldtilecfg
// CHECK: scf.if
// CHECK-COUNT-16: vgf2p8affineqb.512
// CHECK: scf.for %[[TURN:.*]] = %c3 to %c5 step %c1 iter_args
// CHECK: tilestored64"(%c0_i8, {{.*}} {step_of_sum = 0 : i64}
// CHECK: tilezero"(%c0_i8) {step_of_sum = 1 : i64}
// CHECK: tdpbssd"(%c0_i8, %c2_i8, %c4_i8) {step_of_sum = 1 : i64}
// CHECK: tilestored64"(%c1_i8, {{.*}} {step_of_sum = 2 : i64}
// CHECK: tdpbssd"(%c1_i8, %c3_i8, %c5_i8) {step_of_sum = 3 : i64}
// CHECK: arith.subi %[[TURN]], %c3
// CHECK-COUNT-32: arith.sitofp
// CHECK: scf.yield
// CHECK-COUNT-2: tilestored64
// CHECK-COUNT-96: arith.sitofp
// CHECK-NOT: ldtilecfg
// CHECK: vpdpbusd
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 320> {layout = "nibbles"} : tensor<32x320xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 320> {layout = "scales"} : tensor<32x10xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "int4_tiles" (%x0 = %x : !x, %a0 = %a : tensor<32x320xi4>, %s0 = %s : tensor<32x10xf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 64, panel_split = 2, products = dot, matrix_rows = 16, matrix_panels = 2> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<32x320xi4>, tensor<32x10xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}
