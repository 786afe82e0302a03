// A relative of SM1: a small language model of minGRU layers (Feng et al., "Were RNNs All We Needed?", 2024). No convolution, no
// selection by products; the gate z is both the decay and the weight of what comes in: h = (1 - z) * h + z * candidate.
//   sm1c min-gru.mlir --params=weights.safetensors -o min-gru.sm1pkg
//   sm1-run call min-gru.sm1pkg --entry=prefill --in=tokens.safetensors --out=logits.safetensors
// Two layers of width 40 over 50 tokens; the head is a matrix of its own. Sizes fit no tile, on purpose.
!model = tensor<?x?x40xf32> // batch, time, channels
!inner = tensor<?x?x72xf32> // inside a recurrence
!mlp = tensor<?x?x100xf32> // inside an MLP

sm1.model @min_gru(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x2x72xf32> {sm1.state = "h"})
    -> (tensor<?x?x50xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x2x72xf32> {sm1.state = "h"}) {
  %embed = sm1.param "embed.weight" : tensor<50x40xf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<50x40xf32>

  %x_last, %h_out = sm1.layers 2 carry(%x = %x0 : !model) state(%h0 = %h_in : tensor<?x2x72xf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner
    %zero_f = arith.constant 0.0 : f32
    %zero = sm1.broadcast %zero_f : f32 to !inner

    // z = sigmoid(r @ z^T + b), r = rms_norm(x), sigmoid(v) = 1 / (1 + exp(-v))
    %norm1 = sm1.param "layers.{i}.norm1.weight" : tensor<40xf32>
    %r = sm1.rms_norm %x, %norm1 eps 1.0e-05 : !model
    %z_w = sm1.param "layers.{i}.gru.z.weight" : tensor<72x40xf32>
    %z_bias = sm1.param "layers.{i}.gru.z.bias" : tensor<72xf32>
    %z_bias_b = sm1.broadcast %z_bias : tensor<72xf32> to !inner
    %z0 = sm1.linear %r, %z_w : !model, tensor<72x40xf32>
    %z1 = arith.addf %z0, %z_bias_b : !inner
    %z_neg = arith.negf %z1 : !inner
    %z_exp = math.exp %z_neg : !inner
    %z_den = arith.addf %one, %z_exp : !inner
    %z = arith.divf %one, %z_den : !inner

    // candidate = g(r @ h^T), g(v) = v + 0.5 where v >= 0, else sigmoid(v): max(v, 0) + sigmoid(min(v, 0))
    %c_w = sm1.param "layers.{i}.gru.h.weight" : tensor<72x40xf32>
    %c0 = sm1.linear %r, %c_w : !model, tensor<72x40xf32>
    %c_pos = arith.maximumf %c0, %zero : !inner
    %c_low = arith.minimumf %c0, %zero : !inner
    %c_neg = arith.negf %c_low : !inner
    %c_exp = math.exp %c_neg : !inner
    %c_den = arith.addf %one, %c_exp : !inner
    %c_sig = arith.divf %one, %c_den : !inner
    %candidate = arith.addf %c_pos, %c_sig : !inner

    // h = scan(1 - z, z * candidate); x = x + h @ out^T
    %decay = arith.subf %one, %z : !inner
    %input = arith.mulf %z, %candidate : !inner
    %h, %last = sm1.scan %decay, %input init %h0 : !inner
    %out_w = sm1.param "layers.{i}.gru.out.weight" : tensor<40x72xf32>
    %o = sm1.linear %h, %out_w : !inner, tensor<40x72xf32>
    %x1 = arith.addf %x, %o : !model

    // x = x + relu(r @ up^T)^2 @ down^T, r = rms_norm(x)
    %norm2 = sm1.param "layers.{i}.norm2.weight" : tensor<40xf32>
    %r2 = sm1.rms_norm %x1, %norm2 eps 1.0e-05 : !model
    %up = sm1.param "layers.{i}.mlp.up.weight" : tensor<100x40xf32>
    %down = sm1.param "layers.{i}.mlp.down.weight" : tensor<40x100xf32>
    %zero_mlp = sm1.broadcast %zero_f : f32 to !mlp
    %m0 = sm1.linear %r2, %up : !model, tensor<100x40xf32>
    %m1 = arith.maximumf %m0, %zero_mlp : !mlp
    %m2 = arith.mulf %m1, %m1 : !mlp
    %f = sm1.linear %m2, %down : !mlp, tensor<40x100xf32>
    %x2 = arith.addf %x1, %f : !model
    sm1.yield %x2, %last : !model, tensor<?x72xf32>
  }

  // logits = rms_norm(x) @ head^T
  %norm = sm1.param "norm.weight" : tensor<40xf32>
  %head = sm1.param "head.weight" : tensor<50x40xf32>
  %r_last = sm1.rms_norm %x_last, %norm eps 1.0e-05 : !model
  %logits = sm1.linear %r_last, %head : !model, tensor<50x40xf32>
  sm1.return %logits, %h_out : tensor<?x?x50xf32>, tensor<?x2x72xf32>
}
