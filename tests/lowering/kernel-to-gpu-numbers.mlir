// Schedules whose numbers do not fit their form: each by the rule.
// RUN: sm1-opt %s -sm1-kernel-to-gpu=target=sm_120 -split-input-file -verify-diagnostics

!s = tensor<?x?x8xf32>
!w = tensor<8x8xf32>
sm1.model @rows_of_some_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split = 2, must be exactly 0}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 2, stages = 1> -> !s {
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
sm1.model @two_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_split = 2, must be exactly 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 64, row_tile = 4, row_split = 2, panel_split = 0, stages = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x8xf32>
sm1.model @band_of_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile may be 1 and row_split more where there is one norm}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<rows, threads = 64, row_tile = 1, row_split = 2, panel_split = 0, stages = 1> -> !s {
      %y = math.exp %x0 : !s
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x128xf32>
sm1.model @band_of_three(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<128xf32>
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_split of rows in bands must be 2, 4, 8, 16 or 32}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %n0 = %n : tensor<128xf32>) blocks<rows, threads = 32, row_tile = 1, row_split = 3, panel_split = 0, stages = 1> -> !s {
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
sm1.model @scan_of_two_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split = 2, must be exactly 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 2, stages = 1> -> !s {
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
sm1.model @scan_of_two_segments(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_split = 2, must be exactly 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 64, row_split = 2, panel_split = 1, stages = 1> -> !s {
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
sm1.model @scan_of_few_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads of a scan must be 4 row_tile, or row_tile panel_split / 2 with row_tile a multiple of 64}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 32, row_split = 1, panel_split = 1, stages = 1> -> !s {
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
sm1.model @chunks_of_odd_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split of a scan must divide the panels}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 256, row_split = 1, panel_split = 2, stages = 1> -> !s {
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
sm1.model @chunks_of_f32_in_shared_memory(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: stages of a scan must be 1, or 2 where all streams have 16 bits}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 256, row_tile = 512, row_split = 1, panel_split = 1, stages = 2> -> !s {
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
sm1.model @chunks_of_few_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads of a scan must be 4 row_tile, or row_tile panel_split / 2 with row_tile a multiple of 64}}
    %q = sm1.kernel "k" (%x0 = %x : !s) blocks<scan, threads = 32, row_tile = 32, row_split = 1, panel_split = 1, stages = 1> -> !s {
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
sm1.model @tiles_of_three_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile must be 1, 2 or 4 and divide row_split, and panel_split at least 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tiles, threads = 256, row_tile = 3, row_split = 63, panel_split = 4, stages = 1> -> !s {
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
sm1.model @tiles_uncovered(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads = 128, must be 4 panel_split row_split / row_tile = 256}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tiles, threads = 128, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> -> !s {
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
sm1.model @step_of_two_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split = 2, must be exactly 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<step, threads = 64, row_tile = 4, row_split = 16, panel_split = 2, stages = 1> -> !s {
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
sm1.model @step_of_few_threads(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads = 32, must be at least 64}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<step, threads = 32, row_tile = 4, row_split = 16, panel_split = 1, stages = 1> -> !s {
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
sm1.model @tensor_tiles_of_one_stage(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile must be a multiple of 16, panel_split at least 1 and stages at least 2}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 4, stages = 1> -> !s {
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
sm1.model @tensor_tiles_uncovered(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile must divide row_split, and warps for each of its parts and of depth_split must divide panel_split}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 64, panel_split = 6, stages = 2> -> !s {
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
sm1.model @tensor_step_of_two_panels(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split = 2, must be exactly 1}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_step, threads = 128, row_tile = 8, row_split = 32, panel_split = 2, stages = 1> -> !s {
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
sm1.model @tensor_step_of_few_threads(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads = 96, must be at least 128}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_step, threads = 96, row_tile = 8, row_split = 32, panel_split = 1, stages = 1> -> !s {
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
sm1.model @tensor_step_of_many_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" {layout = "panels"} : !w
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile = 16, must be at most 8}}
    %q = sm1.kernel "k" (%x0 = %x : !s, %w0 = %w : !w) blocks<tensor_step, threads = 128, row_tile = 16, row_split = 32, panel_split = 1, stages = 1> -> !s {
      %y = sm1.linear %x0, %w0 : !s, !w
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}
