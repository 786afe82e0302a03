// RUN: sm1-opt %s -split-input-file -sm1-kernel-to-gpu=target=sm_120 -verify-diagnostics

!s = tensor<?x?x40xf32>
!n = tensor<?x?x16xf32>
sm1.model @tile(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "A" {layout = "channels"} : tensor<40x16xf32>
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: threads must be 4, 8 or 16 row_tile}}
    %q = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %a = %w : tensor<40x16xf32>) blocks<scan, threads = 64, row_tile = 32, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %b0 : !s, !n
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

// More states than shared memory has room for.
!s = tensor<?x?x40xf32>
!n = tensor<?x?x256xf32>
sm1.model @room(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "A" {layout = "channels"} : tensor<40x256xf32>
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{needs 297984 bytes of shared memory, a block of sm_120 has 101376; a smaller row_tile or fewer stages need less}}
    %q = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %a = %w : tensor<40x256xf32>) blocks<scan, threads = 256, row_tile = 16, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %b0 : !s, !n
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}

// -----

// What all channels read has to be in memory.
!s = tensor<?x?x40xf32>
!n = tensor<?x?x16xf32>
sm1.model @computed(%dt: !s {sm1.name = "dt"}, %b: !n {sm1.name = "b"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "A" {layout = "channels"} : tensor<40x16xf32>
  %r = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{sm1.selective_scan reads from memory what the kernel computes itself; make it a parameter or a kernel of its own}}
    %q = sm1.kernel "k" (%dt0 = %dt : !s, %b0 = %b : !n, %a = %w : tensor<40x16xf32>) blocks<scan, threads = 256, row_tile = 32, row_split = 1, panel_split = 1, stages = 1> -> !s {
      %c = math.exp %b0 : !n
      %y, %last = sm1.selective_scan %dt0, %dt0, %a, %b0, %c : !s, !n
      sm1.yield %y : !s
    }
    sm1.yield %q : !s
  }
  sm1.return %r : !s
}
