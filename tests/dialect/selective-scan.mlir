// The scan of several states per channel, through the parser, the printer and the generic form.
// RUN: sm1-opt %s | FileCheck %s
// RUN: sm1-opt %s --mlir-print-op-generic | sm1-opt | FileCheck %s

// CHECK-LABEL: func.func @selective
func.func @selective(%dt: tensor<?x?x40xf32>, %x: tensor<?x?x40xf32>, %a: tensor<40x3xf32>, %b: tensor<?x?x3xf32>, %h: tensor<?x40x3xf32>) {
  // CHECK: %scanned, %last = sm1.selective_scan %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} init %{{.*}} : tensor<?x?x40xf32>, tensor<?x?x3xf32>
  %0, %1 = sm1.selective_scan %dt, %x, %a, %b, %b init %h : tensor<?x?x40xf32>, tensor<?x?x3xf32>
  // CHECK: sm1.selective_scan %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {note = "kept"} : tensor<?x?x40xf32>, tensor<?x?x3xf32>
  %2, %3 = sm1.selective_scan %dt, %x, %a, %b, %b {note = "kept"} : tensor<?x?x40xf32>, tensor<?x?x3xf32>
  return
}
