//===- Sm1NormHalves.td - a norm in two halves, which the compiler makes of one ----------------------------------===//

#ifndef SM1_IR_SM1NORMHALVES_TD
#define SM1_IR_SM1NORMHALVES_TD

include "sm1/IR/Sm1KernelOps.td"

def Sm1_PanelSquaresOp : Sm1_Op<"panel_squares", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>, Sm1_NamesResults]> {
  let summary = "Sums of the squares of every 16 channels of a row";
  let description = [{
    `result[b, t, p] = sum over c in 16 p to 16 p + 15 of x[b, t, c]^2` in f32, in the order of the tile that makes it. It is the half of
    a norm that whoever computes x can do without seeing a whole row; `sm1.rms_scale` is the other.

    With `parts` a row has so many numbers, a multiple of 4, whose sum is that of its squares: the part of the channels that each
    stands for is that of a tile, and what no tile has is zero.

    ```mlir
    %s = sm1.panel_squares %x : tensor<?x?x704xf32>
    %t = sm1.panel_squares %x parts 4 : tensor<?x?x704xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$x, OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>:$parts);
  let results = (outs Sm1_FloatStream:$result);
  let assemblyFormat = "$x (`parts` $parts^)? attr-dict `:` type($x)";
  let hasVerifier = 1; /* panel_squares_c1 */
}

def Sm1_RmsScaleOp : Sm1_Op<"rms_scale", [Pure, AllTypesMatch<["x", "result"]>, Sm1_NamesResults]> {
  let summary = "Rows by the inverse root mean square of others, which are given by the squares of their panels";
  let description = [{
    `result[b, t, c] = x[b, t, c] * (1 / sqrt(sum over p of squares[b, t, p] / width + eps))`, in f32, where the squares are those of a row
    of `width` channels. x may be anything that is linear in that row: a projection of it, or the row itself.

    - rms_scale_c1: the squares are those of ceil(width / 16) panels, or in fewer parts, a multiple of 4.

    ```mlir
    %r = sm1.rms_scale %y, %s width 704 eps 1.000000e-06 : tensor<?x?x1408xf32>, tensor<?x?x44xf32>
    ```
  }];
  let arguments = (ins Sm1_FloatStream:$x, Sm1_FloatStream:$squares, ConfinedAttr<I64Attr, [IntPositive]>:$width, F32Attr:$eps);
  let results = (outs Sm1_FloatStream:$result);
  let assemblyFormat = "$x `,` $squares `width` $width `eps` $eps attr-dict `:` type($x) `,` type($squares)";
  let hasVerifier = 1;
}

#endif // SM1_IR_SM1NORMHALVES_TD
