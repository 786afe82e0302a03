// Numbers of wgmma_tiles that do not fit the instruction, the copies, the matrix or a thread's registers.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90a" -split-input-file -verify-diagnostics

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @rows(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_tile must be a multiple of 64 and divide row_split, and threads be 128 row_split / row_tile}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 96, row_split = 96, panel_split = 2, stages = 5> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @boxes(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: row_split = 512, must be at most 256}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 512, row_tile = 128, row_split = 512, panel_split = 2, stages = 5> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @panels(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: panel_split = 3, must be from 1 to 16 and divide the 16 panels}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 3, stages = 5> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @stages(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: stages = 2, must be at least 3}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 4, stages = 2> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @sums(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: a thread has 256 sums, must be at most 192; a smaller row_tile or panel_split needs fewer}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 16, stages = 4> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}

// -----

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @registers(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{schedule: 128 sums leave a thread 24 registers, must be at least 40; fewer threads have more}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 512, row_tile = 64, row_split = 64, panel_split = 16, stages = 4> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
