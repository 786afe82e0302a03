// RUN: sm1-opt %s -split-input-file -verify-diagnostics

!s = tensor<?x?x8xf32>
sm1.model @few_threads(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{threads must be a multiple of 32 from 32 to 1024, got 16}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 16, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @odd_threads(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{threads must be a multiple of 32 from 32 to 1024, got 100}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 100, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @many_threads(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{threads must be a multiple of 32 from 32 to 1024, got 1056}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 1056, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @no_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{row_tile, row_split and stages must be at least 1 and panel_split not negative, got 1, 0, 1, 0}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 32, row_tile = 1, row_split = 0, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @negative_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{row_tile, row_split and stages must be at least 1 and panel_split not negative, got 1, 1, 1, -1}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<rows, threads = 32, row_tile = 1, row_split = 1, panel_split = -1, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @two_schedules(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{kernel_c3: has a schedule for a CPU and one for a GPU; a kernel has one}}
  %a = sm1.kernel "a" (%v = %x : !s) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1>
      blocks<rows, threads = 32, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @unscheduled_dispatch(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{dispatch_c3: needs one schedule, got none}}
    %f = sm1.dispatch @f(%x) panels 1 scratch 128 : (!s) -> !s
    sm1.yield %f : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @unknown_form(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+2 {{failed to parse Sm1_BlockScheduleAttr parameter 'form'}}
  // expected-error @+1 {{expected one of [rows, scan, tiles, step, tensor_tiles, tensor_step, wgmma_tiles] for how the threads of a block share a kernel's work, got: warps}}
  %a = sm1.kernel "a" (%v = %x : !s) blocks<warps, threads = 32, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
    sm1.yield %v : !s
  }
  sm1.return %a : !s
}
