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

#endif // SM1_IR_SM1ATTRS_TD
