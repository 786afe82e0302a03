//===- Sm1KernelOps.td - what the compiler makes of a description: kernels, launches, dispatches -----------------===//

#ifndef SM1_IR_SM1KERNELOPS_TD
#define SM1_IR_SM1KERNELOPS_TD

include "sm1/IR/Sm1Ops.td"
include "mlir/IR/SymbolInterfaces.td"

def Sm1_KernelOp : Sm1_Op<"kernel", [Pure, IsolatedFromAbove, SingleBlock, Sm1_NamesBoth]> {
  let summary = "One phase of tiled work with its reads and writes";
  let description = [{
    The operands are what the phase reads from memory, the results what it writes; everything between stays in registers or in a
    task's scratch. Rows that do not depend on each other may be computed in any order and in parallel. `rows selected` says that it
    runs over the rows the caller asked for.

    - kernel_c1: the body's arguments have the types of the operands, the yields those of the results.
    - kernel_c2: it has a name that is not empty; kernels do not nest.
    - kernel_c3: it has a schedule for a CPU, or one for the blocks of a GPU, or none yet.

    ```mlir
    %y = sm1.kernel "gate" (%a = %y0 : tensor<?x?x64xf32>, %b = %z : tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
      %p = arith.mulf %a, %b : tensor<?x?x64xf32>
      sm1.yield %p : tensor<?x?x64xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$kernelName, Variadic<AnyRankedTensor>:$inputs, OptionalAttr<Sm1_ScheduleAttr>:$schedule,
                       OptionalAttr<Sm1_BlockScheduleAttr>:$blocks, UnitAttr:$selected);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    mlir::Block &getBlock() { return getBody().front(); }
    /// What the body yields: one value per result.
    mlir::ValueRange yielded() { return getBlock().getTerminator()->getOperands(); }
  }];
}

def Sm1_SelectRowsOp : Sm1_Op<"select_rows", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "The rows of a stream that the caller asked for";
  let description = [{
    Row q of the result is row `selected[q]` of x; exact. The result lives in the row space `selected`, as does everything computed
    from it.
  }];
  let arguments = (ins Sm1_Stream:$x);
  let results = (outs Sm1_Stream:$result);
  let assemblyFormat = "$x attr-dict `:` custom<Stream>(type($x))";
}

def Sm1_LaunchOp : Sm1_Op<"launch", [SingleBlock, RecursiveMemoryEffects, Sm1_NamesResults]> {
  let summary = "Phases that go to the device together";
  let description = [{
    A launch starts when the one before it has finished. It holds one phase, or several that wait for each other as `sync` says. CPU
    schedules hold one.

    - launch_c1: the body yields the results; launches do not nest.

    ```mlir
    %r = sm1.launch sync(none) -> tensor<?x?x1408xf32> {
      ...
      sm1.yield %y : tensor<?x?x1408xf32>
    }
    ```
  }];
  let arguments = (ins Sm1_SyncAttr:$sync);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`sync` `(` custom<Sync>($sync) `)` (`->` type($results)^)? $body attr-dict";
  let hasRegionVerifier = 1;
}

def Sm1_DispatchOp : Sm1_Op<"dispatch", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>, Sm1_NamesResults]> {
  let summary = "A kernel that has been lowered to a function";
  let description = [{
    Operands and results are those of the `sm1.kernel` it replaces; the function takes them as buffers, operands first. `scratch_bytes` is
    what one task, or the shared memory of one block, needs. The function's last argument is a tensor map of operand `mapped`, if there is
    one, in boxes of a block's rows by 32 channels.

    - dispatch_c1: the callee is a function of the module.
    - dispatch_c2: it covers at least one panel, and its scratch is not negative.
    - dispatch_c3: it has one schedule, that of its kernel.
    - dispatch_c4: what is mapped is an operand.

    ```mlir
    %y = sm1.dispatch @in_proj(%x, %w) panels 88 scratch 4096
        schedule <row_tile = 8, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 11>
        : (tensor<?x?x704xf32>, tensor<1408x704xbf16>) -> tensor<?x?x1408xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyRankedTensor>:$inputs, OptionalAttr<Sm1_ScheduleAttr>:$schedule,
                       OptionalAttr<Sm1_BlockScheduleAttr>:$blocks, UnitAttr:$selected, I64Attr:$panels, I64Attr:$scratchBytes,
                       OptionalAttr<I64Attr>:$mapped);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $callee `(` $inputs `)` `panels` $panels `scratch` $scratchBytes (`schedule` $schedule^)? (`blocks` $blocks^)?
    (`selected` $selected^)? (`mapped` $mapped^)? attr-dict
    `:` functional-type($inputs, $results)
  }];
  let hasVerifier = 1;
}

#endif // SM1_IR_SM1KERNELOPS_TD
