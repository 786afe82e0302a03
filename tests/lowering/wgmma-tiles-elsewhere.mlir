// Only one family of chips has the instructions.
// RUN: sm1-opt %s "-sm1-kernel-to-gpu=target=sm_90" -verify-diagnostics

!h = tensor<?x?x64xf32>
!s = tensor<?x?x256xf32>
!w = tensor<256x64xf32>
sm1.model @elsewhere(%x: !h {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : !w
  %s = sm1.launch sync(none) -> !s {
    // expected-error @+1 {{has the form wgmma_tiles, which sm_90 has no instructions for; use tensor_tiles, or --target=sm_90a}}
    %y = sm1.kernel "k" (%h0 = %x : !h, %a0 = %a : !w) blocks<wgmma_tiles, threads = 128, row_tile = 128, row_split = 128, panel_split = 4, stages = 4> -> !s {
      %p = sm1.linear %h0, %a0 : !h, !w
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %s : !s
}
