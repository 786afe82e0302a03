// RUN: sm1-opt %s -sm1-set-scan-form=form=closed_form | FileCheck %s --check-prefix=CLOSED
// RUN: sm1-opt %s -sm1-set-scan-form=form=exact | FileCheck %s --check-prefix=EXACT
// RUN: sm1-opt %s -sm1-set-scan-form | FileCheck %s --check-prefix=EXACT
// RUN: not sm1-opt %s -sm1-set-scan-form=form=fast 2>&1 | FileCheck %s --check-prefix=BAD

// BAD: error: form must be exact or closed_form, got 'fast'

// Every scan has the chosen form, whatever it had before, in layers and out of them. Nothing else changes.
// CLOSED-LABEL: sm1.model @every_scan
// EXACT-LABEL: sm1.model @every_scan
sm1.model @every_scan(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %h: tensor<?x2x8xf32> {sm1.state = "h"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x2x8xf32> {sm1.state = "h"}) {
  // CLOSED: sm1.scan %x, %x form closed_form : tensor<?x?x8xf32>
  // EXACT: sm1.scan %x, %x : tensor<?x?x8xf32>
  %a, %unused = sm1.scan %x, %x : tensor<?x?x8xf32>
  // CLOSED: sm1.layers 2
  // EXACT: sm1.layers 2
  %y, %h_out = sm1.layers 2 carry(%c = %a : tensor<?x?x8xf32>) state(%h0 = %h : tensor<?x2x8xf32>) {
    // CLOSED: sm1.scan %{{.*}}, %{{.*}} init %{{.*}} form closed_form : tensor<?x?x8xf32>
    // EXACT: sm1.scan %{{.*}}, %{{.*}} init %h_prev : tensor<?x?x8xf32>
    %b, %last = sm1.scan %c, %c init %h0 form closed_form : tensor<?x?x8xf32>
    sm1.yield %b, %last : tensor<?x?x8xf32>, tensor<?x8xf32>
  }
  // CLOSED: sm1.return
  // EXACT: sm1.return
  sm1.return %y, %h_out : tensor<?x?x8xf32>, tensor<?x2x8xf32>
}
