//===- Sm1Dialect.td - the dialect, its base op class and the classes of tensors it knows ------------------------===//

#ifndef SM1_IR_SM1DIALECT_TD
#define SM1_IR_SM1DIALECT_TD

include "mlir/IR/OpBase.td"

def Sm1_Dialect : Dialect {
  let name = "sm1";
  let cppNamespace = "::sm1";
  let summary = "Scalar state-space models: whole models, single layers and the kernels made from them";
  let description = [{
    The dialect holds the structure of a model (`sm1.model`, `sm1.param`, `sm1.layers`) and the operators that MLIR has no word for
    (`sm1.scan`, `sm1.selective_scan`, `sm1.conv1d`, `sm1.linear`, `sm1.rms_norm`, `sm1.embedding`, `sm1.broadcast`, `sm1.split`).
    Everything elementwise is upstream `arith` and `math` on tensors. The compiler adds `sm1.kernel`, `sm1.launch` and `sm1.dispatch` around them.

    Four classes of tensors, told apart by their shape alone:

    | class     | type                     | meaning                                                       |
    |-----------|--------------------------|---------------------------------------------------------------|
    | stream    | `tensor<?x?xCxf32>`      | batch, time, channel; one row per token                       |
    | tokens    | `tensor<?x?xi32>`        | batch, time                                                   |
    | state     | `tensor<?xC...xf32>`     | batch, channel and what follows; what a sequence carries on   |
    | parameter | `tensor<...>`, static    | weights                                                       |

    Inside one model every stream has the batch and time of the model's inputs, so ops need not name them. `tensor<?xLxC...xf32>` is a
    state of L layers.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

class Sm1_Op<string mnemonic, list<Trait> traits = []> : Op<Sm1_Dialect, mnemonic, traits>;

/// A tensor that a function of Sm1.h recognises.
class Sm1_Tensor<string predicate, string description> : Type<CPred<predicate>, description, "::mlir::RankedTensorType">;

def Sm1_Stream : Sm1_Tensor<"::sm1::isStream($_self)", "stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3">;
def Sm1_FloatStream : Sm1_Tensor<"::sm1::isFloatStream($_self)", "stream tensor<?x?xCxf32>">;
def Sm1_Tokens : Sm1_Tensor<"::sm1::isTokens($_self)", "tokens tensor<?x?xi32>">;
def Sm1_State : Sm1_Tensor<"::sm1::isState($_self)", "state tensor<?xC...xf32>">;
def Sm1_Param : Sm1_Tensor<"::sm1::isParam($_self)", "static tensor of f32, bf16, f16, e4m3, i8 or i4, not empty and of at most 2^40 elements">;
def Sm1_Matrix : Sm1_Tensor<"::sm1::isParam($_self, 2)", "static matrix of f32, bf16, f16, e4m3, i8 or i4">;
def Sm1_ChannelParam : Sm1_Tensor<"::sm1::isChannelParam($_self)", "static tensor<Cxf32>, one number per channel">;

#endif // SM1_IR_SM1DIALECT_TD
