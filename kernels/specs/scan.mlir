// The recurrence alone: decay and input in, every h and the last one out. 48 channels, as in the reference data.
//   sm1c scan.mlir -o scan.sm1pkg
//   sm1-run call scan.sm1pkg --entry=prefill --in=scan-init-4096.safetensors --out=h.safetensors
// There are no parameters. `init` is the state before the first token; without it the state is zero.
sm1.model @scan(%decay: tensor<?x?x48xf32> {sm1.name = "decay"}, %input: tensor<?x?x48xf32> {sm1.name = "input"},
                %init: tensor<?x48xf32> {sm1.name = "init", sm1.state = "h"})
    -> (tensor<?x?x48xf32> {sm1.name = "h"}, tensor<?x48xf32> {sm1.name = "last", sm1.state = "h"}) {
  %h, %last = sm1.scan %decay, %input init %init : tensor<?x?x48xf32>
  sm1.return %h, %last : tensor<?x?x48xf32>, tensor<?x48xf32>
}
