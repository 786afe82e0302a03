// Kernels for which a GPU has no function: each by its reason.
// RUN: sm1-opt %s -sm1-kernel-to-gpu=target=sm_120 -split-input-file -verify-diagnostics
// RUN: not sm1-opt %s -sm1-kernel-to-gpu=target=sm_75 -split-input-file 2>&1 | FileCheck %s --check-prefix=OLD
// OLD: error: no GPU target called 'sm_75'

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @unscheduled(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has no launch and schedule for a GPU; run sm1-schedule-for-gpu first}}
    %q = sm1.kernel "k" (%x0 = %x : !s) -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @for_a_cpu(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has no launch and schedule for a GPU; run sm1-schedule-for-gpu first}}
    %q = sm1.kernel "k" (%x0 = %x : !s) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @outside_launch(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  // expected-error @+1 {{has no launch and schedule for a GPU; run sm1-schedule-for-gpu first}}
  %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 256, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
  }
  sm1.return %q : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @yields_input(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{yields what it reads}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 256, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      sm1.yield %x0 : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @norm_in_scan(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has a norm of its own values, which needs whole rows: the form must be rows}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %n0 = %n : tensor<8xf32>) blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %y = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @scan_in_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has a scan over time: the form must be scan, with one scan and no projection}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 256, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      %y, %last = sm1.scan %x0, %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @scan_in_tiles(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has a scan over time: the form must be scan, with one scan and no projection}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
      %p = sm1.linear %x0, %w0 : !s, !w
      %y, %last = sm1.scan %p, %p : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @two_scans(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has a scan over time: the form must be scan, with one scan and no projection}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %h, %last = sm1.scan %x0, %x0 : !s
      %y, %end = sm1.scan %h, %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @no_scan(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has no scan, the form must not be scan}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @projection_in_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has projections: the form must be tiles or step, plain or on tensor cores}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<rows, threads = 256, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      %y = sm1.linear %x0, %w0 : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @no_projection(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has no projections: the form must be rows or scan}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @prologue(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{computes what its projections multiply, for which the form must be step or tensor_step}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %n0 = %n : tensor<8xf32>, %w0 = %w : !w) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
      %u = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      %y = sm1.linear %u, %w0 : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @step_in_prefill(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has a form for one row per segment outside the entry step}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<step, threads = 256, row_tile = 4, row_split = 16, panel_split = 1, stages = 1> -> !s {
      %y = sm1.linear %x0, %w0 : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @floats_on_tensor_cores(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{multiplies on tensor cores, which takes projections of one x, bf16 by bf16}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 4, stages = 2> -> !s {
      %y = sm1.linear %x0, %w0 : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @computed_weight(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{sm1.linear reads from memory what the kernel computes itself; make it a parameter or a kernel of its own}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
      %n = arith.negf %w0 : !w
      %y = sm1.linear %x0, %n : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @constant(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{holds a constant of different values; make it a parameter}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 256, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !s {
      %c = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : tensor<8xf32>
      %d = sm1.broadcast %c : tensor<8xf32> to !s
      %y = arith.mulf %x0, %d : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
!h = tensor<?x?x8xbf16>
sm1.model @too_much_memory(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %v = sm1.param "v" {layout = "fragments"} : tensor<8x8xbf16>
  %h = sm1.launch sync(none) -> !h {
    %t = sm1.kernel "t" (%x0 = %x : !s) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> -> !h {
      %0 = arith.truncf %x0 : !s to !h
      sm1.yield %0 : !h
    }
    sm1.yield %t : !h
  }
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{bytes of shared memory, a block of sm_120 has 101376; a smaller row_tile or fewer stages need less}}
    %q = sm1.kernel "k" (%x0 = %h : !h, %v0 = %v : tensor<8x8xbf16>) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 8, stages = 9> -> !s {
      %y = sm1.linear %x0, %v0 : !h, tensor<8x8xbf16>
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}
