// Schedules for the blocks of a GPU: what is printed is read again, and what makes no sense is refused.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics | sm1-opt -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: sm1.model @forms
// CHECK: sm1.kernel "a" {{.*}} blocks<rows, threads = 32, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
// CHECK: sm1.kernel "b" {{.*}} rows selected blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> ->
// CHECK: sm1.kernel "c" {{.*}} blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> ->
// CHECK: sm1.kernel "d" {{.*}} blocks<step, threads = 1024, row_tile = 4, row_split = 16, panel_split = 1, stages = 1> ->
// CHECK: sm1.kernel "e" {{.*}} blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 8, stages = 4> ->
// CHECK: sm1.dispatch @f(%x) panels 1 scratch 128 blocks <tensor_step, threads = 128, row_tile = 8, row_split = 32, panel_split = 1, stages = 1> :
// CHECK: sm1.dispatch @f(%x) panels 1 scratch 128 blocks <wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 1, stages = 4> mapped 0 :
!s = tensor<?x?x8xf32>
func.func private @f()
sm1.model @forms(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 32, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  %b = sm1.kernel "b" (%v = %a : !s) rows selected blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  %c = sm1.kernel "c" (%v = %b : !s) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  %d = sm1.kernel "d" (%v = %c : !s) blocks<step, threads = 1024, row_tile = 4, row_split = 16, panel_split = 1, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  %e = sm1.kernel "e" (%v = %d : !s) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 8, stages = 4> -> !s {
    sm1.yield %v : !s
  }
  %r = sm1.launch sync(none) -> !s {
    %f = sm1.dispatch @f(%x) panels 1 scratch 128 blocks <tensor_step, threads = 128, row_tile = 8, row_split = 32, panel_split = 1, stages = 1> : (!s) -> !s
    %g = sm1.dispatch @f(%x) panels 1 scratch 128 blocks <wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 1, stages = 4> mapped 0 : (!s) -> !s
    sm1.yield %f : !s
  }
  sm1.return %e : !s
}
