// Kernels for which there is no function: each by its reason.
// RUN: sm1-opt %s -sm1-kernel-to-cpu -split-input-file -verify-diagnostics

sm1.model @unscheduled(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has no schedule; run sm1-schedule-for-cpu first}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %y = math.exp %x0 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @outside_launch(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  // expected-error @+1 {{stands outside sm1.launch; run sm1-schedule-for-cpu first}}
  %r = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
    %y = math.exp %x0 : tensor<?x?x8xf32>
    sm1.yield %y : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @split_norm(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has a norm of its own values, which needs whole rows: no projection, no scan, panel_split = 0}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
      %y = sm1.rms_norm %x0, %n0 eps 1.0e-6 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @norm_and_projection(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %a = sm1.param "a" {layout = "panels"} : tensor<8x8xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has a norm of its own values, which needs whole rows: no projection, no scan, panel_split = 0}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>, %a0 = %a : tensor<8x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 0> -> tensor<?x?x8xf32> {
      %p = sm1.linear %x0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
      %y = sm1.rms_norm %p, %n0 eps 1.0e-6 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @norm_and_scan(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has a norm of its own values, which needs whole rows: no projection, no scan, panel_split = 0}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0> -> tensor<?x?x8xf32> {
      %h, %last = sm1.scan %x0, %x0 : tensor<?x?x8xf32>
      %y = sm1.rms_norm %h, %n0 eps 1.0e-6 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @norm_used_twice(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %a = sm1.param "a" {layout = "panels"} : tensor<8x8xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has a norm of its own values, which needs whole rows: no projection, no scan, panel_split = 0}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>, %a0 = %a : tensor<8x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 0> -> tensor<?x?x8xf32> {
      %r0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : tensor<?x?x8xf32>
      %p = sm1.linear %r0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
      %y = arith.addf %p, %r0 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @cut_scan(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{has a scan, which walks all rows: row_split must be 0}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
      %y, %last = sm1.scan %x0, %x0 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @unbounded_prologue(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<8x8xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{computes what its projections multiply, for which row_split must bound the scratch}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %a0 = %a : tensor<8x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 1> -> tensor<?x?x8xf32> {
      %e = math.exp %x0 : tensor<?x?x8xf32>
      %y = sm1.linear %e, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @copy(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{yields what it reads}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
      sm1.yield %x0 : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

sm1.model @computed_convolution(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<8xf32>
  %w = sm1.param "w" {layout = "channels"} : tensor<8x1x4xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{sm1.conv1d reads from memory what the kernel computes itself; make it a parameter or a kernel of its own}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>, %w0 = %w : tensor<8x1x4xf32>, %t0 = %t : tensor<?x8x3xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
      %e = math.exp %x0 : tensor<?x?x8xf32>
      %y, %taps = sm1.conv1d %e, %w0, %n0 taps %t0 : tensor<?x?x8xf32>, tensor<8x1x4xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r, %t : tensor<?x?x8xf32>, tensor<?x8x3xf32>
}

// -----

!x = tensor<?x?x64xf32>

sm1.model @matrix_of_f32(%x: !x {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<16x64xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    // expected-error @+1 {{cannot take matrix_rows: tile registers multiply bf16 pairs, and int8 quads and int4 nibbles with products = dot}}
    %q = sm1.kernel "k" (%x0 = %x : !x, %a0 = %a : tensor<16x64xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1, matrix_rows = 16, matrix_panels = 1> -> tensor<?x?x16xf32> {
      %y = sm1.linear %x0, %a0 : !x, tensor<16x64xf32>
      sm1.yield %y : tensor<?x?x16xf32>
    }
    sm1.yield %q : tensor<?x?x16xf32>
  }
  sm1.return %r : tensor<?x?x16xf32>
}

// -----

!x = tensor<?x?x64xf32>

sm1.model @matrix_of_bytes_without_dots(%x: !x {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 64> {layout = "quads"} : tensor<16x64xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 64> {layout = "scales"} : tensor<16x1xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    // expected-error @+1 {{cannot take matrix_rows: tile registers multiply bf16 pairs, and int8 quads and int4 nibbles with products = dot}}
    %q = sm1.kernel "k" (%x0 = %x : !x, %a0 = %a : tensor<16x64xi8>, %s0 = %s : tensor<16x1xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1, matrix_rows = 16, matrix_panels = 1> -> tensor<?x?x16xf32> {
      %y = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<16x64xi8>, tensor<16x1xf32>
      sm1.yield %y : tensor<?x?x16xf32>
    }
    sm1.yield %q : tensor<?x?x16xf32>
  }
  sm1.return %r : tensor<?x?x16xf32>
}

// -----

!x = tensor<?x?x40xf32>

sm1.model @matrix_of_40(%x: !x {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<16x40xbf16>
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    // expected-error @+1 {{cannot take matrix_rows: tile registers take whole 64 bytes of a row}}
    %q = sm1.kernel "k" (%x0 = %x : !x, %a0 = %a : tensor<16x40xbf16>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1, matrix_rows = 16, matrix_panels = 1> -> tensor<?x?x16xf32> {
      %b = arith.truncf %x0 : !x to tensor<?x?x40xbf16>
      %y = sm1.linear %b, %a0 : tensor<?x?x40xbf16>, tensor<16x40xbf16>
      sm1.yield %y : tensor<?x?x16xf32>
    }
    sm1.yield %q : tensor<?x?x16xf32>
  }
  sm1.return %r : tensor<?x?x16xf32>
}

// -----

!x = tensor<?x?x64xf32>

sm1.model @matrix_too_large(%x: !x {sm1.name = "x"}) -> (tensor<?x?x16xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<16x64xbf16>
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    // expected-error @+1 {{cannot take matrix_rows: six tile registers hold the sums of projections of one x; take fewer rows or panels}}
    %q = sm1.kernel "k" (%x0 = %x : !x, %a0 = %a : tensor<16x64xbf16>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 64, panel_split = 1, matrix_rows = 64, matrix_panels = 2> -> tensor<?x?x16xf32> {
      %b = arith.truncf %x0 : !x to tensor<?x?x64xbf16>
      %y = sm1.linear %b, %a0 : tensor<?x?x64xbf16>, tensor<16x64xbf16>
      sm1.yield %y : tensor<?x?x16xf32>
    }
    sm1.yield %q : tensor<?x?x16xf32>
  }
  sm1.return %r : tensor<?x?x16xf32>
}

// -----

sm1.model @matrix_of_nothing(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{cannot take matrix_rows: has no projection for tile registers}}
    %q = sm1.kernel "k" (%x0 = %x : tensor<?x?x8xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1, matrix_rows = 16, matrix_panels = 1> -> tensor<?x?x8xf32> {
      %y = math.exp %x0 : tensor<?x?x8xf32>
      sm1.yield %y : tensor<?x?x8xf32>
    }
    sm1.yield %q : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

!x = tensor<?x?x8xf32>

sm1.model @unbounded_quantisation(%x: !x {sm1.name = "x"}) -> (!x {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 8> {layout = "quads"} : tensor<8x8xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 8> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !x {
    // expected-error @+1 {{computes what its projections multiply, for which row_split must bound the scratch}}
    %q = sm1.kernel "k" (%x0 = %x : !x, %a0 = %a : tensor<8x8xi8>, %s0 = %s : tensor<8x1xf32>) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 1> -> !x {
      %y = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x8xi8>, tensor<8x1xf32>
      sm1.yield %y : !x
    }
    sm1.yield %q : !x
  }
  sm1.return %r : !x
}
