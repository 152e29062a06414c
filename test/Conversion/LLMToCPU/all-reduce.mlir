// A sum over ranks in a step: the first worker calls the collective between two barriers, in place
// where nobody else reads the part, else on a copy.
// RUN: llmir-opt %s --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c | FileCheck %s

llm.weight @embd : tensor<96x64xf32>
llm.weight @o : tensor<64x64xf32>

// CHECK: func.func @llmir_model_step(%{{.*}}: !llvm.ptr, %[[WORKER:.*]]: i32, %{{.*}}: i32) {
// CHECK: call @embedding_96x64
// CHECK: scf.if
// CHECK-NEXT: call @linear_f32_{{.*}}64x64
// Tiles of a large batch are claimed.
// CHECK: scf.while
// CHECK: llvm.atomicrmw add
// CHECK: call @linear_f32_{{.*}}64x64
// CHECK: llvm.call %[[BARRIER:.*]](%[[TEAM:.*]], %[[WORKER]])
// CHECK: scf.if
// CHECK: %[[FUNCTION:.*]] = llvm.load
// CHECK: %[[COLLECTIVE:.*]] = llvm.load
// CHECK: llvm.call %[[FUNCTION]](%[[COLLECTIVE]], %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, i64) -> ()
// CHECK-NEXT: }
// CHECK-NEXT: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// The sum is read twice, so that the next one needs a copy.
// CHECK: call @copy_64
// CHECK-NEXT: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: scf.if
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, i64) -> ()
// CHECK: call @add
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x96xf32>
    attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %p = llm.linear %x, @o : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %s = llm.all_reduce %p, %context : tensor<?x64xf32>
  %t = llm.all_reduce %s, %context : tensor<?x64xf32>
  %y = arith.addf %s, %t : tensor<?x64xf32>
  %logits = llm.logits %y, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits : tensor<?x96xf32>
}
