// Kernels of all entries are in one module in the end, so a prefill has no name that another entry could have.
// RUN: sm1-opt %s -sm1-form-kernels "-sm1-schedule-for-gpu=target=sm_90" | FileCheck %s --check-prefix=PREFILL
// RUN: sm1-opt %s -sm1-form-kernels "-sm1-schedule-for-gpu=target=sm_90 entry=step" | FileCheck %s --check-prefix=STEP
// PREFILL: sm1.kernel "proj" (
// PREFILL: sm1.kernel "proj_step_rows" (
// PREFILL: sm1.kernel "proj_step_2_rows" (
// STEP: sm1.kernel "proj_step" (
// STEP: sm1.kernel "proj_step_step" (
// STEP: sm1.kernel "proj_step_2_step" (
!s = tensor<?x?x16xf32>
!w = tensor<16x16xf32>
sm1.model @names(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %proj = sm1.param "proj" : !w
  %proj_step = sm1.param "proj_step" : !w
  %proj_step_2 = sm1.param "proj_step_2" : !w
  %a = sm1.linear %x, %proj : !s, !w
  %b = sm1.linear %a, %proj_step : !s, !w
  %c = sm1.linear %b, %proj_step_2 : !s, !w
  sm1.return %c : !s
}
