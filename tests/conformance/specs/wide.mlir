// Streams so wide that half a million rows have more than 2^31 elements, with a scan, a norm and a projection over them.
sm1.model @wide(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x4096xf32> {sm1.name = "state_in.h", sm1.state = "h"})
    -> (tensor<?x?x16xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x4096xf32> {sm1.name = "state_out.h", sm1.state = "h"}) {
  %embed = sm1.param "embed.weight" : tensor<64x4096xf32>
  %norm = sm1.param "norm.weight" : tensor<4096xf32>
  %head = sm1.param "head.weight" : tensor<16x4096xf32>
  %x = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<64x4096xf32>
  %negative = arith.negf %x : tensor<?x?x4096xf32>
  %power = math.exp %negative : tensor<?x?x4096xf32>
  %one = arith.constant 1.0 : f32
  %ones = sm1.broadcast %one : f32 to tensor<?x?x4096xf32>
  %sum = arith.addf %ones, %power : tensor<?x?x4096xf32>
  %decay = arith.divf %ones, %sum : tensor<?x?x4096xf32>
  %h, %last = sm1.scan %decay, %x init %h_in : tensor<?x?x4096xf32>
  %normed = sm1.rms_norm %h, %norm eps 1.0e-06 : tensor<?x?x4096xf32>
  %logits = sm1.linear %normed, %head : tensor<?x?x4096xf32>, tensor<16x4096xf32>
  sm1.return %logits, %last : tensor<?x?x16xf32>, tensor<?x4096xf32>
}
