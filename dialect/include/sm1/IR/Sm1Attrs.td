//===- Sm1Attrs.td - enums and attributes of the dialect ---------------------------------------------------------===//

#ifndef SM1_IR_SM1ATTRS_TD
#define SM1_IR_SM1ATTRS_TD

include "sm1/IR/Sm1Dialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Sm1_ScanForm : I32EnumAttr<"ScanForm", "arithmetic of a scan", [
    I32EnumAttrCase<"Exact", 0, "exact">,
    I32EnumAttrCase<"ClosedForm", 1, "closed_form">]> {
  let cppNamespace = "::sm1";
  let genSpecializedAttr = 0;
}
def Sm1_ScanFormAttr : EnumAttr<Sm1_Dialect, Sm1_ScanForm, "form">;

def Sm1_Sync : I32EnumAttr<"Sync", "how the phases of one launch wait for each other", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"Flags", 1, "flags">,
    I32EnumAttrCase<"Grid", 2, "grid">]> {
  let cppNamespace = "::sm1";
  let genSpecializedAttr = 0;
}
def Sm1_SyncAttr : EnumAttr<Sm1_Dialect, Sm1_Sync, "sync">;

def Sm1_QuantisedAttr : AttrDef<Sm1_Dialect, "Quantised"> {
  let mnemonic = "quantised";
  let summary = "How a matrix is stored as small integers";
  let description = [{
    Element [n, k] stands for `value[n, k] * scale[n, k / group]`, with signed integers of `bits` bits, 8 or 4. `group` 0: one scale per
    row. `columns` is the width of the matrix. The attribute stands on the parameter of the values and on that of the scales; both come
    from one tensor of the checkpoint, and the packing steps `quantise` and `scales` say how. Values of f8E4M3FN take the scales of 8
    bits (packing step `e4m3`): they reach 128, and from there 13 binary orders down without loss.
  }];
  let parameters = (ins "int64_t":$bits, "int64_t":$group, "int64_t":$columns);
  let assemblyFormat = "`<` `bits` `=` $bits `,` `group` `=` $group `,` `columns` `=` $columns `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Scales of one row.
    int64_t groups() const { return getGroup() ? (getColumns() + getGroup() - 1) / getGroup() : 1; }
  }];
}

def Sm1_Products : I32EnumAttr<"Products", "instructions that multiply and add in a projection", [
    I32EnumAttrCase<"Fma", 0, "fma">,
    I32EnumAttrCase<"Dot", 1, "dot">,
    I32EnumAttrCase<"Table", 2, "table">]> {
  let cppNamespace = "::sm1";
  let genSpecializedAttr = 0;
}

def Sm1_ScheduleAttr : AttrDef<Sm1_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "How a kernel covers its rows and panels";
  let description = [{
    A panel is 16 neighbouring channels. The body is evaluated for `row_tile` rows and `panel_tile` panels at once; rows that do not
    fill a tile are evaluated one at a time over `single_row_panels` panels at once, which is how many weight streams a single row
    reads together. A task has at most `row_split` rows (0: all rows, in order, as a scan needs) and a multiple of `panel_split` panels
    (0: all panels, as a norm needs). With `row_band` a task takes its rows in bands of so many (0: all rows at once): all its panels for
    one band, then the next, so that the rows that projections read over and over stay in the core's cache.

    With `apart` each projection of a row tile has a loop over k of its own and leaves its sums in scratch, from where the rest of the
    kernel reads them: few registers then hold a tile of as many rows as one projection alone could have. Tasks of at least `widen_rows`
    rows (0: none) unpack stored weights once for all their rows (of a band), in scratch, and not once for each row tile. None of these
    changes a sum.

    `products` says what multiplies: `fma`, `table`, which is `fma` with int4 looked up among 16 lanes of a register (AVX-512), or `dot`
    products of neighbouring k (of bf16 with AVX512-BF16; of integers with VNNI, in pairs of 16 bits without). With `matrix_rows`, a
    multiple of 16, the sums of so many rows by `matrix_panels` panels are made in tile registers (AMX) first; what fills no such
    block is left to the rest of the schedule, which sums in the same order.
  }];
  let parameters = (ins "int64_t":$rowTile, "int64_t":$panelTile, "int64_t":$singleRowPanels, "int64_t":$rowSplit,
                        "int64_t":$panelSplit, DefaultValuedParameter<"int64_t", "0">:$rowBand,
                        DefaultValuedParameter<"bool", "false">:$apart, DefaultValuedParameter<"int64_t", "0">:$widenRows, DefaultValuedParameter<"::sm1::Products", "::sm1::Products::Fma">:$products,
                        DefaultValuedParameter<"int64_t", "0">:$matrixRows, DefaultValuedParameter<"int64_t", "0">:$matrixPanels);
  let assemblyFormat = [{
    `<` `row_tile` `=` $rowTile `,` `panel_tile` `=` $panelTile `,` `single_row_panels` `=` $singleRowPanels `,`
    `row_split` `=` $rowSplit `,` `panel_split` `=` $panelSplit `` custom<Products>($rowBand, $apart, $widenRows, $products, $matrixRows, $matrixPanels) `` `>`
  }];
  let builders = [AttrBuilder<(ins "int64_t":$rowTile, "int64_t":$panelTile, "int64_t":$singleRowPanels, "int64_t":$rowSplit,
                                   "int64_t":$panelSplit), [{
    return $_get($_ctxt, rowTile, panelTile, singleRowPanels, rowSplit, panelSplit, int64_t(0), false, int64_t(0), ::sm1::Products::Fma,
                     int64_t(0), int64_t(0));
  }]>];
  let genVerifyDecl = 1;
}

def Sm1_BlockForm : I32EnumAttr<"BlockForm", "how the threads of a block share a kernel's work", [
    I32EnumAttrCase<"Rows", 0, "rows">,
    I32EnumAttrCase<"Scan", 1, "scan">,
    I32EnumAttrCase<"Tiles", 2, "tiles">,
    I32EnumAttrCase<"Step", 3, "step">,
    I32EnumAttrCase<"TensorTiles", 4, "tensor_tiles">,
    I32EnumAttrCase<"TensorStep", 5, "tensor_step">,
    I32EnumAttrCase<"WgmmaTiles", 6, "wgmma_tiles">]> {
  let cppNamespace = "::sm1";
  let genSpecializedAttr = 0;
}
def Sm1_BlockFormAttr : EnumAttr<Sm1_Dialect, Sm1_BlockForm, "block_form">;

def Sm1_BlockScheduleAttr : AttrDef<Sm1_Dialect, "BlockSchedule"> {
  let mnemonic = "block_schedule";
  let summary = "How the blocks of a GPU cover a kernel's rows and panels";
  let description = [{
    A block of `threads` threads takes `row_split` rows (of a scan: segments) and `panel_split` panels of 16 channels (0: all panels, as a
    norm needs). Inside it the form says who does what:

    - `rows`: threads share the channels of a row; the form of elementwise work, lookups, convolutions and norms.
    - `scan`: threads share `row_tile` rows of 16 channels, then 16 threads walk them in order, one channel each.
    - `tiles`: projections of many rows; each thread sums `row_tile` rows by 4 channels with fused multiply-adds.
    - `step`: projections of few rows, one row per segment; threads share the blocks of 64 k that a sum is made of, `row_tile` rows at a time.
    - `tensor_tiles`, `tensor_step`: the same two on tensor cores (bf16, sums in f32); a warp of `tensor_tiles` takes `row_tile` rows.
    - `wgmma_tiles`: as `tensor_tiles`, with the instructions of sm_90a; four warps take `row_tile` rows.

    `stages` is how many steps of k are in shared memory at once. `depth_split`, where it is not 1, says how many warps of `tensor_tiles`
    share the k of a sum, or how many blocks of a cluster of `wgmma_tiles`; their parts are added in order.
  }];
  let parameters = (ins "::sm1::BlockForm":$form, "int64_t":$threads, "int64_t":$rowTile, "int64_t":$rowSplit, "int64_t":$panelSplit,
                        "int64_t":$stages, DefaultValuedParameter<"int64_t", "1">:$depthSplit);
  let assemblyFormat = [{
    `<` $form `,` `threads` `=` $threads `,` `row_tile` `=` $rowTile `,` `row_split` `=` $rowSplit `,` `panel_split` `=` $panelSplit
    `,` `stages` `=` $stages (`,` `depth_split` `=` $depthSplit^)? `>`
  }];
  let genVerifyDecl = 1;
}

#endif // SM1_IR_SM1ATTRS_TD
