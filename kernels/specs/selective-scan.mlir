// The fused scan of SM1 alone, at the published width: step size, decay, recurrence, readout and gate, one kernel.
//   sm1c selective-scan.mlir --params=scan.safetensors -o scan.sm1pkg
//   sm1-run call scan.sm1pkg --entry=prefill --in=streams.safetensors --out=y.safetensors
// streams.safetensors holds `dt0`, `B`, `C`, `u` and `z` [B,T,1408], and `state_in.h` where the sequences do not start from zero.
// scan.safetensors holds `dt_bias`, `A_log` and `D` [1408], a layer's tensors without the prefix `layers.{i}.ssm.`.
sm1.model @selective_scan(%dt0: tensor<?x?x1408xf32> {sm1.name = "dt0"}, %B: tensor<?x?x1408xf32> {sm1.name = "B"},
                          %C: tensor<?x?x1408xf32> {sm1.name = "C"}, %u: tensor<?x?x1408xf32> {sm1.name = "u"},
                          %z: tensor<?x?x1408xf32> {sm1.name = "z"}, %h0: tensor<?x1408xf32> {sm1.state = "h"})
    -> (tensor<?x?x1408xf32> {sm1.name = "y"}, tensor<?x1408xf32> {sm1.state = "h"}) {
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to tensor<?x?x1408xf32>

  // dt = clamp(softplus(dt0 + dt_bias), 1e-4, 10), softplus as max(v, 0) + log1p(exp(-|v|))
  %dt_bias = sm1.param "dt_bias" : tensor<1408xf32>
  %dt_bias_b = sm1.broadcast %dt_bias : tensor<1408xf32> to tensor<?x?x1408xf32>
  %zero_f = arith.constant 0.0 : f32
  %zero = sm1.broadcast %zero_f : f32 to tensor<?x?x1408xf32>
  %dt_min_f = arith.constant 1.0e-4 : f32
  %dt_min = sm1.broadcast %dt_min_f : f32 to tensor<?x?x1408xf32>
  %dt_max_f = arith.constant 10.0 : f32
  %dt_max = sm1.broadcast %dt_max_f : f32 to tensor<?x?x1408xf32>
  %dt1 = arith.addf %dt0, %dt_bias_b : tensor<?x?x1408xf32>
  %dt_abs = math.absf %dt1 : tensor<?x?x1408xf32>
  %dt_neg = arith.negf %dt_abs : tensor<?x?x1408xf32>
  %dt_exp = math.exp %dt_neg : tensor<?x?x1408xf32>
  %dt_log = math.log1p %dt_exp : tensor<?x?x1408xf32>
  %dt_pos = arith.maximumf %dt1, %zero : tensor<?x?x1408xf32>
  %softplus = arith.addf %dt_pos, %dt_log : tensor<?x?x1408xf32>
  %dt_low = arith.maximumf %softplus, %dt_min : tensor<?x?x1408xf32>
  %dt = arith.minimumf %dt_low, %dt_max : tensor<?x?x1408xf32>

  // decay = clamp(exp(-dt * exp(A_log)), 1e-6, 1 - 1e-6)
  %a_log = sm1.param "A_log" : tensor<1408xf32>
  %a = math.exp %a_log : tensor<1408xf32>
  %a_neg = arith.negf %a : tensor<1408xf32>
  %a_b = sm1.broadcast %a_neg : tensor<1408xf32> to tensor<?x?x1408xf32>
  %decay_min_f = arith.constant 1.0e-6 : f32
  %decay_min = sm1.broadcast %decay_min_f : f32 to tensor<?x?x1408xf32>
  %decay_max_f = arith.constant 0.999999 : f32
  %decay_max = sm1.broadcast %decay_max_f : f32 to tensor<?x?x1408xf32>
  %rate = arith.mulf %dt, %a_b : tensor<?x?x1408xf32>
  %decay0 = math.exp %rate : tensor<?x?x1408xf32>
  %decay1 = arith.maximumf %decay0, %decay_min : tensor<?x?x1408xf32>
  %decay = arith.minimumf %decay1, %decay_max : tensor<?x?x1408xf32>

  // h = scan(decay, B * u * dt); y = C * h + D * u
  %bu = arith.mulf %B, %u : tensor<?x?x1408xf32>
  %input = arith.mulf %bu, %dt : tensor<?x?x1408xf32>
  %h, %last = sm1.scan %decay, %input init %h0 : tensor<?x?x1408xf32>
  %d = sm1.param "D" : tensor<1408xf32>
  %d_b = sm1.broadcast %d : tensor<1408xf32> to tensor<?x?x1408xf32>
  %ch = arith.mulf %C, %h : tensor<?x?x1408xf32>
  %du = arith.mulf %d_b, %u : tensor<?x?x1408xf32>
  %y = arith.addf %ch, %du : tensor<?x?x1408xf32>

  // y * silu(z)
  %z_neg = arith.negf %z : tensor<?x?x1408xf32>
  %z_exp = math.exp %z_neg : tensor<?x?x1408xf32>
  %z_den = arith.addf %one, %z_exp : tensor<?x?x1408xf32>
  %z_silu = arith.divf %z, %z_den : tensor<?x?x1408xf32>
  %g = arith.mulf %y, %z_silu : tensor<?x?x1408xf32>
  sm1.return %g, %last : tensor<?x?x1408xf32>, tensor<?x1408xf32>
}
