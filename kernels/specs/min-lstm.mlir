// A relative of SM1: a small language model of minLSTM layers (Feng et al., "Were RNNs All We Needed?", 2024). Two gates that share one:
// f / (f + i) is the decay, i / (f + i) the weight of what comes in, so that h stays within the candidates that it has seen.
//   sm1c min-lstm.mlir --params=weights.safetensors -o min-lstm.sm1pkg
//   sm1-run logits min-lstm.sm1pkg --tokens=tokens.safetensors --out=logits.safetensors
// Two layers of width 40 over 50 tokens; the head is a matrix of its own. Sizes fit no tile, on purpose.
!model = tensor<?x?x40xf32> // batch, time, channels
!inner = tensor<?x?x72xf32> // inside a recurrence
!mlp = tensor<?x?x100xf32> // inside an MLP

sm1.model @min_lstm(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x2x72xf32> {sm1.state = "h"})
    -> (tensor<?x?x50xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x2x72xf32> {sm1.state = "h"}) {
  %embed = sm1.param "embed.weight" : tensor<50x40xf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<50x40xf32>

  %x_last, %h_out = sm1.layers 2 carry(%x = %x0 : !model) state(%h0 = %h_in : tensor<?x2x72xf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner
    %zero_f = arith.constant 0.0 : f32
    %zero = sm1.broadcast %zero_f : f32 to !inner

    // f = sigmoid(r @ f^T + b), r = rms_norm(x), sigmoid(v) = 1 / (1 + exp(-v))
    %norm1 = sm1.param "layers.{i}.norm1.weight" : tensor<40xf32>
    %r = sm1.rms_norm %x, %norm1 eps 1.0e-05 : !model
    %f_w = sm1.param "layers.{i}.lstm.f.weight" : tensor<72x40xf32>
    %f_bias = sm1.param "layers.{i}.lstm.f.bias" : tensor<72xf32>
    %f_bias_b = sm1.broadcast %f_bias : tensor<72xf32> to !inner
    %f0 = sm1.linear %r, %f_w : !model, tensor<72x40xf32>
    %f1 = arith.addf %f0, %f_bias_b : !inner
    %f_neg = arith.negf %f1 : !inner
    %f_exp = math.exp %f_neg : !inner
    %f_den = arith.addf %one, %f_exp : !inner
    %f = arith.divf %one, %f_den : !inner

    // i = sigmoid(r @ i^T + b)
    %i_w = sm1.param "layers.{i}.lstm.i.weight" : tensor<72x40xf32>
    %i_bias = sm1.param "layers.{i}.lstm.i.bias" : tensor<72xf32>
    %i_bias_b = sm1.broadcast %i_bias : tensor<72xf32> to !inner
    %i0 = sm1.linear %r, %i_w : !model, tensor<72x40xf32>
    %i1 = arith.addf %i0, %i_bias_b : !inner
    %i_neg = arith.negf %i1 : !inner
    %i_exp = math.exp %i_neg : !inner
    %i_den = arith.addf %one, %i_exp : !inner
    %i = arith.divf %one, %i_den : !inner

    // candidate = g(r @ h^T), g(v) = v + 0.5 where v >= 0, else sigmoid(v): max(v, 0) + sigmoid(min(v, 0))
    %c_w = sm1.param "layers.{i}.lstm.h.weight" : tensor<72x40xf32>
    %c0 = sm1.linear %r, %c_w : !model, tensor<72x40xf32>
    %c_pos = arith.maximumf %c0, %zero : !inner
    %c_low = arith.minimumf %c0, %zero : !inner
    %c_neg = arith.negf %c_low : !inner
    %c_exp = math.exp %c_neg : !inner
    %c_den = arith.addf %one, %c_exp : !inner
    %c_sig = arith.divf %one, %c_den : !inner
    %candidate = arith.addf %c_pos, %c_sig : !inner

    // h = scan(f / (f + i), i / (f + i) * candidate); x = x + h @ out^T
    %both = arith.addf %f, %i : !inner
    %decay = arith.divf %f, %both : !inner
    %share = arith.divf %i, %both : !inner
    %input = arith.mulf %share, %candidate : !inner
    %h, %last = sm1.scan %decay, %input init %h0 : !inner
    %out_w = sm1.param "layers.{i}.lstm.out.weight" : tensor<40x72xf32>
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
    %m3 = sm1.linear %m2, %down : !mlp, tensor<40x100xf32>
    %x2 = arith.addf %x1, %m3 : !model
    sm1.yield %x2, %last : !model, tensor<?x72xf32>
  }

  // logits = rms_norm(x) @ head^T
  %norm = sm1.param "norm.weight" : tensor<40xf32>
  %head = sm1.param "head.weight" : tensor<50x40xf32>
  %r_last = sm1.rms_norm %x_last, %norm eps 1.0e-05 : !model
  %logits = sm1.linear %r_last, %head : !model, tensor<50x40xf32>
  sm1.return %logits, %h_out : tensor<?x?x50xf32>, tensor<?x2x72xf32>
}
