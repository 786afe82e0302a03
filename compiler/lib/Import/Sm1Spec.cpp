//===- Sm1Spec.cpp - an SM1 configuration as a description in MLIR text ------------------------------------------===//
//
// $NAME stands for a size; see `sizes` at the end.

#include "Models.h"

#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace sm1;

namespace {
struct Sm1Config {
  int64_t vocabSize = 0, dModel = 0, nLayers = 0;
  int64_t dConv = 4, expand = 2;
  /// Default: 2.667 times dModel, cut to an integer, then up to a multiple of 64.
  int64_t dFf = 0;
  std::string rmsNormEps;

  int64_t dInner() const { return expand * dModel; }
  int64_t parameters() const;
};
} // namespace

int64_t Sm1Config::parameters() const {
  int64_t inner = dInner();
  int64_t mixer = 2 * inner * dModel + inner * (dConv + 1) + inner + 3 * inner * inner + 3 * inner + dModel * inner;
  return vocabSize * dModel + nLayers * (mixer + 3 * dFf * dModel + 2 * dModel) + dModel;
}

static Sm1Config readFields(FieldReader &reader) {
  Sm1Config config;
  config.vocabSize = reader.integer("vocab_size", 1, maxVocab);
  config.dModel = reader.integer("d_model", 1, maxWidth);
  config.nLayers = reader.integer("n_layers", 1, 4096);
  config.dConv = reader.integer("d_conv", 2, 64, config.dConv);
  config.expand = reader.integer("expand", 1, 64, config.expand);
  config.dFf = reader.integer("d_ff", 1, 4 * maxWidth, (int64_t(config.dModel * 2.667) + 63) / 64 * 64);
  config.rmsNormEps = floatLiteral(reader.positive("rms_norm_eps", 1e-6));
  reader.onlyTrue("tie_word_embeddings", "as the head of sm1 is its embedding");
  reader.limitParameters(config.parameters());
  return config;
}

static constexpr StringLiteral head =
    R"(// SM1: $L layers of width $D over $V tokens, $PARAMETERS parameters. SPEC.mlir is this text:
//   sm1c SPEC.mlir --params=CHECKPOINT -o model.sm1pkg
//   sm1-run generate model.sm1pkg -o out.mid
// CHECKPOINT is a directory with model.safetensors, or such a file; `sm1c CHECKPOINT` compiles the same.
!model = tensor<?x?x$Dxf32> // batch, time, channels
!inner = tensor<?x?x$Fxf32> // inside a mixer
!mlp = tensor<?x?x$FFxf32> // inside an MLP

sm1.model @sm1(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x$Lx$Fxf32> {sm1.state = "h"},
               %taps_in: tensor<?x$Lx$Fx$TAPSxf32> {sm1.state = "conv"})
    -> (tensor<?x?x$Vxf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x$Lx$Fxf32> {sm1.state = "h"},
        tensor<?x$Lx$Fx$TAPSxf32> {sm1.state = "conv"})
    attributes {sm1.tied = {"head.weight" = "embed.weight"}} {
  %embed = sm1.param "embed.weight" : tensor<$Vx$Dxf32>
  %x0 = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<$Vx$Dxf32>

  %x_last, %h_out, %taps_out = sm1.layers $L carry(%x = %x0 : !model)
      state(%h0 = %h_in : tensor<?x$Lx$Fxf32>, %taps0 = %taps_in : tensor<?x$Lx$Fx$TAPSxf32>) {
    %one_f = arith.constant 1.0 : f32
    %one = sm1.broadcast %one_f : f32 to !inner
)";

static constexpr StringLiteral mixerInput = R"(
    // r = rms_norm(x); xi, z = split(r @ in_proj^T)
    %norm1 = sm1.param "layers.{i}.norm1.weight" : tensor<$Dxf32>
    %in_proj = sm1.param "layers.{i}.ssm.in_proj.weight" : tensor<$2Fx$Dxf32>
    %r = sm1.rms_norm %x, %norm1 eps $EPS : !model
    %xz = sm1.linear %r, %in_proj : !model, tensor<$2Fx$Dxf32>
    %xi, %z = sm1.split %xz : tensor<?x?x$2Fxf32> into !inner, !inner

    // c = conv1d(xi); u = rms_norm(silu(c)), silu(v) = v / (1 + exp(-v))
    %conv_w = sm1.param "layers.{i}.ssm.conv1d.weight" : tensor<$Fx1x$Kxf32>
    %conv_b = sm1.param "layers.{i}.ssm.conv1d.bias" : tensor<$Fxf32>
    %ssm_norm = sm1.param "layers.{i}.ssm.norm.weight" : tensor<$Fxf32>
    %c, %taps = sm1.conv1d %xi, %conv_w, %conv_b taps %taps0 : !inner, tensor<$Fx1x$Kxf32>
    %c_neg = arith.negf %c : !inner
    %c_exp = math.exp %c_neg : !inner
    %c_den = arith.addf %one, %c_exp : !inner
    %c_silu = arith.divf %c, %c_den : !inner
    %u = sm1.rms_norm %c_silu, %ssm_norm eps $EPS : !inner

    // B, C, dt = split(u @ x_proj^T)
    %x_proj = sm1.param "layers.{i}.ssm.x_proj.weight" : tensor<$3Fx$Fxf32>
    %bcdt = sm1.linear %u, %x_proj : !inner, tensor<$3Fx$Fxf32>
    %B, %C, %dt0 = sm1.split %bcdt : tensor<?x?x$3Fxf32> into !inner, !inner, !inner
)";

static constexpr StringLiteral recurrence = R"(
    // dt = clamp(softplus(dt + dt_bias), 1e-4, 10), softplus(v) = max(v, 0) + log1p(exp(-|v|))
    %dt_bias = sm1.param "layers.{i}.ssm.dt_bias" : tensor<$Fxf32>
    %dt_bias_b = sm1.broadcast %dt_bias : tensor<$Fxf32> to !inner
    %zero_f = arith.constant 0.0 : f32
    %zero = sm1.broadcast %zero_f : f32 to !inner
    %dt_min_f = arith.constant 1.0e-4 : f32
    %dt_min = sm1.broadcast %dt_min_f : f32 to !inner
    %dt_max_f = arith.constant 10.0 : f32
    %dt_max = sm1.broadcast %dt_max_f : f32 to !inner
    %dt1 = arith.addf %dt0, %dt_bias_b : !inner
    %dt_abs = math.absf %dt1 : !inner
    %dt_neg = arith.negf %dt_abs : !inner
    %dt_exp = math.exp %dt_neg : !inner
    %dt_log = math.log1p %dt_exp : !inner
    %dt_pos = arith.maximumf %dt1, %zero : !inner
    %softplus = arith.addf %dt_pos, %dt_log : !inner
    %dt_low = arith.maximumf %softplus, %dt_min : !inner
    %dt = arith.minimumf %dt_low, %dt_max : !inner

    // decay = clamp(exp(-dt * exp(A_log)), 1e-6, 1 - 1e-6)
    %A_log = sm1.param "layers.{i}.ssm.A_log" : tensor<$Fxf32>
    %A = math.exp %A_log : tensor<$Fxf32>
    %A_neg = arith.negf %A : tensor<$Fxf32>
    %A_b = sm1.broadcast %A_neg : tensor<$Fxf32> to !inner
    %decay_min_f = arith.constant 1.0e-6 : f32
    %decay_min = sm1.broadcast %decay_min_f : f32 to !inner
    %decay_max_f = arith.constant 0.999999 : f32
    %decay_max = sm1.broadcast %decay_max_f : f32 to !inner
    %rate = arith.mulf %dt, %A_b : !inner
    %decay0 = math.exp %rate : !inner
    %decay1 = arith.maximumf %decay0, %decay_min : !inner
    %decay = arith.minimumf %decay1, %decay_max : !inner

    // h = scan(decay, B * u * dt, from h0); y = C * h + D * u
    %bu = arith.mulf %B, %u : !inner
    %input = arith.mulf %bu, %dt : !inner
    %h, %last = sm1.scan %decay, %input init %h0 : !inner
    %D = sm1.param "layers.{i}.ssm.D" : tensor<$Fxf32>
    %D_b = sm1.broadcast %D : tensor<$Fxf32> to !inner
    %ch = arith.mulf %C, %h : !inner
    %du = arith.mulf %D_b, %u : !inner
    %y = arith.addf %ch, %du : !inner
)";

static constexpr StringLiteral outputs = R"(
    // x = x + (y * silu(z)) @ out_proj^T
    %out_proj = sm1.param "layers.{i}.ssm.out_proj.weight" : tensor<$Dx$Fxf32>
    %z_neg = arith.negf %z : !inner
    %z_exp = math.exp %z_neg : !inner
    %z_den = arith.addf %one, %z_exp : !inner
    %z_silu = arith.divf %z, %z_den : !inner
    %g = arith.mulf %y, %z_silu : !inner
    %o = sm1.linear %g, %out_proj : !inner, tensor<$Dx$Fxf32>
    %x1 = arith.addf %x, %o : !model

    // x = x + (silu(r @ w1^T) * (r @ w3^T)) @ w2^T, r = rms_norm(x)
    %norm2 = sm1.param "layers.{i}.norm2.weight" : tensor<$Dxf32>
    %w1 = sm1.param "layers.{i}.mlp.w1.weight" : tensor<$FFx$Dxf32>
    %w3 = sm1.param "layers.{i}.mlp.w3.weight" : tensor<$FFx$Dxf32>
    %w2 = sm1.param "layers.{i}.mlp.w2.weight" : tensor<$Dx$FFxf32>
    %r2 = sm1.rms_norm %x1, %norm2 eps $EPS : !model
    %m1 = sm1.linear %r2, %w1 : !model, tensor<$FFx$Dxf32>
    %m3 = sm1.linear %r2, %w3 : !model, tensor<$FFx$Dxf32>
    %one_mlp = sm1.broadcast %one_f : f32 to !mlp
    %m_neg = arith.negf %m1 : !mlp
    %m_exp = math.exp %m_neg : !mlp
    %m_den = arith.addf %one_mlp, %m_exp : !mlp
    %m_silu = arith.divf %m1, %m_den : !mlp
    %m = arith.mulf %m_silu, %m3 : !mlp
    %f = sm1.linear %m, %w2 : !mlp, tensor<$Dx$FFxf32>
    %x2 = arith.addf %x1, %f : !model
    sm1.yield %x2, %last, %taps : !model, tensor<?x$Fxf32>, tensor<?x$Fx$TAPSxf32>
  }

  // logits = rms_norm(x) @ embed^T
  %norm = sm1.param "norm.weight" : tensor<$Dxf32>
  %r_last = sm1.rms_norm %x_last, %norm eps $EPS : !model
  %logits = sm1.linear %r_last, %embed : !model, tensor<$Vx$Dxf32>
  sm1.return %logits, %h_out, %taps_out : tensor<?x?x$Vxf32>, tensor<?x$Lx$Fxf32>, tensor<?x$Lx$Fx$TAPSxf32>
}
)";

static std::string specOf(const Sm1Config &config) {
  int64_t inner = config.dInner();
  const std::pair<StringRef, std::string> sizes[] = {
      {"L", std::to_string(config.nLayers)},
      {"V", std::to_string(config.vocabSize)},
      {"D", std::to_string(config.dModel)},
      {"F", std::to_string(inner)},
      {"2F", std::to_string(2 * inner)},
      {"3F", std::to_string(3 * inner)},
      {"FF", std::to_string(config.dFf)},
      {"K", std::to_string(config.dConv)},
      {"TAPS", std::to_string(config.dConv - 1)},
      {"EPS", config.rmsNormEps},
      {"PARAMETERS", formatv("{0:N}", config.parameters())},
  };
  std::string text;
  for (StringRef part : {head, mixerInput, recurrence, outputs})
    text += substitute(part, sizes);
  return text;
}

ImportedModel sm1::importSm1(FieldReader &reader) {
  Sm1Config config = readFields(reader);
  std::string storage = reader.storage({"torch_dtype"});
  return {reader.error.empty() ? specOf(config) : "", storage};
}
