// One gate that two streams read, each on its way into a matrix: four elementwise operations of which sm1 by itself makes three kernels.
sm1.model @two_readers(%x: tensor<?x?x48xf32> {sm1.name = "x"}) -> (tensor<?x?x32xf32> {sm1.name = "y"}, tensor<?x?x32xf32> {sm1.name = "z"}) {
  %one_f = arith.constant 1.0 : f32
  %one = sm1.broadcast %one_f : f32 to tensor<?x?x48xf32>
  %exp = math.exp %x : tensor<?x?x48xf32>
  %gate = arith.divf %one, %exp : tensor<?x?x48xf32>
  %a = arith.mulf %gate, %x : tensor<?x?x48xf32>
  %b = arith.addf %gate, %one : tensor<?x?x48xf32>
  %w = sm1.param "y.weight" : tensor<32x48xf32>
  %v = sm1.param "z.weight" : tensor<32x48xf32>
  %y = sm1.linear %a, %w : tensor<?x?x48xf32>, tensor<32x48xf32>
  %z = sm1.linear %b, %v : tensor<?x?x48xf32>, tensor<32x48xf32>
  sm1.return %y, %z : tensor<?x?x32xf32>, tensor<?x?x32xf32>
}
