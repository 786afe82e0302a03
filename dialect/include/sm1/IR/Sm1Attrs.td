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

def Sm1_ScheduleAttr : AttrDef<Sm1_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "How a kernel covers its rows and panels";
  let description = [{
    A panel is 16 neighbouring channels. The body is evaluated for `row_tile` rows and `panel_tile` panels at once; rows that do not
    fill a tile are evaluated one at a time over `single_row_panels` panels at once, which is how many weight streams a single row
    reads together. A task has at most `row_split` rows (0: all rows, in order, as a scan needs) and a multiple of `panel_split` panels
    (0: all panels, as a norm needs).
  }];
  let parameters = (ins "int64_t":$rowTile, "int64_t":$panelTile, "int64_t":$singleRowPanels, "int64_t":$rowSplit,
                        "int64_t":$panelSplit);
  let assemblyFormat = [{
    `<` `row_tile` `=` $rowTile `,` `panel_tile` `=` $panelTile `,` `single_row_panels` `=` $singleRowPanels `,`
    `row_split` `=` $rowSplit `,` `panel_split` `=` $panelSplit `>`
  }];
  let genVerifyDecl = 1;
}

def Sm1_BlockForm : I32EnumAttr<"BlockForm", "how the threads of a block share a kernel's work", [
    I32EnumAttrCase<"Rows", 0, "rows">,
    I32EnumAttrCase<"Scan", 1, "scan">,
    I32EnumAttrCase<"Tiles", 2, "tiles">,
    I32EnumAttrCase<"Step", 3, "step">,
    I32EnumAttrCase<"TensorTiles", 4, "tensor_tiles">,
    I32EnumAttrCase<"TensorStep", 5, "tensor_step">]> {
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

    `stages` is how many steps of k are in shared memory at once.
  }];
  let parameters = (ins "::sm1::BlockForm":$form, "int64_t":$threads, "int64_t":$rowTile, "int64_t":$rowSplit, "int64_t":$panelSplit,
                        "int64_t":$stages);
  let assemblyFormat = [{
    `<` $form `,` `threads` `=` $threads `,` `row_tile` `=` $rowTile `,` `row_split` `=` $rowSplit `,` `panel_split` `=` $panelSplit
    `,` `stages` `=` $stages `>`
  }];
  let genVerifyDecl = 1;
}

#endif // SM1_IR_SM1ATTRS_TD
