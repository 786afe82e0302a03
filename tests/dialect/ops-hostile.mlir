// Types, regions and words that no description should hold: parsers and inference refuse them, and do not fall over.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics

func.func @scan_of_rank_1(%x: tensor<8xf32>) {
  // expected-error @+1 {{expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got 'tensor<8xf32>'}}
  %0, %1 = sm1.scan %x, %x : tensor<8xf32>
  return
}

// -----

func.func @scan_of_integers(%x: i32) {
  // expected-error @+1 {{expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got 'i32'}}
  %0, %1 = sm1.scan %x, %x : i32
  return
}

// -----

func.func @scan_without_rank(%x: tensor<*xf32>) {
  // expected-error @+1 {{operand #0 must be stream tensor<?x?xCxf32>, but got 'tensor<*xf32>'}}
  %0, %1 = "sm1.scan"(%x, %x) : (tensor<*xf32>, tensor<*xf32>) -> (tensor<*xf32>, tensor<*xf32>)
  return
}

// -----

func.func @scan_of_bf16(%x: tensor<?x?x8xbf16>) {
  // expected-error @+1 {{operand #0 must be stream tensor<?x?xCxf32>, but got 'tensor<?x?x8xbf16>'}}
  %0, %1 = sm1.scan %x, %x : tensor<?x?x8xbf16>
  return
}

// -----

func.func @scan_form(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{form must be exact or closed_form}}
  %0, %1 = sm1.scan %x, %x form approximate : tensor<?x?x8xf32>
  return
}

// -----

func.func @conv1d_of_dynamic_kernel(%x: tensor<?x?x8xf32>, %w: tensor<8x1x?xf32>, %b: tensor<8xf32>, %t: tensor<?x8x3xf32>) {
  // expected-error @+1 {{conv1d_c1: weight must be [channel, 1, K] with K at least 2, got 'tensor<8x1x?xf32>'}}
  %0, %1 = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x?xf32>
  return
}

// -----

func.func @linear_of_dynamic_channels(%x: tensor<?x?x?xf32>, %w: tensor<8x8xf32>) {
  // expected-error @+1 {{expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got 'tensor<?x?x?xf32>'}}
  %0 = sm1.linear %x, %w : tensor<?x?x?xf32>, tensor<8x8xf32>
  return
}

// -----

func.func @linear_by_a_vector(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expected a static matrix of f32, bf16, f16, e4m3, i8 or i4, got 'tensor<8xf32>'}}
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @rms_norm_of_a_scalar(%x: tensor<f32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got 'tensor<f32>'}}
  %0 = sm1.rms_norm %x, %w eps 1.0e-6 : tensor<f32>
  return
}

// -----

func.func @embedding_of_floats(%x: tensor<?x?xf32>, %w: tensor<8x8xf32>) {
  // expected-error @+1 {{operands must be tokens tensor<?x?xi32> and a matrix, got 'tensor<?x?xf32>' and 'tensor<8x8xf32>'}}
  %0 = sm1.embedding %x, %w : tensor<?x?xf32>, tensor<8x8xf32>
  return
}

// -----

func.func @empty_param() {
  // expected-error @+1 {{static tensor of f32, bf16, f16, e4m3, i8 or i4, not empty and of at most 2^40 elements, but got 'tensor<0x8xf32>'}}
  %0 = sm1.param "w" : tensor<0x8xf32>
  return
}

// -----

func.func @huge_param() {
  // expected-error @+1 {{static tensor of f32, bf16, f16, e4m3, i8 or i4, not empty and of at most 2^40 elements, but got}}
  %0 = sm1.param "w" : tensor<9223372036854775807x9223372036854775807xf32>
  return
}

// -----

func.func @layers_of_scalars(%x: f32) {
  // expected-error @+1 {{expected a carried tensor or a state tensor<?xLxC...xf32>, got 'f32'}}
  %0 = sm1.layers 2 carry(%c = %x : f32) {
    sm1.yield %c : f32
  }
  return
}

// -----

func.func @layers_of_thin_state(%x: tensor<?x?x8xf32>, %h: tensor<?x8xf32>) {
  // expected-error @+1 {{expected a carried tensor or a state tensor<?xLxC...xf32>, got 'tensor<?x8xf32>'}}
  %0:2 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) state(%s = %h : tensor<?x8xf32>) {
    sm1.yield %c, %s : tensor<?x?x8xf32>, tensor<?x8xf32>
  }
  return
}

// -----

func.func @layers_without_terminator(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{expects a non-empty block}}
  %0 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
  }
  return
}

// -----

func.func @kernel_with_return(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{kernel_c1: the body must yield 'tensor<?x?x8xf32>'}}
  %0 = sm1.kernel "k" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    llvm.unreachable
  }
  return
}

// -----

func.func @launch_sync() {
  // expected-error @+1 {{sync must be none, flags or grid, got later}}
  sm1.launch sync(later) {
    sm1.yield
  }
  return
}

// -----

// expected-error @+1 {{region with 1 blocks}}
sm1.model @declaration(tensor<?x?x8xf32> {sm1.name = "x"}) -> ()

// -----

// expected-error @+1 {{must end with sm1.return}}
sm1.model @without_return(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> () {
  llvm.unreachable
}
