//===- Sm1Ops.td - what a description says: structure and operators ----------------------------------------------===//

#ifndef SM1_IR_SM1OPS_TD
#define SM1_IR_SM1OPS_TD

include "sm1/IR/Sm1Attrs.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"

/// Ops whose results, or whose body's arguments, have names that help a reader of printed IR.
def Sm1_NamesResults : DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>;
def Sm1_NamesArguments : DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>;
def Sm1_NamesBoth : DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames", "getAsmBlockArgumentNames"]>;

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def Sm1_ModelOp : Sm1_Op<"model", [IsolatedFromAbove, Symbol, FunctionOpInterface, Sm1_NamesArguments]> {
  let summary = "A model or a single layer: tokens or tensors and state in, tensors and state out";
  let description = [{
    Arguments and results carry two attributes. `sm1.name` is the tensor's name for `sm1-run call` and in files; `sm1.state` makes it a
    state of a sequence, given in and returned, zero at a sequence's start. A state without `sm1.name` is called `state_in.NAME` and
    `state_out.NAME`. `sm1.rows = "selected"` on a result says that a caller names the rows it wants (logits: usually the last);
    nothing is computed for the others. `sm1.tied` on the model maps a tensor that a checkpoint may hold to the parameter it must equal.

    - model_c1: arguments are tokens, streams with dynamic batch and time, or states with dynamic batch.
    - model_c2: tokens and streams have `sm1.name`, states have `sm1.state`.
    - model_c3: each state argument has exactly one result of the same `sm1.state` and type, and the reverse.
    - model_c4: names are unique among the arguments and among the results.
    - model_c5: the body returns the declared result types.
    - model_c6: only a stream has `sm1.rows`.
    - model_c7: all parameters of one tensor name agree on its shape.

    ```mlir
    sm1.model @head(%x: tensor<?x?x64xf32> {sm1.name = "x"})
        -> (tensor<?x?x161xf32> {sm1.name = "logits", sm1.rows = "selected"}) {
      %w = sm1.param "head.weight" : tensor<161x64xf32>
      %logits = sm1.linear %x, %w : tensor<?x?x64xf32>, tensor<161x64xf32>
      sm1.return %logits : tensor<?x?x161xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    mlir::Region *getCallableRegion() { return &getBody(); }
    llvm::ArrayRef<mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    llvm::ArrayRef<mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    /// The name under which argument or result `index` appears in files.
    std::string argName(unsigned index);
    std::string resultName(unsigned index);
    /// `sm1.state` of an argument or result; empty when it is not a state.
    llvm::StringRef argState(unsigned index);
    llvm::StringRef resultState(unsigned index);
    /// True if the caller selects the rows of result `index`.
    bool resultIsSelected(unsigned index);
  }];
}

def Sm1_ReturnOp : Sm1_Op<"return", [Pure, Terminator, HasParent<"ModelOp">]> {
  let summary = "Results of a model";
  let arguments = (ins Variadic<AnyType>:$results);
  let assemblyFormat = "($results^ `:` type($results))? attr-dict";
}

def Sm1_ParamOp : Sm1_Op<"param", [Pure, Sm1_NamesResults]> {
  let summary = "A parameter, by the name of its tensor";
  let description = [{
    The type is that of the tensor as the model sees it; `{i}` in the name is the number of the layer and only stands inside
    `sm1.layers`. With `rows B to E of N` it is rows B to E-1 of a tensor with N rows. The element type is the storage type: a
    description says f32, the stage `precise` lowers it to what `--weights` asks for. A schedule adds `layout`: `panels` (a matrix, as
    projections read it) or another arrangement of a matrix that PackageFormat.h lists, `rows` (a table), `channels` (one value or a few
    per channel) or `scales`. With an attribute `next` it is that of the layer that comes next: of the first one before the layers, in
    the last layer its own. `quantised` says that it is the values or the scales of a quantised matrix; the stage `precise` makes such.

    - param_c1: `{i}` appears exactly inside `sm1.layers`, and where there is `next`.
    - param_c2: 0 <= B < E <= N, and the type has E - B rows.
    - param_c3: the layout is `panels`, `pairs`, `quads`, `nibbles`, `fragments`, `images`, `rows`, `channels` or `scales`.
    - param_c4: quantised values are [rows, columns] of i8 or i4 as `bits` says, or of bf16: what these integers stand for, rounded;
      or, with one scale for each row of i8, of f8E4M3FN, which 8 bits can be as well; scales [rows, groups] of f32 or f16. No other
      parameter holds integers or f8E4M3FN.

    ```mlir
    %w = sm1.param "layers.{i}.ssm.x_proj.weight" rows 0 to 1408 of 4224 : tensor<1408x1408xf32>
    ```
  }];
  let arguments = (ins StrAttr:$tensor, OptionalAttr<I64Attr>:$firstRow, OptionalAttr<I64Attr>:$endRow,
                       OptionalAttr<I64Attr>:$totalRows, OptionalAttr<StrAttr>:$layout, OptionalAttr<Sm1_QuantisedAttr>:$quantised);
  let results = (outs Sm1_Param:$value);
  let assemblyFormat = [{
    $tensor (`rows` $firstRow^ `to` $endRow `of` $totalRows)? (`quantised` $quantised^)? attr-dict `:` type($value)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Shape of the whole tensor in the checkpoint.
    llvm::SmallVector<int64_t> tensorShape();
  }];
}

def Sm1_LayersOp : Sm1_Op<"layers", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments, Sm1_NamesBoth]> {
  let summary = "The same layer, repeated with its own parameters and state";
  let description = [{
    `carry` values go from each layer to the next. A `state` is split along its dimension 1, one slice per layer, and the slices that
    the layers yield are stacked again. The body yields the carried values, then the state slices, in order.

    - layers_c1: the count is 1 to 4096, and is dimension 1 of every state.
    - layers_c2: the body's arguments and yields have the types of the carried values and state slices.
    - layers_c3: loops do not nest.

    ```mlir
    %y, %h = sm1.layers 10 carry(%x = %x0 : tensor<?x?x704xf32>) state(%hl = %h0 : tensor<?x10x1408xf32>) {
      ...
      sm1.yield %x2, %last : tensor<?x?x704xf32>, tensor<?x1408xf32>
    }
    ```
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntPositive]>:$count, Variadic<AnyRankedTensor>:$carried,
                       Variadic<AnyRankedTensor>:$states);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The type of one layer's slice of a state: dimension 1 removed.
    static mlir::RankedTensorType sliceType(mlir::RankedTensorType state);
  }];
}

def Sm1_YieldOp : Sm1_Op<"yield", [Pure, Terminator, ParentOneOf<["LayersOp", "KernelOp", "LaunchOp"]>]> {
  let summary = "Results of a layer, kernel or launch body";
  let arguments = (ins Variadic<AnyType>:$results);
  let assemblyFormat = "($results^ `:` type($results))? attr-dict";
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

def Sm1_EmbeddingOp : Sm1_Op<"embedding", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "Rows of a table, one per token";
  let description = [{
    `result[b, t, c] = table[tokens[b, t], c]`; exact. The element type is the table's.

    ```mlir
    %x = sm1.embedding %tokens, %table : tensor<?x?xi32>, tensor<442x704xf32>
    ```
  }];
  let arguments = (ins Sm1_Tokens:$tokens, Sm1_Matrix:$table);
  let results = (outs Sm1_Stream:$result);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` type($tokens) `,` custom<Matrix>(type($table))";
}

def Sm1_LinearOp : Sm1_Op<"linear", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "Projection by a matrix [out, in], no bias";
  let description = [{
    `result[b, t, n] = sum over k of x[b, t, k] * weight[n, k]`. Products and sums are f32, whatever the operands are stored in. The
    sum is made of blocks of 64 k, each one chain of fused multiply-adds from zero, added up from zero in ascending order, so that it
    has the same bits in every schedule. (One chain over all k errs 2.7 times as much in the logits of
    the 130M model.)

    Where x and the matrix are both bf16, blocks have 32 k and two chains, over even and over odd k, whose sums are added; that is what
    AMX computes. With `products = dot` (AVX512-BF16) and on the tensor cores of a GPU the order is the instruction's.

    A quantised matrix comes with its `scales`. With one scale per row the sum is multiplied by it at the end. With groups a sum is made
    of blocks of 32 k, each in the order 0-3, 16-19, 4-7, 20-23, ... and multiplied by its scale as it is added (fused). With `int8`, x
    is quantised too, each row by itself: `q = roundeven(x * (127 / max |x|))`, sums of q and the matrix's values are exact integers
    (over all k, or a block), and the result is multiplied by `max |x| / 127` and the scale.

    - linear_c1: the matrix has as many columns as x has channels.
    x and a matrix of f8E4M3FN are multiplied exactly, and the sum, by a GPU in an order and with as many bits as its instruction has,
    is multiplied by the row's scale.

    - linear_c2: a matrix of integers or f8E4M3FN has scales, [rows, groups]; another has none. `int8` goes with integers.
    - linear_c3: x is f8E4M3FN where the matrix is, and nowhere else.

    ```mlir
    %y = sm1.linear %x, %w : tensor<?x?x704xf32>, tensor<2816x704xbf16>
    ```
  }];
  let arguments = (ins Sm1_Stream:$x, Sm1_Matrix:$weight, Optional<Sm1_Matrix>:$scales, UnitAttr:$int8);
  let results = (outs Sm1_FloatStream:$result);
  let assemblyFormat = [{
    $x `,` $weight (`scales` $scales^)? (`int8` $int8^)? attr-dict
    `:` custom<Stream>(type($x)) `,` custom<Matrix>(type($weight)) (`,` type($scales)^)?
  }];
  let hasVerifier = 1;
}

def Sm1_RmsNormOp : Sm1_Op<"rms_norm", [
    Pure, Sm1_NamesResults, AllTypesMatch<["x", "result"]>,
    TypesMatchWith<"rms_norm_c1: weight has one f32 per channel of x", "x", "weight", "::sm1::channelParamType($_self)">]> {
  let summary = "Root-mean-square normalisation over the channels";
  let description = [{
    `result[b, t, c] = x[b, t, c] * (1 / sqrt(mean over c of x[b, t, c]^2 + eps)) * weight[c]` (Zhang and Sennrich, 2019), all in f32.
    The squares are summed by 16 fused multiply-add chains, chain j over channels j, j+16, ..., then added pairwise in halves.

    - rms_norm_c2: eps is positive and finite.

    ```mlir
    %r = sm1.rms_norm %x, %w eps 1.000000e-06 : tensor<?x?x704xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$x, Sm1_ChannelParam:$weight, F32Attr:$eps);
  let results = (outs Sm1_FloatStream:$result);
  let assemblyFormat = "$x `,` $weight `eps` $eps attr-dict `:` custom<Stream>(type($x))";
  let hasVerifier = 1;
}

def Sm1_Conv1dOp : Sm1_Op<"conv1d", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "Depthwise causal convolution over time, with the taps that a sequence carries";
  let description = [{
    With `x[b, -j, c]` for `j` in 1..K-1 taken from the taps, oldest first (`taps[b, c, K-1-j]`):
    ```
    result[b, t, c]  = bias[c] + sum over j of weight[c, 0, j] * x[b, t-K+1+j, c]
    last[b, c, j]    = x[b, T-K+1+j, c],  j in 0..K-2
    ```
    The sum is a chain of fused multiply-adds that starts at the bias, j ascending, in f32.

    - conv1d_c1: weight is [C, 1, K] with K at least 2, bias is [C], for C channels.
    - conv1d_c2: taps are [batch, C, K-1].

    ```mlir
    %c, %last = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x1408xf32>, tensor<1408x1x4xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$x, Sm1_Param:$weight, Sm1_ChannelParam:$bias, Sm1_State:$taps);
  let results = (outs Sm1_FloatStream:$result, Sm1_State:$last);
  let hasCustomAssemblyFormat = 1;
}

def Sm1_ScanOp : Sm1_Op<"scan", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "First-order recurrence along time, one f32 of state per channel";
  let description = [{
    With `h[b, -1, c] = init[b, c]`, zero without `init`:
    ```
    h[b, t, c]  = decay[b, t, c] * h[b, t-1, c] + input[b, t, c]
    last[b, c]  = h[b, T-1, c]
    ```
    `form exact` is one fused multiply-add per token in ascending time. `form closed_form` is the published arithmetic, kept as a
    diagnosis of old checkpoints: `L = cumprod(decay)`, `h = L * (init + cumsum(input / max(L, 1e-6)))`; it is wrong after some 20
    tokens, and holds only for a whole sequence in one piece.

    - scan_c1: decay and input have one type.
    - scan_c2: init is [batch, channel] of decay.

    ```mlir
    %h, %last = sm1.scan %decay, %input init %h0 : tensor<?x?x1408xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$decay, Sm1_FloatStream:$input, Optional<Sm1_State>:$init,
                       DefaultValuedAttr<Sm1_ScanFormAttr, "::sm1::ScanForm::Exact">:$form);
  let results = (outs Sm1_FloatStream:$h, Sm1_State:$last);
  let hasCustomAssemblyFormat = 1;
}

def Sm1_SelectiveScanOp : Sm1_Op<"selective_scan", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "Recurrence of N f32 of state per channel, written and read through weights that all channels share";
  let description = [{
    The scan of Mamba (Gu and Dao, 2023). With C channels, N states to each, and `h[b, -1, c, n] = init[b, c, n]`, zero without `init`:
    ```
    h[b, t, c, n]  = exp(dt[b, t, c] * A[c, n]) * h[b, t-1, c, n] + input[b, t, c] * B[b, t, n]
    y[b, t, c]     = sum over n of C[b, t, n] * h[b, t, c, n]
    last[b, c, n]  = h[b, T-1, c, n]
    ```
    h is one fused multiply-add per token, its product with B rounded before; y is a chain of them from zero, n ascending. Neither decay
    nor h is ever an array over time.

    - selective_scan_c1: dt and input have one type.
    - selective_scan_c2: A is [C, N] for the C channels of dt and the N of B, with N at most 256; B and C have one type.
    - selective_scan_c3: init is [batch, C, N].

    ```mlir
    %y, %last = sm1.selective_scan %dt, %input, %A, %B, %C init %h0 : tensor<?x?x1536xf32>, tensor<?x?x16xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$dt, Sm1_FloatStream:$input, Sm1_Param:$a, Sm1_FloatStream:$b, Sm1_FloatStream:$c,
                       Optional<Sm1_State>:$init);
  let results = (outs Sm1_FloatStream:$y, Sm1_State:$last);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// States of a channel.
    int64_t stateSize() { return ::sm1::channels(getB().getType()); }
  }];
}

def Sm1_BroadcastOp : Sm1_Op<"broadcast", [Pure]> {
  let summary = "A number, or one number per channel, as a stream";
  let description = [{
    `result[b, t, c] = value` or `value[c]`; exact.

    - broadcast_c1: a tensor has one element per channel of the result.

    ```mlir
    %b = sm1.broadcast %bias : tensor<1408xf32> to tensor<?x?x1408xf32>
    %one = sm1.broadcast %c1 : f32 to tensor<?x?x1408xf32>
    ```
  }];
  let arguments = (ins AnyTypeOf<[F32, Sm1_ChannelParam]>:$value);
  let results = (outs Sm1_FloatStream:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `to` type($result)";
  let hasVerifier = 1;
}

def Sm1_SplitOp : Sm1_Op<"split", [Pure]> {
  let summary = "A stream cut along its channels";
  let description = [{
    The parts take the channels of x in order.

    - split_c1: the widths of the parts add up to that of x; batch, time and element type are those of x.

    ```mlir
    %xi, %z = sm1.split %xz : tensor<?x?x2816xf32> into tensor<?x?x1408xf32>, tensor<?x?x1408xf32>
    ```
  }];
  let arguments = (ins Sm1_Stream:$x);
  let results = (outs Variadic<Sm1_Stream>:$parts);
  let assemblyFormat = "$x attr-dict `:` custom<Stream>(type($x)) `into` type($parts)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

#endif // SM1_IR_SM1OPS_TD
