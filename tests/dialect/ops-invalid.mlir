// One function per labelled constraint.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{model_c1: argument 0 must be tokens tensor<?x?xi32>, a stream tensor<?x?xCxf32> or a state tensor<?xC...xf32>, got 'tensor<4x?x8xf32>'}}
sm1.model @model_c1_argument(%x: tensor<4x?x8xf32> {sm1.name = "x"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c1: argument 0 must have f32 elements, got 'tensor<?x?x8xbf16>'}}
sm1.model @model_c1_element(%x: tensor<?x?x8xbf16> {sm1.name = "x"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c1: result 0 must be a stream tensor<?x?xCxf32> or a state tensor<?xC...xf32>, got 'tensor<?x?xi32>'}}
sm1.model @model_c1_result(%t: tensor<?x?xi32> {sm1.name = "t"}) -> (tensor<?x?xi32> {sm1.name = "u"}) {
  sm1.return %t : tensor<?x?xi32>
}

// -----

// expected-error @+1 {{model_c2: argument 0 of type 'tensor<?x?x8xf32>' needs sm1.name and no sm1.state}}
sm1.model @model_c2_stream(%x: tensor<?x?x8xf32>) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c2: argument 0 of type 'tensor<?x8xf32>' needs sm1.state}}
sm1.model @model_c2_state(%h: tensor<?x8xf32> {sm1.name = "h"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c3: state 'h' is not returned}}
sm1.model @model_c3_lost(%h: tensor<?x8xf32> {sm1.state = "h"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c3: result 1 returns state 'h', which no argument holds or another result returns}}
sm1.model @model_c3_twice(%h: tensor<?x8xf32> {sm1.state = "h"})
    -> (tensor<?x8xf32> {sm1.state = "h"}, tensor<?x8xf32> {sm1.name = "again", sm1.state = "h"}) {
  sm1.return %h, %h : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// expected-error @+1 {{model_c3: state 'h' comes in as 'tensor<?x8xf32>' and is returned as 'tensor<?x9xf32>'}}
sm1.model @model_c3_type(%h: tensor<?x8xf32> {sm1.state = "h"}, %g: tensor<?x9xf32> {sm1.state = "g"})
    -> (tensor<?x9xf32> {sm1.state = "h"}, tensor<?x8xf32> {sm1.state = "g"}) {
  sm1.return %g, %h : tensor<?x9xf32>, tensor<?x8xf32>
}

// -----

// expected-error @+1 {{model_c3: two arguments hold state 'h'}}
sm1.model @model_c3_arguments(%h: tensor<?x8xf32> {sm1.name = "a", sm1.state = "h"}, %g: tensor<?x8xf32> {sm1.name = "b", sm1.state = "h"})
    -> (tensor<?x8xf32> {sm1.state = "h"}) {
  sm1.return %h : tensor<?x8xf32>
}

// -----

// expected-error @+1 {{model_c4: two arguments are called 'x'}}
sm1.model @model_c4_argument(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %y: tensor<?x?x8xf32> {sm1.name = "x"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{model_c4: two results are called 'y'}}
sm1.model @model_c4_result(%x: tensor<?x?x8xf32> {sm1.name = "x"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "y"}) {
  sm1.return %x, %x : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

sm1.model @model_c5(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x9xf32> {sm1.name = "y"}) {
  // expected-error @+1 {{model_c5: must return 'tensor<?x?x9xf32>', got 'tensor<?x?x8xf32>'}}
  sm1.return %x : tensor<?x?x8xf32>
}

// -----

// expected-error @+1 {{model_c6: result 0 of type 'tensor<?x8xf32>' must not have sm1.rows, which is for streams}}
sm1.model @model_c6(%h: tensor<?x8xf32> {sm1.state = "h"}) -> (tensor<?x8xf32> {sm1.state = "h", sm1.rows = "selected"}) {
  sm1.return %h : tensor<?x8xf32>
}

// -----

sm1.model @model_c7(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> () {
  // expected-note @+1 {{and [16, 8] here}}
  %0 = sm1.param "w" : tensor<16x8xf32>
  // expected-error @+1 {{model_c7: 'w' has shape [32, 8] here}}
  %1 = sm1.param "w" rows 0 to 16 of 32 : tensor<16x8xf32>
  sm1.return
}

// -----

// expected-error @+1 {{unknown attribute 'sm1.nmae'; an argument may have sm1.name and sm1.state}}
sm1.model @misspelt_argument(%x: tensor<?x?x8xf32> {sm1.nmae = "x"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{unknown attribute 'sm1.row'; a result may have sm1.name, sm1.state and sm1.rows}}
sm1.model @misspelt_result(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y", sm1.row = "selected"}) {
  sm1.return %x : tensor<?x?x8xf32>
}

// -----

// expected-error @+1 {{sm1.rows must be "selected", got "last"}}
sm1.model @rows(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y", sm1.rows = "last"}) {
  sm1.return %x : tensor<?x?x8xf32>
}

// -----

// expected-error @+1 {{sm1.name must be a string that is not empty and does not begin with __, got "__metadata__"}}
sm1.model @reserved_name(%x: tensor<?x?x8xf32> {sm1.name = "__metadata__"}) -> () {
  sm1.return
}

// -----

// expected-error @+1 {{sm1.tied belongs on sm1.model and maps tensor names to parameter names}}
sm1.model @tied() -> () attributes {sm1.tied = "head.weight"} {
  sm1.return
}

// -----

// expected-error @+1 {{unknown attribute 'sm1.tide'; the dialect's attributes of an operation are: sm1.tied}}
sm1.model @tide() -> () attributes {sm1.tide = {}} {
  sm1.return
}

// -----

func.func @param_c1_outside() {
  // expected-error @+1 {{param_c1: 'layers.{i}.w' has {i} but does not stand inside sm1.layers}}
  %0 = sm1.param "layers.{i}.w" : tensor<8xf32>
  return
}

// -----

func.func @param_c1_inside(%x: tensor<?x?x8xf32>) {
  %0 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
    // expected-error @+1 {{param_c1: 'norm.weight' stands inside sm1.layers and needs {i}}}
    %1 = sm1.param "norm.weight" : tensor<8xf32>
    sm1.yield %c : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @param_c1_next() {
  // expected-error @+1 {{param_c1: 'norm.weight' is the next layer's and needs {i}}}
  %0 = sm1.param "norm.weight" {next} : tensor<8xf32>
  return
}

// -----

func.func @param_c2_rows() {
  // expected-error @+1 {{param_c2: rows must satisfy 0 <= first < end <= total, got 4 to 20 of 16}}
  %0 = sm1.param "w" rows 4 to 20 of 16 : tensor<16x8xf32>
  return
}

// -----

func.func @param_c2_type() {
  // expected-error @+1 {{param_c2: the type must have 12 rows, got 'tensor<16x8xf32>'}}
  %0 = sm1.param "w" rows 4 to 16 of 16 : tensor<16x8xf32>
  return
}

// -----

func.func @param_c2_partly() {
  // expected-error @+1 {{param_c2: first row, end row and total rows come together}}
  %0 = "sm1.param"() {tensor = "w", endRow = 8 : i64} : () -> tensor<8x8xf32>
  return
}

// -----

func.func @param_c3() {
  // expected-error @+1 {{param_c3: layout must be panels, pairs, quads, nibbles, fragments, images, stages, rows, channels or scales, got "tiles"}}
  %0 = sm1.param "w" {layout = "tiles"} : tensor<8x8xf32>
  return
}

// -----

func.func @param_c4_integers() {
  // expected-error @+1 {{param_c4: integers and e4m3 need `quantised`, got 'tensor<8x40xi8>'}}
  %0 = sm1.param "w" : tensor<8x40xi8>
  return
}

// -----

func.func @param_c4_bits() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 4, group = 32, columns = 40> has values [rows, 40] of i4 or bf16, or e4m3 in place of rows of i8, and scales [rows, 2] of f32 or f16, got 'tensor<8x40xi8>'}}
  %0 = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> : tensor<8x40xi8>
  return
}

// -----

func.func @param_c4_columns() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 4, group = 32, columns = 40> has values [rows, 40] of i4 or bf16, or e4m3 in place of rows of i8, and scales [rows, 2] of f32 or f16, got 'tensor<8x20xi4>'}}
  %0 = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> : tensor<8x20xi4>
  return
}

// -----

func.func @param_c4_groups() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 4, group = 32, columns = 40> has values [rows, 40] of i4 or bf16, or e4m3 in place of rows of i8, and scales [rows, 2] of f32 or f16, got 'tensor<8x1xf16>'}}
  %0 = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> : tensor<8x1xf16>
  return
}

// -----

func.func @param_c4_scales() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 4, group = 32, columns = 40> has values [rows, 40] of i4 or bf16, or e4m3 in place of rows of i8, and scales [rows, 2] of f32 or f16, got 'tensor<8x2xbf16>'}}
  %0 = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> : tensor<8x2xbf16>
  return
}

// -----

func.func @param_c4_vector() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 4, group = 32, columns = 40> has values [rows, 40] of i4 or bf16, or e4m3 in place of rows of i8, and scales [rows, 2] of f32 or f16, got 'tensor<8xf32>'}}
  %0 = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> : tensor<8xf32>
  return
}

// -----

// expected-error @+1 {{bits must be 8 or 4, group not negative and columns at least 1, got 2, 0 and 8}}
func.func private @quantised_bits() attributes {q = #sm1.quantised<bits = 2, group = 0, columns = 8>}

// -----

// expected-error @+1 {{bits must be 8 or 4, group not negative and columns at least 1, got 8, -1 and 8}}
func.func private @quantised_group() attributes {q = #sm1.quantised<bits = 8, group = -1, columns = 8>}

// -----

// expected-error @+1 {{bits must be 8 or 4, group not negative and columns at least 1, got 8, 0 and 0}}
func.func private @quantised_columns() attributes {q = #sm1.quantised<bits = 8, group = 0, columns = 0>}

// -----

func.func @layers_c1_count(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{layers_c1: the count must be 1 to 4096, got 5000}}
  %0 = sm1.layers 5000 carry(%c = %x : tensor<?x?x8xf32>) {
    sm1.yield %c : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @layers_c1_zero(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{attribute 'count' failed to satisfy constraint: 64-bit signless integer attribute whose value is positive}}
  %0 = sm1.layers 0 carry(%c = %x : tensor<?x?x8xf32>) {
    sm1.yield %c : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @layers_c1_state(%x: tensor<?x?x8xf32>, %h: tensor<?x3x8xf32>) {
  // expected-error @+1 {{layers_c1: a state must have 2 layers in dimension 1, got 'tensor<?x3x8xf32>'}}
  %0:2 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) state(%s = %h : tensor<?x3x8xf32>) {
    sm1.yield %c, %s : tensor<?x?x8xf32>, tensor<?x8xf32>
  }
  return
}

// -----

func.func @layers_c2_yield(%x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>) {
  // expected-error @+1 {{layers_c2: the body must yield 'tensor<?x?x8xf32>', 'tensor<?x8xf32>'}}
  %0:2 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) state(%s = %h : tensor<?x2x8xf32>) {
    sm1.yield %c : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @layers_c2_arguments(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{layers_c2: the body's arguments must be 'tensor<?x?x8xf32>'}}
  %0 = "sm1.layers"(%x) <{count = 2 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%c: tensor<?x?x9xf32>):
    "sm1.yield"(%c) : (tensor<?x?x9xf32>) -> ()
  }) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

func.func @layers_c2_results(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{layers_c2: results must have the types of the operands}}
  %0 = "sm1.layers"(%x) <{count = 2 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%c: tensor<?x?x8xf32>):
    "sm1.yield"(%c) : (tensor<?x?x8xf32>) -> ()
  }) : (tensor<?x?x8xf32>) -> tensor<?x?x9xf32>
  return
}

// -----

func.func @layers_c3(%x: tensor<?x?x8xf32>) {
  %0 = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
    // expected-error @+1 {{layers_c3: must not stand inside sm1.layers}}
    %1 = sm1.layers 2 carry(%d = %c : tensor<?x?x8xf32>) {
      sm1.yield %d : tensor<?x?x8xf32>
    }
    sm1.yield %1 : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @linear_c1(%x: tensor<?x?x8xf32>, %w: tensor<16x9xf32>) {
  // expected-error @+1 {{linear_c1: weight must have 8 columns to match x of type 'tensor<?x?x8xf32>', got 'tensor<16x9xf32>'}}
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<16x9xf32>
  return
}

// -----

func.func @linear_c1_generic(%x: tensor<?x?x8xf32>, %w: tensor<16x9xf32>) {
  // expected-error @+2 {{linear_c1: weight must have 8 columns}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = "sm1.linear"(%x, %w) : (tensor<?x?x8xf32>, tensor<16x9xf32>) -> tensor<?x?x16xf32>
  return
}

// -----

func.func @linear_c2_no_scales(%x: tensor<?x?x8xf32>, %w: tensor<16x8xi8>) {
  // expected-error @+1 {{linear_c2: a matrix of integers or e4m3 comes with scales, another without, and int8 with integers alone; the matrix is 'tensor<16x8xi8>'}}
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<16x8xi8>
  return
}

// -----

func.func @linear_c2_scales(%x: tensor<?x?x8xf32>, %w: tensor<16x8xbf16>, %s: tensor<16x1xf32>) {
  // expected-error @+1 {{linear_c2: a matrix of integers or e4m3 comes with scales, another without, and int8 with integers alone; the matrix is 'tensor<16x8xbf16>'}}
  %0 = sm1.linear %x, %w scales %s : tensor<?x?x8xf32>, tensor<16x8xbf16>, tensor<16x1xf32>
  return
}

// -----

func.func @linear_c2_int8(%x: tensor<?x?x8xf32>, %w: tensor<16x8xf32>) {
  // expected-error @+1 {{linear_c2: a matrix of integers or e4m3 comes with scales, another without, and int8 with integers alone; the matrix is 'tensor<16x8xf32>'}}
  %0 = sm1.linear %x, %w int8 : tensor<?x?x8xf32>, tensor<16x8xf32>
  return
}

// -----

func.func @param_c4_groups_of_e4m3() {
  // expected-error @+1 {{param_c4: #sm1.quantised<bits = 8, group = 32, columns = 40> has values}}
  %0 = sm1.param "w" quantised <bits = 8, group = 32, columns = 40> : tensor<8x40xf8E4M3FN>
  return
}

// -----

func.func @linear_c3(%x: tensor<?x?x8xbf16>, %w: tensor<16x8xf8E4M3FN>, %s: tensor<16x1xf32>) {
  // expected-error @+1 {{linear_c3: x and the matrix must both be e4m3, got 'tensor<?x?x8xbf16>' and 'tensor<16x8xf8E4M3FN>'}}
  %0 = sm1.linear %x, %w scales %s : tensor<?x?x8xbf16>, tensor<16x8xf8E4M3FN>, tensor<16x1xf32>
  return
}

// -----

func.func @linear_c2_rows(%x: tensor<?x?x8xf32>, %w: tensor<16x8xi8>, %s: tensor<8x1xf32>) {
  // expected-error @+1 {{linear_c2: scales must be [16, groups], got 'tensor<8x1xf32>'}}
  %0 = sm1.linear %x, %w scales %s : tensor<?x?x8xf32>, tensor<16x8xi8>, tensor<8x1xf32>
  return
}

// -----

// expected-note @+1 {{prior use here}}
func.func @rms_norm_c1(%x: tensor<?x?x8xf32>, %w: tensor<9xf32>) {
  // expected-error @+1 {{expects different type than prior uses: 'tensor<8xf32>' vs 'tensor<9xf32>'}}
  %0 = sm1.rms_norm %x, %w eps 1.0e-6 : tensor<?x?x8xf32>
  return
}

// -----

func.func @rms_norm_c1_generic(%x: tensor<?x?x8xf32>, %w: tensor<9xf32>) {
  // expected-error @+1 {{rms_norm_c1: weight has one f32 per channel of x}}
  %0 = "sm1.rms_norm"(%x, %w) {eps = 1.0e-6 : f32} : (tensor<?x?x8xf32>, tensor<9xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{rms_norm_c2: eps must be positive and finite, got 0.000000e+00 : f32}}
  %0 = sm1.rms_norm %x, %w eps 0.0 : tensor<?x?x8xf32>
  return
}

// -----

func.func @conv1d_c1_width(%x: tensor<?x?x8xf32>, %w: tensor<9x1x4xf32>, %b: tensor<8xf32>, %t: tensor<?x8x3xf32>) {
  // expected-error @+2 {{conv1d_c1: weight must be [8, 1, K] with K at least 2 and bias [8] to match x of type 'tensor<?x?x8xf32>', got 'tensor<9x1x4xf32>' and 'tensor<8xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<9x1x4xf32>
  return
}

// -----

func.func @conv1d_c1_taps(%x: tensor<?x?x8xf32>, %w: tensor<8x1x1xf32>, %b: tensor<8xf32>, %t: tensor<?x8x3xf32>) {
  // expected-error @+1 {{conv1d_c1: weight must be [channel, 1, K] with K at least 2, got 'tensor<8x1x1xf32>'}}
  %0, %1 = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x1xf32>
  return
}

// -----

func.func @conv1d_c2(%x: tensor<?x?x8xf32>, %w: tensor<8x1x4xf32>, %b: tensor<8xf32>, %t: tensor<?x8x4xf32>) {
  // expected-error @+2 {{conv1d_c2: taps must be 'tensor<?x8x3xf32>' for x of type 'tensor<?x?x8xf32>' and a kernel of 4, got 'tensor<?x8x4xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.conv1d"(%x, %w, %b, %t) : (tensor<?x?x8xf32>, tensor<8x1x4xf32>, tensor<8xf32>, tensor<?x8x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x8x3xf32>)
  return
}

// -----

func.func @scan_c1(%x: tensor<?x?x8xf32>, %y: tensor<?x?x9xf32>) {
  // expected-error @+2 {{scan_c1: decay and input must have one type, got 'tensor<?x?x8xf32>' and 'tensor<?x?x9xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.scan"(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x9xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

func.func @scan_c2(%x: tensor<?x?x8xf32>, %h: tensor<?x9xf32>) {
  // expected-error @+2 {{scan_c2: init must be [batch, channel] = 'tensor<?x8xf32>' to match decay of type 'tensor<?x?x8xf32>', got 'tensor<?x9xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = "sm1.scan"(%x, %x, %h) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x9xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

func.func @broadcast_c1(%b: tensor<9xf32>) {
  // expected-error @+1 {{broadcast_c1: a tensor must have one element per channel of 'tensor<?x?x8xf32>', got 'tensor<9xf32>'}}
  %0 = sm1.broadcast %b : tensor<9xf32> to tensor<?x?x8xf32>
  return
}

// -----

func.func @split_c1_sum(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{split_c1: the parts must have 8 channels together, got 9}}
  %0, %1 = sm1.split %x : tensor<?x?x8xf32> into tensor<?x?x4xf32>, tensor<?x?x5xf32>
  return
}

// -----

func.func @split_c1_element(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{split_c1: parts must have the batch, time and element type of 'tensor<?x?x8xf32>', got 'tensor<?x?x8xbf16>'}}
  %0 = sm1.split %x : tensor<?x?x8xf32> into tensor<?x?x8xbf16>
  return
}

// -----

func.func @kernel_c1_yield(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{kernel_c1: the body must yield 'tensor<?x?x9xf32>'}}
  %0 = sm1.kernel "k" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x9xf32> {
    sm1.yield %a : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @kernel_c1_arguments(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{kernel_c1: the body's arguments must have the types of the operands 'tensor<?x?x8xf32>'}}
  %0 = "sm1.kernel"(%x) <{kernelName = "k"}> ({
  ^bb0(%a: tensor<?x?x9xf32>):
    "sm1.yield"(%a) : (tensor<?x?x9xf32>) -> ()
  }) : (tensor<?x?x8xf32>) -> tensor<?x?x9xf32>
  return
}

// -----

func.func @kernel_c2_name(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{kernel_c2: needs a name}}
  %0 = sm1.kernel "" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    sm1.yield %a : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @kernel_c2_nested(%x: tensor<?x?x8xf32>) {
  %0 = sm1.kernel "outer" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    // expected-error @+1 {{kernel_c2: must not stand inside sm1.kernel}}
    %1 = sm1.kernel "inner" (%b = %a : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      sm1.yield %b : tensor<?x?x8xf32>
    }
    sm1.yield %1 : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @launch_c1(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{launch_c1: the body must yield 'tensor<?x?x9xf32>'}}
  %0 = sm1.launch sync(none) -> tensor<?x?x9xf32> {
    sm1.yield %x : tensor<?x?x8xf32>
  }
  return
}

// -----

func.func @launch_c1_nested() {
  sm1.launch sync(none) {
    // expected-error @+1 {{launch_c1: must not stand inside sm1.launch}}
    sm1.launch sync(none) {
      sm1.yield
    }
    sm1.yield
  }
  return
}

// -----

func.func @dispatch_c1(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{dispatch_c1: @nowhere is not a function of the module}}
  %0 = sm1.dispatch @nowhere(%x) panels 1 scratch 0
      schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

func.func @dispatch_c2(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{dispatch_c2: needs at least 1 panel and no negative scratch, got 0 and 64}}
  %0 = sm1.dispatch @dispatch_c2(%x) panels 0 scratch 64
      schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return
}
