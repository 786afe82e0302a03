// RUN: sm1-opt %s -sm1-kernel-to-gpu=target=sm_120 -canonicalize -cse -split-input-file | FileCheck %s

// Form rows: a block to a row. Values go to shared memory with zeros for the padding; a warp's 16 lanes each sum every 16th square, added
// pairwise in halves as on a CPU; then every thread scales its channels. A barrier on each side of the sums.
// CHECK-LABEL: func.func @norm
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32, 1>, %[[N:[a-z0-9]+]]: memref<32xf32, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: %[[VALUES:.*]] = memref.view %{{.*}} to memref<1x32xf32, 3>
// CHECK: %[[INVERSE:.*]] = memref.view %{{.*}} to memref<1xf32, 3>
// CHECK: scf.for
// CHECK: %[[V:.*]] = vector.load %[[X]]
// CHECK: %[[LEFT:.*]] = arith.subi %c20,
// CHECK: %[[MASK:.*]] = vector.create_mask %[[LEFT]]
// CHECK: %[[CUT:.*]] = arith.select %[[MASK]], %[[V]], %{{.*}}
// CHECK: vector.store %[[CUT]], %[[VALUES]]
// CHECK: nvvm.barrier
// CHECK: scf.if
// CHECK: %[[E:.*]] = memref.load %[[VALUES]]
// CHECK: %[[F:.*]] = memref.load %[[VALUES]]
// CHECK: %[[SUM:.*]] = math.fma %[[E]], %[[E]], %{{.*}}
// CHECK-NEXT: math.fma %[[F]], %[[F]], %[[SUM]]
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c8_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c4_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c2_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c1_i32
// CHECK: arith.divf
// CHECK: math.sqrt
// CHECK: scf.if
// CHECK-NEXT: memref.store %{{.*}}, %[[INVERSE]]
// CHECK: nvvm.barrier
// CHECK: scf.for
// CHECK: vector.load %[[VALUES]]
// CHECK: memref.load %[[INVERSE]]
// CHECK: vector.load %[[N]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK-NOT: nvvm.barrier
// CHECK: sm1.dispatch @norm(%x, %n) panels 2 scratch 132 blocks <rows,
!s = tensor<?x?x20xf32>
sm1.model @model_of_norm(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<20xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<20xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      sm1.yield %0 : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

// Form scan: a block to 16 channels of a segment. Decay and input of 64 rows go to shared memory, 16 threads walk the rows in order, one
// fused multiply-add each, eight rows' operands read ahead; everybody stores h. Rows past the segment's end are neither walked nor stored.
// CHECK-LABEL: func.func @recurrence
// CHECK-SAME: (%[[A:[a-z0-9]+]]: memref<?x32xf32, 1>, %[[B:[a-z0-9]+]]: memref<?x32xf32, 1>, %[[H0:[a-z0-9]+]]: memref<?x32xf32, 1>, %[[H:[a-z0-9]+]]: memref<?x32xf32, 1>, %[[LAST:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: %[[SEGMENT32:.*]] = nvvm.read.ptx.sreg.ctaid.x
// CHECK: %[[SEGMENT:.*]] = arith.index_castui %[[SEGMENT32]]
// CHECK: %[[DECAYS:.*]] = memref.view %{{.*}} to memref<64x16xf32, 3>
// CHECK: %[[INPUTS:.*]] = memref.view %{{.*}} to memref<64x16xf32, 3>
// CHECK: %[[I:.*]] = memref.load %[[START]][%[[SEGMENT]]]
// CHECK: %[[BEGIN:.*]] = arith.index_cast %[[I]]
// CHECK: %[[I:.*]] = memref.load %[[START]]
// CHECK: %[[END:.*]] = arith.index_cast %[[I]]
// CHECK: %[[WALKS:.*]] = arith.cmpi slt, %{{.*}}, %c16
// CHECK: %[[INIT:.*]] = memref.load %[[H0]][%[[SEGMENT]],
// CHECK: scf.for %[[ROW:.*]] = %[[BEGIN]] to %[[END]] step %c64 iter_args(%[[CARRIED:[a-z0-9]+]] = %[[INIT]]
// CHECK: vector.store %{{.*}}, %[[DECAYS]]
// CHECK: vector.store %{{.*}}, %[[INPUTS]]
// CHECK: nvvm.barrier
// CHECK: %[[LEFT:.*]] = arith.subi %[[END]], %[[ROW]]
// CHECK: %[[ROWS:.*]] = arith.minsi %[[LEFT]], %c64
// CHECK: %[[OWN:.*]] = arith.select %[[WALKS]], %[[ROWS]], %c0
// CHECK: %[[EIGHTS:.*]] = scf.for %{{.*}} step %c8 iter_args(%[[S:[a-z0-9]+]] = %[[CARRIED]])
// CHECK-COUNT-16: memref.load
// CHECK: %[[S1:.*]] = math.fma %{{.*}}, %[[S]], %{{.*}}
// CHECK-NEXT: %[[S2:.*]] = math.fma %{{.*}}, %[[S1]], %{{.*}}
// CHECK-COUNT-6: math.fma
// CHECK-COUNT-8: memref.store %{{.*}}, %[[INPUTS]]
// CHECK: scf.for %{{.*}} to %[[OWN]] step %c1 iter_args(%{{.*}} = %[[EIGHTS]])
// CHECK: nvvm.barrier
// CHECK: vector.load %[[INPUTS]]
// CHECK: %[[INSIDE:.*]] = arith.cmpi slt, %{{.*}}, %[[END]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: vector.store %{{.*}}, %[[H]]
// CHECK: scf.if %[[WALKS]]
// CHECK-NEXT: memref.store %{{.*}}, %[[LAST]][%[[SEGMENT]],
// CHECK: sm1.dispatch @recurrence({{.*}}) panels 2 scratch 8192 blocks <scan,
!s = tensor<?x?x20xf32>
sm1.model @model_of_scan(%a: !s {sm1.name = "a"}, %b: !s {sm1.name = "b"}, %h0: tensor<?x20xf32> {sm1.state = "h"}) -> (!s {sm1.name = "y"}, tensor<?x20xf32> {sm1.state = "h"}) {
  %r, %l = sm1.launch sync(none) -> !s, tensor<?x20xf32> {
    %h, %last = sm1.kernel "recurrence" (%a0 = %a : !s, %b0 = %b : !s, %i0 = %h0 : tensor<?x20xf32>)
        blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> (!s, tensor<?x20xf32>) {
      %0, %1 = sm1.scan %a0, %b0 init %i0 : !s
      sm1.yield %0, %1 : !s, tensor<?x20xf32>
    }
    sm1.yield %h, %last : !s, tensor<?x20xf32>
  }
  sm1.return %r, %l : !s, tensor<?x20xf32>
}

// -----

// Rows in bands: each half of the lanes goes on with half of the four rows' sums of squares. The last band begins four rows before the end,
// and stores those that the band before it does not.
// CHECK-LABEL: func.func @band
// CHECK: arith.muli
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: arith.maxsi %[[LAST]]
// CHECK: arith.minsi
// CHECK-COUNT-2: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c16_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c8_i32
// CHECK-NEXT: arith.addf
// CHECK-NEXT: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c4_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c2_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c1_i32
// CHECK-NOT: nvvm.shfl.sync
// CHECK: nvvm.barrier
// CHECK-COUNT-4: "@$1 st.global.v2.b64
// CHECK: } else {
!s = tensor<?x?x128xf32>
sm1.model @model_of_band(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<128xf32>
  %r = sm1.launch sync(none) -> !s {
    %q = sm1.kernel "band" (%x0 = %x : !s, %n0 = %n : tensor<128xf32>) blocks<rows, threads = 32, row_tile = 1, row_split = 4, panel_split = 0, stages = 1> -> !s {
      %y = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

// A scan that is cut in time: a block to 64 rows of a segment, eight of them and four channels to a thread, which scans them from zero. Two
// panels' threads a channel put their products and sums together, and wait for the word that says the chunk's number; the state goes on in
// the same word, or zero behind the last chunk. From there one multiply-add makes each product of h. Where launches overlap the block waits
// for earlier kernels before it reads, and for its turn if it starts with them. The word is asked for before the threads meet, and
// after that again and again. Twice: chunks with an end ask each row whether it is there.
// CHECK-LABEL: func.func @chunks
// CHECK-SAME: %[[WORDS:[a-z0-9]+]]: memref<?xi64, 1>) {
// CHECK: %[[CHUNK32:.*]] = nvvm.read.ptx.sreg.ctaid.z
// CHECK: %[[CHUNK:.*]] = arith.index_castui %[[CHUNK32]]
// CHECK: memref.view %{{.*}} to memref<8x32xf32, 3>
// CHECK: memref.view %{{.*}} to memref<8x32xf32, 3>
// CHECK: memref.view %{{.*}} to memref<32xf32, 3>
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;", "~{memory}"
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}"
// CHECK: llvm.inline_asm has_side_effects "mov.u32 $0, %nctaid.z;"
// CHECK: llvm.inline_asm has_side_effects "mov.u32 $0, %nsmid;"
// CHECK: scf.if
// CHECK: llvm.inline_asm has_side_effects "mov.u32 $0, %clock;"
// CHECK: scf.while
// CHECK: scf.if
// CHECK-COUNT-24: vector.load
// CHECK-NOT: arith.select
// CHECK: vector.store
// CHECK: vector.store
// CHECK: scf.if %{{.*}} -> (i64
// CHECK: scf.if %{{.*}} -> (i64)
// CHECK: llvm.load %{{.*}} atomic syncscope("device") monotonic
// CHECK: nvvm.barrier
// CHECK: scf.if
// CHECK-COUNT-16: memref.load
// CHECK: scf.while (%[[WORD:.*]] = %{{.*}})
// CHECK: %[[TAG:.*]] = arith.trunci %[[WORD]] : i64 to i32
// CHECK: %[[OTHER:.*]] = arith.cmpi ne, %[[TAG]], %[[CHUNK32]]
// CHECK: scf.condition(%[[OTHER]]) %[[WORD]] : i64
// CHECK: llvm.load %{{.*}} atomic syncscope("device") monotonic
// CHECK: arith.shrui %{{.*}}, %c32_i64
// CHECK: llvm.store %{{.*}} atomic syncscope("device") monotonic
// CHECK: nvvm.barrier
// CHECK: math.fma
// CHECK: math.fma
// CHECK-NEXT: arith.truncf
// CHECK-COUNT-8: vector.store
// CHECK: } else {
// CHECK: arith.select
// CHECK: nvvm.barrier
// CHECK: sm1.dispatch @chunks({{.*}}) panels 2 scratch 2176 blocks <scan,
!s = tensor<?x?x20xf32>
!b = tensor<?x?x20xbf16>
sm1.model @model_of_scan_in_chunks(%a: !s {sm1.name = "a"}, %b: !s {sm1.name = "b"}, %c: !s {sm1.name = "c"}, %h0: tensor<?x20xf32> {sm1.state = "h"}) -> (!s {sm1.name = "y"}, tensor<?x20xf32> {sm1.state = "h"}) {
  %r, %l = sm1.launch sync(none) -> !s, tensor<?x20xf32> {
    %h, %last = sm1.kernel "chunks" (%a0 = %a : !s, %b0 = %b : !s, %c0 = %c : !s, %i0 = %h0 : tensor<?x20xf32>)
        blocks<scan, threads = 64, row_tile = 64, row_split = 1, panel_split = 2, stages = 1> -> (!s, tensor<?x20xf32>) {
      %0, %1 = sm1.scan %a0, %b0 init %i0 : !s
      %2 = arith.mulf %0, %c0 : !s
      %3 = arith.truncf %2 : !s to !b
      %4 = arith.extf %3 : !b to !s
      sm1.yield %4, %1 : !s, tensor<?x20xf32>
    }
    sm1.yield %h, %last : !s, tensor<?x20xf32>
  }
  sm1.return %r, %l : !s, tensor<?x20xf32>
}

// -----

// The grid counts segments first. Its blocks, here three for a row, count the panels of a row first, then segments.
// CHECK-LABEL: func.func @panels_first
// CHECK: %[[X32:.*]] = llvm.inline_asm has_side_effects "mov.u32 $0, %ctaid.x;"
// CHECK: %[[X:.*]] = arith.index_castui %[[X32]]
// CHECK: %[[BLOCKS32:.*]] = llvm.inline_asm has_side_effects "mov.u32 $0, %nctaid.x;"
// CHECK: %[[BLOCKS:.*]] = arith.index_castui %[[BLOCKS32]]
// CHECK: %[[Y32:.*]] = nvvm.read.ptx.sreg.ctaid.y
// CHECK: %[[Y:.*]] = arith.index_castui %[[Y32]]
// CHECK: %[[BEFORE:.*]] = arith.muli %[[Y]], %[[BLOCKS]]
// CHECK: %[[SUM:.*]] = arith.addi %[[BEFORE]], %[[X]]
// CHECK: %[[NUMBER:.*]] = arith.index_castui %[[SUM]] : index to i32
// CHECK: %[[SEGMENT32:.*]] = arith.divui %[[NUMBER]], %c3_i32
// CHECK: %[[SEGMENT:.*]] = arith.index_castui %[[SEGMENT32]]
// CHECK: arith.remui %[[NUMBER]], %c3_i32
// CHECK: memref.load %{{.*}}[%[[SEGMENT]]]
!s = tensor<?x?x40xf32>
sm1.model @model_of_panels_first(%a: !s {sm1.name = "a"}, %b: !s {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    %h = sm1.kernel "panels_first" (%a0 = %a : !s, %b0 = %b : !s) blocks<scan, threads = 32, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %0, %1 = sm1.scan %a0, %b0 : !s
      sm1.yield %0 : !s
    }
    sm1.yield %h : !s
  }
  sm1.return %r : !s
}

// -----

// Form tiles: 64 k at a time go through shared memory, rows transposed, bf16 weights widened; each block of 64 k is a chain of fused
// multiply-adds of its own, from zero, added to the total. Rows past the last are read as the last and not stored.
// CHECK-LABEL: func.func @tiles
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x112xf32, 1>, %[[A:[a-z0-9]+]]: memref<2x100x16xf32, 1>, %[[B:[a-z0-9]+]]: memref<2x100x16xbf16, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: %[[XS:.*]] = memref.view %{{.*}} to memref<64x68xf32, 3>
// CHECK: %[[AS:.*]] = memref.view %{{.*}} to memref<64x32xf32, 3>
// CHECK: %[[BS:.*]] = memref.view %{{.*}} to memref<64x32xf32, 3>
// CHECK: scf.for %[[K:.*]] = %c0 to %c100 step %c64 iter_args(%[[T0:[a-z0-9]+]] = %[[ZERO:[a-z0-9_]+]],
// CHECK: %[[LASTROW:.*]] = arith.subi %[[COUNT]], %c1
// CHECK: %[[FROM:.*]] = arith.minsi %{{.*}}, %[[LASTROW]]
// CHECK: vector.load %[[X]][%[[FROM]],
// CHECK-COUNT-4: memref.store %{{.*}}, %[[XS]]
// CHECK: arith.cmpi slt, %{{.*}}, %c100
// CHECK: vector.load %[[A]]
// CHECK: vector.store %{{.*}}, %[[AS]]
// CHECK: %[[NARROW:.*]] = vector.load %[[B]]
// CHECK: %[[WIDE:.*]] = arith.extf %[[NARROW]]
// CHECK: vector.store %[[WIDE]], %[[BS]]
// CHECK: nvvm.barrier
// CHECK: %[[LEFT:.*]] = arith.subi %c100, %[[K]]
// CHECK: %[[LENGTH:.*]] = arith.minsi %[[LEFT]], %c64
// CHECK: %[[SUMS:.*]]:4 = scf.for %[[I:.*]] = %c0 to %[[LENGTH]] step %c1 iter_args(%[[S0:.*]] = %[[ZERO]], %{{.*}} = %[[ZERO]], %{{.*}} = %[[ZERO]], %{{.*}} = %[[ZERO]])
// CHECK: %[[ROWS:.*]] = vector.load %[[XS]][%[[I]],
// CHECK: %[[W:.*]] = vector.load %[[AS]][%[[I]],
// CHECK: %[[R0:.*]] = vector.extract %[[ROWS]][0]
// CHECK: %[[R0S:.*]] = vector.broadcast %[[R0]]
// CHECK: math.fma %[[R0S]], %[[W]], %[[S0]]
// CHECK: nvvm.barrier
// CHECK: arith.addf %[[T0]], %[[SUMS]]#0
// CHECK-NOT: nvvm.barrier
// CHECK: arith.mulf
// CHECK: %[[INSIDE:.*]] = arith.cmpi slt, %{{.*}}, %[[COUNT]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: sm1.dispatch @tiles(%x, %a, %b) panels 2 scratch 33792 blocks <tiles,
!x = tensor<?x?x100xf32>
!s = tensor<?x?x20xf32>
sm1.model @model_of_tiles(%x: !x {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<20x100xf32>
  %b = sm1.param "b" {layout = "panels"} : tensor<20x100xbf16>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "tiles" (%x0 = %x : !x, %a0 = %a : tensor<20x100xf32>, %b0 = %b : tensor<20x100xbf16>)
        blocks<tiles, threads = 256, row_tile = 2, row_split = 64, panel_split = 2, stages = 1> -> !s {
      %p = sm1.linear %x0, %a0 : !x, tensor<20x100xf32>
      %q = sm1.linear %x0, %b0 : !x, tensor<20x100xbf16>
      %u = arith.mulf %p, %q : !s
      sm1.yield %u : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}
// -----

// Form tensor_tiles: `stages` steps of 32 k are under way as asynchronous copies, weights before earlier kernels have ended. Of a row's last vector only what is inside is copied, the
// rest is zero. While one tile of 16 k is multiplied the next is read; between steps a wait and a barrier, after which the stage that
// was read last is filled again. The last steps copy nothing more. Sums stay where they are: a thread stores what it has of two rows.
// CHECK-LABEL: func.func @tensor
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x112xbf16, 1>, %[[A:[a-z0-9]+]]: memref<2x8x32x8xbf16, 1>, %[[Y:[a-z0-9]+]]: memref<?x32xf32, 1>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32, 1>, %[[START:[a-z0-9]+]]: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi32, 1>, %{{[a-z0-9]+}}: memref<?xi8, 3>, %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: memref.view %{{.*}} to memref<24576xi8, 3>
// CHECK: memref.view %{{.*}} to memref<6144xi8, 3>
// CHECK: %[[LASTROW:.*]] = arith.subi %[[COUNT]], %c1
// CHECK: arith.minsi %{{.*}}, %[[LASTROW]]
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %c16_i32
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %c16_i32
// CHECK-NOT: nvvm.cp.async
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}"
// CHECK: %[[LEFT:.*]] = arith.subi %c100,
// CHECK: %[[MOST:.*]] = arith.minsi %{{.*}}, %c16
// CHECK: %[[BYTES:.*]] = arith.maxsi %[[MOST]], %c0
// CHECK: %[[BYTES32:.*]] = arith.index_cast %[[BYTES]] : index to i32
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %[[BYTES32]]
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier
// CHECK: nvvm.ldmatrix
// CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.mma.sync
// CHECK-SAME: layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync
// CHECK-NOT: nvvm.barrier
// CHECK: scf.yield
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier
// CHECK-NOT: nvvm.barrier
// CHECK: arith.cmpi slt, %{{.*}}, %[[COUNT]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: sm1.dispatch @tensor({{.*}}) panels 2 scratch 30720 blocks <tensor_tiles,
!h = tensor<?x?x100xbf16>
!s = tensor<?x?x20xf32>
sm1.model @model_of_tensor_tiles(%x: tensor<?x?x100xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
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
        blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 2, stages = 3> -> !s {
      %p = sm1.linear %h0, %a0 : !h, tensor<20x100xbf16>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

// Two pairs of warps share k: a step has 64 of it. Each warp leaves its sums in shared memory, and each pair of warps adds the parts of
// every second tile of rows, the first part first. A row that is not there is not read.
// CHECK-LABEL: func.func @shared_depth
// CHECK-SAME: %[[COUNT:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index
// CHECK: memref.view %{{.*}} to memref<8192xi8, 3>
// CHECK: memref.view %{{.*}} to memref<8192xi8, 3>
// CHECK: %[[THERE:.*]] = arith.cmpi slt, %{{.*}}, %[[COUNT]]
// CHECK: %[[BYTES:.*]] = arith.select %[[THERE]], %{{.*}}, %c0_i32
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %[[BYTES]]
// CHECK: nvvm.mma.sync
// CHECK: %[[PARTS:.*]] = memref.view %{{.*}} to memref<2x2x4x4x32xf32, 3>
// CHECK: nvvm.barrier
// CHECK: memref.store %{{.*}}, %[[PARTS]]
// CHECK: nvvm.barrier
// CHECK: scf.for %{{.*}} to %c4 step %c2
// CHECK: %[[FIRST:.*]] = memref.load %[[PARTS]][%c0,
// CHECK: %[[SECOND:.*]] = memref.load %[[PARTS]][%c1,
// CHECK: arith.addf %[[FIRST]], %[[SECOND]]
// CHECK: sm1.dispatch @shared_depth({{.*}}) panels 2 scratch 16384 blocks <tensor_tiles, {{.*}}depth_split = 2>
!h = tensor<?x?x100xbf16>
!s = tensor<?x?x20xf32>
sm1.model @model_of_shared_depth(%x: tensor<?x?x100xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "fragments"} : tensor<20x100xbf16>
  %r = sm1.launch sync(none) -> !h {
    %h = sm1.kernel "round" (%x0 = %x : tensor<?x?x100xf32>) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : tensor<?x?x100xf32> to !h
      sm1.yield %0 : !h
    }
    sm1.yield %h : !h
  }
  %s = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "shared_depth" (%h0 = %r : !h, %a0 = %a : tensor<20x100xbf16>)
        blocks<tensor_tiles, threads = 128, row_tile = 32, row_split = 32, panel_split = 2, stages = 2, depth_split = 2> -> !s {
      %p = sm1.linear %h0, %a0 : !h, tensor<20x100xbf16>
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
