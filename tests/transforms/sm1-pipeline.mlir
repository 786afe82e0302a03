// The passes together, on the descriptions that we ship: which kernels are left, whatever is switched off.
//
// DEFINE: %{passes} = cse
// DEFINE: %{before} = sm1-make-precise,canonicalize,cse,sm1-select-rows,cse,sm1-form-kernels
// DEFINE: %{fused} = sm1-opt %specs/sm1.mlir --pass-pipeline="builtin.module(%{before},%{passes},cse)" -o %t.mlir
// DEFINE: %{names} = grep -o 'sm1.kernel "[a-z0-9_]*"' %t.mlir

// SM1 is six kernels per layer, one for the first rows, and two for the rows that the caller selected.
// RUN: sm1-opt %specs/sm1.mlir -sm1-to-fused -o %t.mlir
// RUN: %{names} | FileCheck %s --check-prefix=SM1 --match-full-lines
// SM1: sm1.kernel "embedding"
// SM1-NEXT: sm1.kernel "ssm_in_proj"
// SM1-NEXT: sm1.kernel "conv1d"
// SM1-NEXT: sm1.kernel "scan"
// SM1-NEXT: sm1.kernel "ssm_out_proj"
// SM1-NEXT: sm1.kernel "mlp_w1"
// SM1-NEXT: sm1.kernel "mlp_w2"
// SM1-NEXT: sm1.kernel "select_rows"
// SM1-NEXT: sm1.kernel "embed"
// SM1-NOT: {{.}}

// On a CPU that multiplies bf16, too; what waits in memory does so in bf16, but sums that go on from layer to layer.
// RUN: sm1-opt %specs/sm1.mlir -sm1-to-fused="weights=bf16 compute=bf16" -o %t.mlir
// RUN: FileCheck %s --check-prefix=STREAMS < %t.mlir
// STREAMS: sm1.kernel "ssm_in_proj" {{.*}} -> (tensor<?x?x1408xbf16>, tensor<?x?x1408xbf16>) {
// STREAMS: sm1.kernel "conv1d" {{.*}} -> (tensor<?x1408x3xf32>, tensor<?x?x1408xbf16>) {
// STREAMS: sm1.kernel "scan" {{.*}} -> (tensor<?x1408xf32>, tensor<?x?x1408xbf16>) {
// STREAMS: sm1.kernel "ssm_out_proj" {{.*}} -> tensor<?x?x704xf32> {
// STREAMS: sm1.kernel "mlp_w1" {{.*}} -> tensor<?x?x1920xbf16> {
// STREAMS: sm1.kernel "mlp_w2" {{.*}} -> tensor<?x?x704xf32> {

// The pipeline sm1-to-fused is these passes in this order.
// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: sm1-opt %specs/sm1.mlir -sm1-to-fused -o %t.whole
// RUN: %{fused}
// RUN: diff %t.whole %t.mlir

// Without elementwise fusion every operation is on its own where it does not follow a convolution or precede a scan.
// REDEFINE: %{passes} = sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefixes=ELEMENTWISE --match-full-lines
// ELEMENTWISE: sm1.kernel "ssm_in_proj"
// ELEMENTWISE-NEXT: sm1.kernel "conv1d"
// ELEMENTWISE-NEXT: sm1.kernel "mulf"
// ELEMENTWISE-NEXT: sm1.kernel "negf"
// ELEMENTWISE-NEXT: sm1.kernel "exp"
// ELEMENTWISE-NEXT: sm1.kernel "addf"
// ELEMENTWISE-NEXT: sm1.kernel "divf"
// ELEMENTWISE-NEXT: sm1.kernel "scan"
// ELEMENTWISE-NEXT: sm1.kernel "ssm_out_proj"
// ELEMENTWISE: sm1.kernel "mlp_w2"

// Without its producers a scan still reads out and gates; its projections stay outside, since others use them first.
// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=PRODUCERS --match-full-lines
// PRODUCERS: sm1.kernel "conv1d"
// PRODUCERS-NEXT: sm1.kernel "ssm_x_proj"
// PRODUCERS-NEXT: sm1.kernel "minimumf"
// PRODUCERS-NEXT: sm1.kernel "minimumf"
// PRODUCERS-NEXT: sm1.kernel "mulf"
// PRODUCERS-NEXT: sm1.kernel "scan"
// PRODUCERS-NEXT: sm1.kernel "ssm_out_proj"
// PRODUCERS-NEXT: sm1.kernel "mlp_w1"
// PRODUCERS-NEXT: sm1.kernel "mlp_w2"

// Without its readout, h goes to memory, and so do the projections that the readout needs.
// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=READOUT --match-full-lines
// READOUT: sm1.kernel "conv1d"
// READOUT-NEXT: sm1.kernel "ssm_x_proj"
// READOUT-NEXT: sm1.kernel "scan"
// READOUT-NEXT: sm1.kernel "mulf"
// READOUT-NEXT: sm1.kernel "ssm_out_proj"
// READOUT-NEXT: sm1.kernel "mlp_w1"
// READOUT-NEXT: sm1.kernel "mlp_w2"

// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=CONV --match-full-lines
// CONV: sm1.kernel "ssm_in_proj"
// CONV-NEXT: sm1.kernel "conv1d"
// CONV-NEXT: sm1.kernel "divf"
// CONV-NEXT: sm1.kernel "ssm_norm"
// CONV-NEXT: sm1.kernel "scan"
// CONV-NEXT: sm1.kernel "ssm_out_proj"
// CONV-NEXT: sm1.kernel "mlp_w1"
// CONV-NEXT: sm1.kernel "mlp_w2"

// Without siblings a norm has two users, and stays; the scan takes three of the four projections that only it uses.
// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=SIBLINGS --match-full-lines
// SIBLINGS: sm1.kernel "norm1"
// SIBLINGS-NEXT: sm1.kernel "ssm_in_proj"
// SIBLINGS-NEXT: sm1.kernel "conv1d"
// SIBLINGS-NEXT: sm1.kernel "ssm_x_proj"
// SIBLINGS-NEXT: sm1.kernel "scan"
// SIBLINGS-NEXT: sm1.kernel "ssm_out_proj"
// SIBLINGS-NEXT: sm1.kernel "norm2"
// SIBLINGS-NEXT: sm1.kernel "mlp_w3"
// SIBLINGS-NEXT: sm1.kernel "mlp_w1"
// SIBLINGS-NEXT: sm1.kernel "mlp_w2"

// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=EPILOGUE --match-full-lines
// EPILOGUE: sm1.kernel "ssm_in_proj"
// EPILOGUE-NEXT: sm1.kernel "conv1d"
// EPILOGUE-NEXT: sm1.kernel "scan"
// EPILOGUE-NEXT: sm1.kernel "ssm_out_proj"
// EPILOGUE-NEXT: sm1.kernel "addf"
// EPILOGUE-NEXT: sm1.kernel "mlp_w1"
// EPILOGUE-NEXT: sm1.kernel "mulf"
// EPILOGUE-NEXT: sm1.kernel "mlp_w2"
// EPILOGUE-NEXT: sm1.kernel "addf"

// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=SCAN --match-full-lines
// SCAN: sm1.kernel "ssm_in_proj"
// SCAN-NEXT: sm1.kernel "conv1d"
// SCAN-NEXT: sm1.kernel "ssm_x_proj"
// SCAN-NEXT: sm1.kernel "scan"
// SCAN-NEXT: sm1.kernel "ssm_out_proj"
// SCAN-NEXT: sm1.kernel "mlp_w1"
// SCAN-NEXT: sm1.kernel "mlp_w2"

// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=NORM --match-full-lines
// NORM: sm1.kernel "norm1"
// NORM-NEXT: sm1.kernel "ssm_in_proj"
// NORM-NEXT: sm1.kernel "conv1d"
// NORM-NEXT: sm1.kernel "scan"
// NORM-NEXT: sm1.kernel "ssm_out_proj"
// NORM-NEXT: sm1.kernel "norm2"
// NORM-NEXT: sm1.kernel "mlp_w1"
// NORM-NEXT: sm1.kernel "mlp_w2"
// NORM-NEXT: sm1.kernel "select_rows"
// NORM-NEXT: sm1.kernel "norm"
// NORM-NEXT: sm1.kernel "embed"

// With bf16 the roundings join what is before or after them, but for one: u is rounded for its projections and used unrounded too.
// REDEFINE: %{before} = sm1-make-precise{storage=bf16 compute=bf16},canonicalize,cse,sm1-select-rows,cse,sm1-form-kernels
// REDEFINE: %{passes} = sm1-fuse-elementwise,sm1-fuse-scan-producers,sm1-fuse-scan-readout,sm1-fuse-conv-norm,sm1-fuse-projection-siblings,sm1-fuse-projection-epilogue,sm1-fuse-projection-scan,sm1-fuse-norm-projection
// RUN: %{fused}
// RUN: %{names} | FileCheck %s --check-prefix=BF16 --match-full-lines
// BF16: sm1.kernel "ssm_in_proj"
// BF16-NEXT: sm1.kernel "conv1d"
// BF16-NEXT: sm1.kernel "truncf"
// BF16-NEXT: sm1.kernel "scan"
// BF16-NEXT: sm1.kernel "ssm_out_proj"
// BF16-NEXT: sm1.kernel "mlp_w1"
// BF16-NEXT: sm1.kernel "mlp_w2"

// The relative has nothing of SM1 but its operators: its norm stays before the scan, the rest is as few kernels.
// RUN: sm1-opt %specs/min-gru.mlir -sm1-to-fused -o %t.mlir
// RUN: %{names} | FileCheck %s --check-prefix=GRU --match-full-lines
// GRU: sm1.kernel "embedding"
// GRU-NEXT: sm1.kernel "norm1"
// GRU-NEXT: sm1.kernel "scan"
// GRU-NEXT: sm1.kernel "gru_out"
// GRU-NEXT: sm1.kernel "mlp_up"
// GRU-NEXT: sm1.kernel "mlp_down"
// GRU-NEXT: sm1.kernel "select_rows"
// GRU-NEXT: sm1.kernel "head"
// GRU-NOT: {{.}}

// Every stage of every description is reached, and 20 layers are as many lines of it as 10.
// RUN: sm1-opt %specs/sm1-layer.mlir -sm1-to-target -o %t.mlir
// RUN: sm1-opt %specs/min-gru.mlir -sm1-to-target -o %t.mlir
// RUN: sm1-opt %specs/scan.mlir -sm1-to-target | FileCheck %s --check-prefix=ALONE
// ALONE: func.func @scan_2(
// ALONE: sm1.model @scan(
// ALONE: sm1.dispatch @scan_2
// RUN: sed -e 's/sm1.layers 10/sm1.layers 20/' -e 's/x10x/x20x/g' %specs/sm1.mlir > %t.deep
// RUN: sm1-opt %t.deep -sm1-to-target -o %t.deep.target
// RUN: grep "sm1.layers 20" %t.deep.target
// RUN: sm1-opt %specs/sm1.mlir -sm1-to-target | wc -l > %t.lines
// RUN: cat %t.deep.target | wc -l | diff %t.lines -
