//===- MambaSpec.cpp - a Mamba-1 configuration of Hugging Face transformers as a description in MLIR text --------===//
//
// $NAME stands for a size or for what a model has or has not; see `values` at the end.

#include "Models.h"

#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace sm1;

namespace {
struct MambaConfig {
  int64_t vocabSize = 0, hidden = 0, layers = 0, inner = 0, states = 0, kernel = 0, rank = 0;
  bool bias = false, convBias = true, tied = true;
  std::string eps;

  int64_t parameters() const;
};
} // namespace

int64_t MambaConfig::parameters() const {
  int64_t mixer = 3 * inner * hidden + inner * (kernel + convBias) + (rank + 2 * states) * inner + inner * (rank + 1) +
                  inner * (states + 1) + bias * (2 * inner + hidden);
  return vocabSize * hidden * (tied ? 1 : 2) + layers * (mixer + hidden) + hidden;
}

/// Names and defaults are those of MambaConfig in transformers. What changes training alone is passed over.
static MambaConfig readFields(FieldReader &reader) {
  MambaConfig config;
  config.vocabSize = reader.integer("vocab_size", 1, maxVocab);
  config.hidden = reader.integer("hidden_size", 1, maxWidth);
  config.layers = reader.integer("num_hidden_layers", 1, 4096);
  int64_t expand = reader.integer("expand", 1, 64, 2);
  config.inner = reader.integer("intermediate_size", 1, 64 * maxWidth, expand * config.hidden);
  config.states = reader.integer("state_size", 1, 256, 16);
  config.kernel = reader.integer("conv_kernel", 2, 64, 4);
  bool isAuto = reader.isString("time_step_rank", "auto");
  int64_t rank = (config.hidden + 15) / 16;
  config.rank = isAuto ? rank : reader.integer("time_step_rank", 1, maxWidth, rank);
  config.bias = reader.boolean("use_bias", false);
  config.convBias = reader.boolean("use_conv_bias", true);
  config.tied = reader.boolean("tie_word_embeddings", true);
  config.eps = floatLiteral(reader.positive("layer_norm_epsilon", 1e-5));
  std::string activation = reader.string("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    reader.fail("field 'hidden_act' must be silu, got '" + Twine(activation) + "'; change it in the text that --emit=spec prints");
  reader.limitParameters(config.parameters());
  return config;
}

static constexpr StringLiteral head =
    R"(// Mamba-1: $L layers of width $D over $V tokens, $N states a channel, $PARAMETERS parameters; tensors are named as transformers'
// MambaForCausalLM names them. SPEC.mlir is this text:
//   sm1c SPEC.mlir --params=CHECKPOINT -o model.sm1pkg
//   sm1-run logits model.sm1pkg --tokens=tokens.safetensors --out=logits.safetensors
// CHECKPOINT is a directory with model.safetensors, or such a file; `sm1c CHECKPOINT` compiles the same.
!model = tensor<?x?x$Dxf32> // batch, time, channels
!inner = tensor<?x?x$Fxf32> // inside a mixer
!states = tensor<?x?x$Nxf32> // what is shared by all channels of a mixer

sm1.model @mamba(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x$Lx$Fx$Nxf32> {sm1.state = "h"},
                 %taps_in: tensor<?x$Lx$Fx$TAPSxf32> {sm1.state = "conv"})
    -> (tensor<?x?x$Vxf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x$Lx$Fx$Nxf32> {sm1.state = "h"},
        tensor<?x$Lx$Fx$TAPSxf32> {sm1.state = "conv"})$TIED {
  %embed = sm1.param "backbone.embeddings.weight" : tensor<$Vx$Dxf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<$Vx$Dxf32>

  %x_last, %h_out, %taps_out = sm1.layers $L carry(%x = %x0 : !model)
      state(%h0 = %h_in : tensor<?x$Lx$Fx$Nxf32>, %taps0 = %taps_in : tensor<?x$Lx$Fx$TAPSxf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner

    // r = rms_norm(x); xi, z = split(r @ in_proj^T)
    %norm = sm1.param "backbone.layers.{i}.norm.weight" : tensor<$Dxf32>
    %in_proj = sm1.param "backbone.layers.{i}.mixer.in_proj.weight" : tensor<$2Fx$Dxf32>
    %r = sm1.rms_norm %x, %norm eps $EPS : !model
    %xz = sm1.linear %r, %in_proj : !model, tensor<$2Fx$Dxf32>
)";

static constexpr StringLiteral splitWithoutBias = R"(    %xi, %z = sm1.split %xz : tensor<?x?x$2Fxf32> into !inner, !inner
)";

static constexpr StringLiteral splitWithBias = R"(    %xi0, %z0 = sm1.split %xz : tensor<?x?x$2Fxf32> into !inner, !inner
    %xi_bias = sm1.param "backbone.layers.{i}.mixer.in_proj.bias" rows 0 to $F of $2F : tensor<$Fxf32>
    %xi_bias_b = sm1.broadcast %xi_bias : tensor<$Fxf32> to !inner
    %xi = arith.addf %xi0, %xi_bias_b : !inner
    %z_bias = sm1.param "backbone.layers.{i}.mixer.in_proj.bias" rows $F to $2F of $2F : tensor<$Fxf32>
    %z_bias_b = sm1.broadcast %z_bias : tensor<$Fxf32> to !inner
    %z = arith.addf %z0, %z_bias_b : !inner
)";

static constexpr StringLiteral convolution = R"(
    // u = silu(conv1d(xi)), silu(v) = v / (1 + exp(-v))
    %conv_w = sm1.param "backbone.layers.{i}.mixer.conv1d.weight" : tensor<$Fx1x$Kxf32>
    %conv_b = $CONV_BIAS : tensor<$Fxf32>
    %c, %taps = sm1.conv1d %xi, %conv_w, %conv_b taps %taps0 : !inner, tensor<$Fx1x$Kxf32>
    %c_neg = arith.negf %c : !inner
    %c_exp = math.exp %c_neg : !inner
    %c_den = arith.addf %one, %c_exp : !inner
    %u = arith.divf %c, %c_den : !inner

    // dt, B, C = split(u @ x_proj^T); B and C have a number for each state, the same for all channels
    %x_proj = sm1.param "backbone.layers.{i}.mixer.x_proj.weight" : tensor<$XPx$Fxf32>
    %dbc = sm1.linear %u, %x_proj : !inner, tensor<$XPx$Fxf32>
    %dt0, %B, %C = sm1.split %dbc : tensor<?x?x$XPxf32> into tensor<?x?x$Rxf32>, !states, !states
)";

static constexpr StringLiteral recurrence = R"(
    // dt = softplus(dt @ dt_proj^T + bias), softplus(v) = max(v, 0) + log1p(exp(-|v|))
    %dt_proj = sm1.param "backbone.layers.{i}.mixer.dt_proj.weight" : tensor<$Fx$Rxf32>
    %dt_bias = sm1.param "backbone.layers.{i}.mixer.dt_proj.bias" : tensor<$Fxf32>
    %dt_bias_b = sm1.broadcast %dt_bias : tensor<$Fxf32> to !inner
    %zero_f = arith.constant 0.0 : f32
    %zero = sm1.broadcast %zero_f : f32 to !inner
    %dt1 = sm1.linear %dt0, %dt_proj : tensor<?x?x$Rxf32>, tensor<$Fx$Rxf32>
    %dt2 = arith.addf %dt1, %dt_bias_b : !inner
    %dt_abs = math.absf %dt2 : !inner
    %dt_neg = arith.negf %dt_abs : !inner
    %dt_exp = math.exp %dt_neg : !inner
    %dt_log = math.log1p %dt_exp : !inner
    %dt_pos = arith.maximumf %dt2, %zero : !inner
    %dt = arith.addf %dt_pos, %dt_log : !inner

    // h = exp(dt * -exp(A_log)) * h + dt * u * B; y = C . h + D * u
    %A_log = sm1.param "backbone.layers.{i}.mixer.A_log" : tensor<$Fx$Nxf32>
    %A_exp = math.exp %A_log : tensor<$Fx$Nxf32>
    %A = arith.negf %A_exp : tensor<$Fx$Nxf32>
    %input = arith.mulf %dt, %u : !inner
    %ch, %last = sm1.selective_scan %dt, %input, %A, %B, %C init %h0 : !inner, !states
    %D = sm1.param "backbone.layers.{i}.mixer.D" : tensor<$Fxf32>
    %D_b = sm1.broadcast %D : tensor<$Fxf32> to !inner
    %du = arith.mulf %D_b, %u : !inner
    %y = arith.addf %ch, %du : !inner

    // x = x + (y * silu(z)) @ out_proj^T
    %out_proj = sm1.param "backbone.layers.{i}.mixer.out_proj.weight" : tensor<$Dx$Fxf32>
    %z_neg = arith.negf %z : !inner
    %z_exp = math.exp %z_neg : !inner
    %z_den = arith.addf %one, %z_exp : !inner
    %z_silu = arith.divf %z, %z_den : !inner
    %g = arith.mulf %y, %z_silu : !inner
)";

static constexpr StringLiteral output = R"(    %o = sm1.linear %g, %out_proj : !inner, tensor<$Dx$Fxf32>
)";

static constexpr StringLiteral outputWithBias = R"(    %o0 = sm1.linear %g, %out_proj : !inner, tensor<$Dx$Fxf32>
    %out_bias = sm1.param "backbone.layers.{i}.mixer.out_proj.bias" : tensor<$Dxf32>
    %out_bias_b = sm1.broadcast %out_bias : tensor<$Dxf32> to !model
    %o = arith.addf %o0, %out_bias_b : !model
)";

static constexpr StringLiteral tail = R"(    %x1 = arith.addf %x, %o : !model
    sm1.yield %x1, %last, %taps : !model, tensor<?x$Fx$Nxf32>, tensor<?x$Fx$TAPSxf32>
  }

  // logits = rms_norm(x) @ head^T
  %norm_f = sm1.param "backbone.norm_f.weight" : tensor<$Dxf32>
  %head = sm1.param "$HEAD" : tensor<$Vx$Dxf32>
  %r_last = sm1.rms_norm %x_last, %norm_f eps $EPS : !model
  %logits = sm1.linear %r_last, %head : !model, tensor<$Vx$Dxf32>
  sm1.return %logits, %h_out, %taps_out : tensor<?x?x$Vxf32>, tensor<?x$Lx$Fx$Nxf32>, tensor<?x$Lx$Fx$TAPSxf32>
}
)";

static std::string specOf(const MambaConfig &config) {
  StringRef embedding = "backbone.embeddings.weight", ownHead = "lm_head.weight";
  const std::pair<StringRef, std::string> values[] = {
      {"L", std::to_string(config.layers)},
      {"V", std::to_string(config.vocabSize)},
      {"D", std::to_string(config.hidden)},
      {"F", std::to_string(config.inner)},
      {"2F", std::to_string(2 * config.inner)},
      {"N", std::to_string(config.states)},
      {"R", std::to_string(config.rank)},
      {"XP", std::to_string(config.rank + 2 * config.states)},
      {"K", std::to_string(config.kernel)},
      {"TAPS", std::to_string(config.kernel - 1)},
      {"EPS", config.eps},
      {"PARAMETERS", formatv("{0:N}", config.parameters())},
      {"CONV_BIAS", config.convBias ? R"(sm1.param "backbone.layers.{i}.mixer.conv1d.bias")" : "arith.constant dense<0.0>"},
      {"HEAD", (config.tied ? embedding : ownHead).str()},
      {"TIED", config.tied ? R"( attributes {sm1.tied = {"lm_head.weight" = "backbone.embeddings.weight"}})" : ""},
  };
  std::string text;
  for (StringRef part : {StringRef(head), StringRef(config.bias ? splitWithBias : splitWithoutBias), StringRef(convolution),
                         StringRef(recurrence), StringRef(config.bias ? outputWithBias : output), StringRef(tail)})
    text += substitute(part, values);
  return text;
}

ImportedModel sm1::importMamba(FieldReader &reader) {
  MambaConfig config = readFields(reader);
  std::string storage = reader.storage({"dtype", "torch_dtype"});
  return {reader.error.empty() ? specOf(config) : "", storage};
}
