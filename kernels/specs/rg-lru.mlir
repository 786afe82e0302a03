// A relative of SM1: the recurrent blocks of Griffin (De et al., 2024). The real-gated linear recurrent unit has a learnt decay that a gate
// raises to a power, and weighs what comes in by sqrt(1 - decay^2), so that h keeps its size.
//   sm1c rg-lru.mlir --params=weights.safetensors -o rg-lru.sm1pkg
//   sm1-run logits rg-lru.sm1pkg --tokens=tokens.safetensors --out=logits.safetensors
// Two layers of width 40 over 50 tokens, the head tied to the embedding. The gates have whole matrices; Griffin's are block-diagonal. Its
// layers of local attention are not here. The decay is exp(-8 * softplus(lambda) * gate), as published code has it.
!model = tensor<?x?x40xf32> // batch, time, channels
!inner = tensor<?x?x56xf32> // inside a recurrence
!mlp = tensor<?x?x120xf32> // inside an MLP

sm1.model @rg_lru(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x2x56xf32> {sm1.state = "h"},
                  %taps_in: tensor<?x2x56x3xf32> {sm1.state = "conv"})
    -> (tensor<?x?x50xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x2x56xf32> {sm1.state = "h"},
        tensor<?x2x56x3xf32> {sm1.state = "conv"}) {
  %embed = sm1.param "embed.weight" : tensor<50x40xf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<50x40xf32>

  %x_last, %h_out, %taps_out = sm1.layers 2 carry(%x = %x0 : !model)
      state(%h0 = %h_in : tensor<?x2x56xf32>, %taps0 = %taps_in : tensor<?x2x56x3xf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner
    %half_f = arith.constant 0.5 : f32
    %cube_f = arith.constant 0.044715 : f32
    %root_f = arith.constant 0.7978845608 : f32 // sqrt(2 / pi)

    // gate = gelu(r @ y^T), r = rms_norm(x), gelu(v) = v / 2 * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 * v^3)))
    %norm1 = sm1.param "layers.{i}.norm1.weight" : tensor<40xf32>
    %r = sm1.rms_norm %x, %norm1 eps 1.0e-06 : !model
    %y_w = sm1.param "layers.{i}.rec.y.weight" : tensor<56x40xf32>
    %y = sm1.linear %r, %y_w : !model, tensor<56x40xf32>
    %half = sm1.broadcast %half_f : f32 to !inner
    %cube = sm1.broadcast %cube_f : f32 to !inner
    %root = sm1.broadcast %root_f : f32 to !inner
    %y_sq = arith.mulf %y, %y : !inner
    %y_3 = arith.mulf %y_sq, %y : !inner
    %y_c = arith.mulf %cube, %y_3 : !inner
    %y_in = arith.addf %y, %y_c : !inner
    %y_s = arith.mulf %root, %y_in : !inner
    %y_t = math.tanh %y_s : !inner
    %y_1 = arith.addf %one, %y_t : !inner
    %y_h = arith.mulf %half, %y : !inner
    %gate = arith.mulf %y_h, %y_1 : !inner

    // u = conv1d(r @ x^T)
    %x_w = sm1.param "layers.{i}.rec.x.weight" : tensor<56x40xf32>
    %conv_w = sm1.param "layers.{i}.rec.conv.weight" : tensor<56x1x4xf32>
    %conv_b = sm1.param "layers.{i}.rec.conv.bias" : tensor<56xf32>
    %xi = sm1.linear %r, %x_w : !model, tensor<56x40xf32>
    %u, %taps = sm1.conv1d %xi, %conv_w, %conv_b taps %taps0 : !inner, tensor<56x1x4xf32>

    // a = sigmoid(u @ a^T + b), i = sigmoid(u @ i^T + b)
    %a_w = sm1.param "layers.{i}.rec.a.weight" : tensor<56x56xf32>
    %a_bias = sm1.param "layers.{i}.rec.a.bias" : tensor<56xf32>
    %a_bias_b = sm1.broadcast %a_bias : tensor<56xf32> to !inner
    %a0 = sm1.linear %u, %a_w : !inner, tensor<56x56xf32>
    %a1 = arith.addf %a0, %a_bias_b : !inner
    %a_neg = arith.negf %a1 : !inner
    %a_exp = math.exp %a_neg : !inner
    %a_den = arith.addf %one, %a_exp : !inner
    %a = arith.divf %one, %a_den : !inner
    %i_w = sm1.param "layers.{i}.rec.i.weight" : tensor<56x56xf32>
    %i_bias = sm1.param "layers.{i}.rec.i.bias" : tensor<56xf32>
    %i_bias_b = sm1.broadcast %i_bias : tensor<56xf32> to !inner
    %i0 = sm1.linear %u, %i_w : !inner, tensor<56x56xf32>
    %i1 = arith.addf %i0, %i_bias_b : !inner
    %i_neg = arith.negf %i1 : !inner
    %i_exp = math.exp %i_neg : !inner
    %i_den = arith.addf %one, %i_exp : !inner
    %i = arith.divf %one, %i_den : !inner

    // log_decay = -8 * softplus(lambda) * a, softplus(v) = max(v, 0) + log1p(exp(-|v|))
    %lambda = sm1.param "layers.{i}.rec.lambda" : tensor<56xf32>
    %zeros = arith.constant dense<0.0> : tensor<56xf32>
    %power = arith.constant dense<-8.0> : tensor<56xf32>
    %l_abs = math.absf %lambda : tensor<56xf32>
    %l_neg = arith.negf %l_abs : tensor<56xf32>
    %l_exp = math.exp %l_neg : tensor<56xf32>
    %l_log = math.log1p %l_exp : tensor<56xf32>
    %l_pos = arith.maximumf %lambda, %zeros : tensor<56xf32>
    %l_soft = arith.addf %l_pos, %l_log : tensor<56xf32>
    %rate = arith.mulf %power, %l_soft : tensor<56xf32>
    %rate_b = sm1.broadcast %rate : tensor<56xf32> to !inner
    %log_decay = arith.mulf %rate_b, %a : !inner

    // h = scan(exp(log_decay), sqrt(1 - exp(2 * log_decay)) * i * u); 1 - exp(v) is -expm1(v), which loses nothing near a decay of 1
    %decay = math.exp %log_decay : !inner
    %log_square = arith.addf %log_decay, %log_decay : !inner
    %minus_rest = math.expm1 %log_square : !inner
    %rest = arith.negf %minus_rest : !inner
    %size = math.sqrt %rest : !inner
    %iu = arith.mulf %i, %u : !inner
    %input = arith.mulf %size, %iu : !inner
    %h, %last = sm1.scan %decay, %input init %h0 : !inner

    // x = x + (h * gate) @ out^T
    %out_w = sm1.param "layers.{i}.rec.out.weight" : tensor<40x56xf32>
    %hg = arith.mulf %h, %gate : !inner
    %o = sm1.linear %hg, %out_w : !inner, tensor<40x56xf32>
    %x1 = arith.addf %x, %o : !model

    // x = x + (gelu(r @ w1^T) * (r @ w3^T)) @ w2^T, r = rms_norm(x)
    %norm2 = sm1.param "layers.{i}.norm2.weight" : tensor<40xf32>
    %w1 = sm1.param "layers.{i}.mlp.w1.weight" : tensor<120x40xf32>
    %w3 = sm1.param "layers.{i}.mlp.w3.weight" : tensor<120x40xf32>
    %w2 = sm1.param "layers.{i}.mlp.w2.weight" : tensor<40x120xf32>
    %r2 = sm1.rms_norm %x1, %norm2 eps 1.0e-06 : !model
    %m = sm1.linear %r2, %w1 : !model, tensor<120x40xf32>
    %m3 = sm1.linear %r2, %w3 : !model, tensor<120x40xf32>
    %one_m = sm1.broadcast %one_f : f32 to !mlp
    %half_m = sm1.broadcast %half_f : f32 to !mlp
    %cube_m = sm1.broadcast %cube_f : f32 to !mlp
    %root_m = sm1.broadcast %root_f : f32 to !mlp
    %m_sq = arith.mulf %m, %m : !mlp
    %m_3 = arith.mulf %m_sq, %m : !mlp
    %m_c = arith.mulf %cube_m, %m_3 : !mlp
    %m_in = arith.addf %m, %m_c : !mlp
    %m_s = arith.mulf %root_m, %m_in : !mlp
    %m_t = math.tanh %m_s : !mlp
    %m_1 = arith.addf %one_m, %m_t : !mlp
    %m_h = arith.mulf %half_m, %m : !mlp
    %m_gelu = arith.mulf %m_h, %m_1 : !mlp
    %mm = arith.mulf %m_gelu, %m3 : !mlp
    %f = sm1.linear %mm, %w2 : !mlp, tensor<40x120xf32>
    %x2 = arith.addf %x1, %f : !model
    sm1.yield %x2, %last, %taps : !model, tensor<?x56xf32>, tensor<?x56x3xf32>
  }

  // logits = rms_norm(x) @ embed^T
  %norm = sm1.param "norm.weight" : tensor<40xf32>
  %r_last = sm1.rms_norm %x_last, %norm eps 1.0e-06 : !model
  %logits = sm1.linear %r_last, %embed : !model, tensor<50x40xf32>
  sm1.return %logits, %h_out, %taps_out : tensor<?x?x50xf32>, tensor<?x2x56xf32>, tensor<?x2x56x3xf32>
}
