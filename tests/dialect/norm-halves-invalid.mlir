// Halves of a norm: one function per labelled constraint.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics

func.func @panel_squares_c1(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{panel_squares_c1: parts must be a multiple of 4, got 6}}
  %0 = sm1.panel_squares %x parts 6 : tensor<?x?x8xf32>
  return
}

// -----

func.func @rms_scale_c1(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  // expected-error @+1 {{rms_scale_c1: a row of 33 channels has 3 panels or a multiple of 4 parts, got squares of type 'tensor<?x?x2xf32>'}}
  %0 = sm1.rms_scale %x, %s width 33 eps 1.0e-6 : tensor<?x?x8xf32>, tensor<?x?x2xf32>
  return
}
