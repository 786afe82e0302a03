// A relative of SM1: hierarchically gated recurrent layers (Qin et al., "Hierarchically Gated Recurrent Neural Network for Sequence
// Modeling", 2023), with a real state. The forget gate of a layer lies above a bound that rises from layer to layer, so that upper layers
// forget slowly; what it does not keep is what comes in.
//   sm1c hgrn.mlir --params=weights.safetensors -o hgrn.sm1pkg
//   sm1-run logits hgrn.sm1pkg --tokens=tokens.safetensors --out=logits.safetensors
// Three layers of width 40 over 50 tokens. `lower_bound` of a layer is what training leaves of the matrix that all layers share: the sum of
// softmax(matrix, over layers) of the layers below it, 0 for the first.
!model = tensor<?x?x40xf32> // batch, time, channels
!inner = tensor<?x?x72xf32> // inside a recurrence
!mlp = tensor<?x?x100xf32> // inside an MLP

sm1.model @hgrn(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x3x72xf32> {sm1.state = "h"})
    -> (tensor<?x?x50xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x3x72xf32> {sm1.state = "h"}) {
  %embed = sm1.param "embed.weight" : tensor<50x40xf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<50x40xf32>

  %x_last, %h_out = sm1.layers 3 carry(%x = %x0 : !model) state(%h0 = %h_in : tensor<?x3x72xf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner

    // f = bound + (1 - bound) * sigmoid(r @ f^T), r = rms_norm(x), sigmoid(v) = 1 / (1 + exp(-v))
    %norm1 = sm1.param "layers.{i}.norm1.weight" : tensor<40xf32>
    %r = sm1.rms_norm %x, %norm1 eps 1.0e-06 : !model
    %bound = sm1.param "layers.{i}.hgrn.lower_bound" : tensor<72xf32>
    %bound_b = sm1.broadcast %bound : tensor<72xf32> to !inner
    %ones = arith.constant dense<1.0> : tensor<72xf32>
    %room = arith.subf %ones, %bound : tensor<72xf32>
    %room_b = sm1.broadcast %room : tensor<72xf32> to !inner
    %f_w = sm1.param "layers.{i}.hgrn.f.weight" : tensor<72x40xf32>
    %f0 = sm1.linear %r, %f_w : !model, tensor<72x40xf32>
    %f_neg = arith.negf %f0 : !inner
    %f_exp = math.exp %f_neg : !inner
    %f_den = arith.addf %one, %f_exp : !inner
    %f_sig = arith.divf %one, %f_den : !inner
    %f_part = arith.mulf %room_b, %f_sig : !inner
    %f = arith.addf %bound_b, %f_part : !inner

    // h = scan(f, (1 - f) * silu(r @ i^T)), silu(v) = v / (1 + exp(-v))
    %i_w = sm1.param "layers.{i}.hgrn.i.weight" : tensor<72x40xf32>
    %i0 = sm1.linear %r, %i_w : !model, tensor<72x40xf32>
    %i_neg = arith.negf %i0 : !inner
    %i_exp = math.exp %i_neg : !inner
    %i_den = arith.addf %one, %i_exp : !inner
    %i_silu = arith.divf %i0, %i_den : !inner
    %rest = arith.subf %one, %f : !inner
    %input = arith.mulf %rest, %i_silu : !inner
    %h, %last = sm1.scan %f, %input init %h0 : !inner

    // x = x + (rms_norm(h) * silu(r @ g^T)) @ out^T
    %g_norm = sm1.param "layers.{i}.hgrn.g_norm.weight" : tensor<72xf32>
    %g_w = sm1.param "layers.{i}.hgrn.g.weight" : tensor<72x40xf32>
    %out_w = sm1.param "layers.{i}.hgrn.out.weight" : tensor<40x72xf32>
    %hn = sm1.rms_norm %h, %g_norm eps 1.0e-06 : !inner
    %g0 = sm1.linear %r, %g_w : !model, tensor<72x40xf32>
    %g_neg = arith.negf %g0 : !inner
    %g_exp = math.exp %g_neg : !inner
    %g_den = arith.addf %one, %g_exp : !inner
    %g_silu = arith.divf %g0, %g_den : !inner
    %hg = arith.mulf %hn, %g_silu : !inner
    %o = sm1.linear %hg, %out_w : !inner, tensor<40x72xf32>
    %x1 = arith.addf %x, %o : !model

    // x = x + (silu(r @ w1^T) * (r @ w3^T)) @ w2^T, r = rms_norm(x)
    %norm2 = sm1.param "layers.{i}.norm2.weight" : tensor<40xf32>
    %w1 = sm1.param "layers.{i}.mlp.w1.weight" : tensor<100x40xf32>
    %w3 = sm1.param "layers.{i}.mlp.w3.weight" : tensor<100x40xf32>
    %w2 = sm1.param "layers.{i}.mlp.w2.weight" : tensor<40x100xf32>
    %r2 = sm1.rms_norm %x1, %norm2 eps 1.0e-06 : !model
    %m1 = sm1.linear %r2, %w1 : !model, tensor<100x40xf32>
    %m3 = sm1.linear %r2, %w3 : !model, tensor<100x40xf32>
    %one_m = sm1.broadcast %one_f : f32 to !mlp
    %m_neg = arith.negf %m1 : !mlp
    %m_exp = math.exp %m_neg : !mlp
    %m_den = arith.addf %one_m, %m_exp : !mlp
    %m_silu = arith.divf %m1, %m_den : !mlp
    %m = arith.mulf %m_silu, %m3 : !mlp
    %d = sm1.linear %m, %w2 : !mlp, tensor<40x100xf32>
    %x2 = arith.addf %x1, %d : !model
    sm1.yield %x2, %last : !model, tensor<?x72xf32>
  }

  // logits = rms_norm(x) @ head^T
  %norm = sm1.param "norm.weight" : tensor<40xf32>
  %head = sm1.param "head.weight" : tensor<50x40xf32>
  %r_last = sm1.rms_norm %x_last, %norm eps 1.0e-06 : !model
  %logits = sm1.linear %r_last, %head : !model, tensor<50x40xf32>
  sm1.return %logits, %h_out : tensor<?x?x50xf32>, tensor<?x3x72xf32>
}
