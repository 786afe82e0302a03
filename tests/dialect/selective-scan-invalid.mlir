// One function per labelled constraint of sm1.selective_scan, and what its parser refuses.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics

!s = tensor<?x?x8xf32>
!n = tensor<?x?x2xf32>
func.func @selective_scan_c1(%dt: !s, %x: tensor<?x?x9xf32>, %a: tensor<8x2xf32>, %b: !n) {
  // expected-error @+2 {{selective_scan_c1: dt and input must have one type, got 'tensor<?x?x8xf32>' and 'tensor<?x?x9xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.selective_scan"(%dt, %x, %a, %b, %b) : (!s, tensor<?x?x9xf32>, tensor<8x2xf32>, !n, !n) -> (!s, tensor<?x8x2xf32>)
  return
}

// -----

!s = tensor<?x?x8xf32>
!n = tensor<?x?x2xf32>
func.func @selective_scan_c2(%dt: !s, %a: tensor<8x3xf32>, %b: !n) {
  // expected-error @+2 {{selective_scan_c2: A must be [8, N] in f32, B and C streams of N channels, and N at most 256, got 'tensor<8x3xf32>', 'tensor<?x?x2xf32>' and 'tensor<?x?x2xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.selective_scan"(%dt, %dt, %a, %b, %b) : (!s, !s, tensor<8x3xf32>, !n, !n) -> (!s, tensor<?x8x2xf32>)
  return
}

// -----

!s = tensor<?x?x8xf32>
!n = tensor<?x?x257xf32>
func.func @selective_scan_c2_size(%dt: !s, %a: tensor<8x257xf32>, %b: !n) {
  // expected-error @+2 {{selective_scan_c2: A must be [8, N] in f32, B and C streams of N channels, and N at most 256}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.selective_scan"(%dt, %dt, %a, %b, %b) : (!s, !s, tensor<8x257xf32>, !n, !n) -> (!s, tensor<?x8x257xf32>)
  return
}

// -----

!s = tensor<?x?x8xf32>
!n = tensor<?x?x2xf32>
func.func @selective_scan_c3(%dt: !s, %a: tensor<8x2xf32>, %b: !n, %h: tensor<?x8xf32>) {
  // expected-error @+2 {{selective_scan_c3: init must be [batch, channel, state] = 'tensor<?x8x2xf32>', got 'tensor<?x8xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.selective_scan"(%dt, %dt, %a, %b, %b, %h) : (!s, !s, tensor<8x2xf32>, !n, !n, tensor<?x8xf32>) -> (!s, tensor<?x8x2xf32>)
  return
}

// -----

func.func @no_stream(%dt: tensor<8xf32>, %a: tensor<8x2xf32>, %b: tensor<?x?x2xf32>) {
  // expected-error @+1 {{expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got 'tensor<8xf32>'}}
  %0, %1 = sm1.selective_scan %dt, %dt, %a, %b, %b : tensor<8xf32>, tensor<?x?x2xf32>
  return
}

// -----

func.func @too_few(%dt: tensor<?x?x8xf32>) {
  // expected-error @+1 {{expected 5 operands}}
  %0, %1 = sm1.selective_scan %dt, %dt : tensor<?x?x8xf32>, tensor<?x?x2xf32>
  return
}
