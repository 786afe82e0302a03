// RUN: sm1-opt %s -canonicalize | FileCheck %s

// A split into one part is that part.
// CHECK-LABEL: @split_of_one
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>)
func.func @split_of_one(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // CHECK-NEXT: return %[[X]]
  %0 = sm1.split %x : tensor<?x?x8xf32> into tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// A projection that is split is one projection per part, each by its own rows.
// CHECK-LABEL: @split_of_linear
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>)
func.func @split_of_linear(%x: tensor<?x?x8xf32>) -> (tensor<?x?x5xf32>, tensor<?x?x11xf32>) {
  // CHECK-NEXT: %[[A:.*]] = sm1.param "w" rows 0 to 5 of 16 : tensor<5x8xbf16>
  // CHECK-NEXT: %[[Y:.*]] = sm1.linear %[[X]], %[[A]]
  // CHECK-NEXT: %[[B:.*]] = sm1.param "w" rows 5 to 16 of 16 : tensor<11x8xbf16>
  // CHECK-NEXT: %[[Z:.*]] = sm1.linear %[[X]], %[[B]]
  // CHECK-NEXT: return %[[Y]], %[[Z]]
  %w = sm1.param "w" : tensor<16x8xbf16>
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<16x8xbf16>
  %1, %2 = sm1.split %0 : tensor<?x?x16xf32> into tensor<?x?x5xf32>, tensor<?x?x11xf32>
  return %1, %2 : tensor<?x?x5xf32>, tensor<?x?x11xf32>
}

// Rows of rows: the offsets add up, the layout stays.
// CHECK-LABEL: @split_of_rows
func.func @split_of_rows(%x: tensor<?x?x8xf32>) -> (tensor<?x?x4xf32>, tensor<?x?x4xf32>) {
  // CHECK: sm1.param "w" rows 16 to 20 of 32 {layout = "panels"} : tensor<4x8xf32>
  // CHECK: sm1.param "w" rows 20 to 24 of 32 {layout = "panels"} : tensor<4x8xf32>
  %w = sm1.param "w" rows 16 to 24 of 32 {layout = "panels"} : tensor<8x8xf32>
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  %1, %2 = sm1.split %0 : tensor<?x?x8xf32> into tensor<?x?x4xf32>, tensor<?x?x4xf32>
  return %1, %2 : tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// The whole product is needed as well, so it is not computed twice.
// CHECK-LABEL: @keeps_split_of_shared_linear
func.func @keeps_split_of_shared_linear(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x4xf32>) {
  // CHECK: sm1.split
  %w = sm1.param "w" : tensor<8x8xf32>
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  %1, %2 = sm1.split %0 : tensor<?x?x8xf32> into tensor<?x?x4xf32>, tensor<?x?x4xf32>
  return %0, %1 : tensor<?x?x8xf32>, tensor<?x?x4xf32>
}

// A matrix that is not a parameter has no rows to name.
// CHECK-LABEL: @keeps_split_of_computed_matrix
func.func @keeps_split_of_computed_matrix(%x: tensor<?x?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x?x4xf32>, tensor<?x?x4xf32>) {
  // CHECK: sm1.split
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  %1, %2 = sm1.split %0 : tensor<?x?x8xf32> into tensor<?x?x4xf32>, tensor<?x?x4xf32>
  return %1, %2 : tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// What nobody reads is dropped: every operator is pure.
// CHECK-LABEL: @dead
func.func @dead(%x: tensor<?x?x8xf32>) {
  // CHECK-NEXT: return
  %w = sm1.param "w" : tensor<8x8xf32>
  %0 = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  %1, %2 = sm1.scan %0, %0 : tensor<?x?x8xf32>
  return
}
