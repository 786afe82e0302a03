// One SM1 layer at the published width: tensors and state in, tensors and state out.
//   sm1c sm1-layer.mlir --params=layer.safetensors -o layer.sm1pkg
//   sm1-run call layer.sm1pkg --entry=prefill --in=x.safetensors --out=y.safetensors
// x.safetensors holds `x` [B,T,704], and `state_in.h`, `state_in.conv` where the sequences do not start from zero.
// The parameters are those of SM1's layer 0, without the prefix `layers.0.`.
sm1.model @sm1_layer(%x: tensor<?x?x704xf32> {sm1.name = "x"}, %h0: tensor<?x1408xf32> {sm1.state = "h"},
                     %taps0: tensor<?x1408x3xf32> {sm1.state = "conv"})
    -> (tensor<?x?x704xf32> {sm1.name = "y"}, tensor<?x1408xf32> {sm1.state = "h"}, tensor<?x1408x3xf32> {sm1.state = "conv"}) {
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to tensor<?x?x1408xf32>

  // r = rms_norm(x); xi, z = split(r @ in_proj^T)
  %norm1 = sm1.param "norm1.weight" : tensor<704xf32>
  %in_proj = sm1.param "ssm.in_proj.weight" : tensor<2816x704xf32>
  %r = sm1.rms_norm %x, %norm1 eps 1.0e-6 : tensor<?x?x704xf32>
  %xz = sm1.linear %r, %in_proj : tensor<?x?x704xf32>, tensor<2816x704xf32>
  %xi, %z = sm1.split %xz : tensor<?x?x2816xf32> into tensor<?x?x1408xf32>, tensor<?x?x1408xf32>

  // u = rms_norm(silu(conv1d(xi)))
  %conv_w = sm1.param "ssm.conv1d.weight" : tensor<1408x1x4xf32>
  %conv_b = sm1.param "ssm.conv1d.bias" : tensor<1408xf32>
  %ssm_norm = sm1.param "ssm.norm.weight" : tensor<1408xf32>
  %c, %taps = sm1.conv1d %xi, %conv_w, %conv_b taps %taps0 : tensor<?x?x1408xf32>, tensor<1408x1x4xf32>
  %c_neg = arith.negf %c : tensor<?x?x1408xf32>
  %c_exp = math.exp %c_neg : tensor<?x?x1408xf32>
  %c_den = arith.addf %one, %c_exp : tensor<?x?x1408xf32>
  %c_silu = arith.divf %c, %c_den : tensor<?x?x1408xf32>
  %u = sm1.rms_norm %c_silu, %ssm_norm eps 1.0e-6 : tensor<?x?x1408xf32>

  // B, C, dt = split3(u @ x_proj^T)
  %x_proj = sm1.param "ssm.x_proj.weight" : tensor<4224x1408xf32>
  %bcdt = sm1.linear %u, %x_proj : tensor<?x?x1408xf32>, tensor<4224x1408xf32>
  %B, %C, %dt0 = sm1.split %bcdt : tensor<?x?x4224xf32> into tensor<?x?x1408xf32>, tensor<?x?x1408xf32>, tensor<?x?x1408xf32>

  // dt = clamp(softplus(dt0 + dt_bias), 1e-4, 10), softplus as max(v, 0) + log1p(exp(-|v|))
  %dt_bias = sm1.param "ssm.dt_bias" : tensor<1408xf32>
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
  %a_log = sm1.param "ssm.A_log" : tensor<1408xf32>
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
  %d = sm1.param "ssm.D" : tensor<1408xf32>
  %d_b = sm1.broadcast %d : tensor<1408xf32> to tensor<?x?x1408xf32>
  %ch = arith.mulf %C, %h : tensor<?x?x1408xf32>
  %du = arith.mulf %d_b, %u : tensor<?x?x1408xf32>
  %y = arith.addf %ch, %du : tensor<?x?x1408xf32>

  // x = x + (y * silu(z)) @ out_proj^T
  %z_neg = arith.negf %z : tensor<?x?x1408xf32>
  %z_exp = math.exp %z_neg : tensor<?x?x1408xf32>
  %z_den = arith.addf %one, %z_exp : tensor<?x?x1408xf32>
  %z_silu = arith.divf %z, %z_den : tensor<?x?x1408xf32>
  %g = arith.mulf %y, %z_silu : tensor<?x?x1408xf32>
  %out_proj = sm1.param "ssm.out_proj.weight" : tensor<704x1408xf32>
  %o = sm1.linear %g, %out_proj : tensor<?x?x1408xf32>, tensor<704x1408xf32>
  %x1 = arith.addf %x, %o : tensor<?x?x704xf32>

  // x = x + (silu(r @ w1^T) * (r @ w3^T)) @ w2^T
  %norm2 = sm1.param "norm2.weight" : tensor<704xf32>
  %w1 = sm1.param "mlp.w1.weight" : tensor<1920x704xf32>
  %w3 = sm1.param "mlp.w3.weight" : tensor<1920x704xf32>
  %w2 = sm1.param "mlp.w2.weight" : tensor<704x1920xf32>
  %r2 = sm1.rms_norm %x1, %norm2 eps 1.0e-6 : tensor<?x?x704xf32>
  %m1 = sm1.linear %r2, %w1 : tensor<?x?x704xf32>, tensor<1920x704xf32>
  %m3 = sm1.linear %r2, %w3 : tensor<?x?x704xf32>, tensor<1920x704xf32>
  %one_ff = sm1.broadcast %one_f : f32 to tensor<?x?x1920xf32>
  %m_neg = arith.negf %m1 : tensor<?x?x1920xf32>
  %m_exp = math.exp %m_neg : tensor<?x?x1920xf32>
  %m_den = arith.addf %one_ff, %m_exp : tensor<?x?x1920xf32>
  %m_silu = arith.divf %m1, %m_den : tensor<?x?x1920xf32>
  %m = arith.mulf %m_silu, %m3 : tensor<?x?x1920xf32>
  %f = sm1.linear %m, %w2 : tensor<?x?x1920xf32>, tensor<704x1920xf32>
  %y_out = arith.addf %x1, %f : tensor<?x?x704xf32>
  sm1.return %y_out, %last, %taps : tensor<?x?x704xf32>, tensor<?x1408xf32>, tensor<?x1408x3xf32>
}
