// What cannot be lowered in a step: one message each.
// RUN: llmir-opt %s --llm-form-parallel-step=features=avx2,fma,f16c --split-input-file --verify-diagnostics
// RUN: not llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=sse2 2>&1 | FileCheck %s --check-prefix=FEATURE
// RUN: not llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma 2>&1 | FileCheck %s --check-prefix=F16C

// FEATURE: error: expected a target with the feature 'avx2'
// FEATURE-NOT: error:
// F16C: error: expected a target with the feature 'f16c'

// An op that has no place in a step.
!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> !kv attributes {llm.step} {
  // expected-error @+1 {{'llm.lookup_kv' op cannot be lowered in a step; expected llm ops over ragged batches, or arith.addf on tensors}}
  %k, %v = llm.lookup_kv %kv, %table, %lens : (!kv, tensor<?x?xi32>, tensor<?xi32>)
      -> (tensor<?x?x1x32xf16>, tensor<?x?x1x32xf16>)
  return %kv : !kv
}

// -----

// A weight without a place.
!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
// expected-error @+1 {{'llm.weight' op expected an offset; run llm-choose-packed-layouts first}}
llm.weight @embd : tensor<96x32xf32>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> !kv attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x32xf32>
  return %kv : !kv
}

// -----

// A layer that is not known when the step is formed: no op of a step computes an index.
!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
llm.weight @embd offset(0) : tensor<96x32xf32>
llm.weight @w offset(12288) : tensor<32x32xf32>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> !kv attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x32xf32>
  %k = llm.linear %x, @w : (tensor<?x32xf32>) -> tensor<?x1x32xf32>
  // expected-error @+1 {{'arith.constant' op cannot be lowered in a step}}
  %one = arith.constant 1 : index
  %kv1 = llm.store_kv %kv, %k, %k, %slots layer(%one)
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>, index) -> !kv
  return %kv1 : !kv
}

// -----

// Integer activations with a plain weight.
!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
llm.weight @embd offset(0) : tensor<96x32xf32>
llm.weight @w offset(12288) : tensor<32x32xf32>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> !kv attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x32xf32>
  // expected-error @+1 {{'llm.linear' op expected a quantised weight with i8 activations, but got a plain one}}
  %y = llm.linear %x, @w activations(i8) : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %kv : !kv
}

// -----

// Arguments that are not a step's.
!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
llm.weight @embd offset(0) : tensor<96x32xf32>
// expected-error @+1 {{expected a step's arguments (context, tokens, positions, cumulative lengths, context lengths, per cache: cache, slots, table; a tree mask, if any; rows), but got 2 arguments}}
func.func @step(%tokens: tensor<?xi32>, %kv: !kv) -> !kv attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x32xf32>

  return %kv : !kv
}

// -----

// Two steps.
func.func @first() attributes {llm.step} {
  return
}
// expected-error @+1 {{expected one function with 'llm.step' in a module, but got 2}}
func.func @second() attributes {llm.step} {
  return
}
