// Budgets that nothing meets, options that mean nothing, and caches that cannot be exchanged.
// RUN: llmir-opt %s --llm-plan-kv-cache="kv-budget=100000 verbose=false" --split-input-file --verify-diagnostics
// RUN: not llmir-opt %S/plan-kv-cache.mlir --llm-plan-kv-cache 2>&1 | FileCheck %s --check-prefix=NO-BUDGET
// RUN: not llmir-opt %S/plan-kv-cache.mlir --llm-plan-kv-cache="kv-budget=1000000 context=513" 2>&1 | FileCheck %s --check-prefix=CONTEXT
// RUN: not llmir-opt %S/plan-kv-cache.mlir --llm-plan-kv-cache="kv-budget=1000000 sequences=0" 2>&1 | FileCheck %s --check-prefix=SEQUENCES
// RUN: not llmir-opt %S/plan-kv-cache.mlir --llm-plan-kv-cache="kv-budget=1000000 block-sizes=16,512" 2>&1 | FileCheck %s --check-prefix=BLOCKS
// RUN: not llmir-opt %S/plan-kv-cache.mlir --llm-plan-kv-cache="kv-budget=250000 target=gpu" 2>&1 | FileCheck %s --check-prefix=GPU

// NO-BUDGET: error: llm-plan-kv-cache: expected 'kv-budget' to be positive, but got 0
// CONTEXT: error: llm-plan-kv-cache: expected 'context' to be at most the cache's longest sequence, 512, but got 513
// SEQUENCES: error: llm-plan-kv-cache: expected 'sequences' to be positive, but got 0
// BLOCKS: error: llm-plan-kv-cache: expected 'block-sizes' in 1..256, but got 512
// GPU: error: 'func.func' op expected KV caches of at most 250000 bytes for 1 sequences of 512 tokens, but the narrowest, with keys in f16 and values in f16, take 524288

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
// expected-error @+1 {{expected KV caches of at most 100000 bytes for 1 sequences of 512 tokens, but the narrowest, with keys in i4 (a scale a token) and values in i4 (a scale a token), take 139264}}
func.func @step(%kv: !kv, %slots: tensor<?xi32>, %table: tensor<?x?xi32>) -> !kv attributes {llm.step} {
  return %kv : !kv
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
func.func @step(%kv: !kv, %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %k: tensor<?x2x64xf32>, %i: index) -> !kv attributes {llm.step} {
  // expected-error @+1 {{'llm.store_kv' op expected the layer as an attribute in a step, but got an operand}}
  %0 = llm.store_kv %kv, %k, %k, %slots layer(%i) : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>, index) -> !kv
  return %0 : !kv
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
func.func @step(%kv: !kv, %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %k: tensor<?x2x64xf32>, %other: tensor<?xi32>) -> !kv attributes {llm.step} {
  // expected-error @+1 {{'llm.store_kv' op expected the slots that the step received with the cache}}
  %0 = llm.store_kv %kv, %k, %k, %other : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
  return %0 : !kv
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
func.func @step(%kv: !kv, %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %lens: tensor<?xi32>) -> !kv attributes {llm.step} {
  // expected-error @+1 {{'llm.lookup_kv' op expected llm.store_kv, llm.paged_attention or the step's return as the use of a cache}}
  %k, %v = llm.lookup_kv %kv, %table, %lens : (!kv, tensor<?x?xi32>, tensor<?xi32>) -> (tensor<?x?x2x64xf16>, tensor<?x?x2x64xf16>)
  return %kv : !kv
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
func.func @step(%kv: !kv, %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %x: tensor<16x64xf32>) -> !kv attributes {llm.step} {
  // expected-error @+1 {{'func.call' op expected slots and table of a cache to be used with it alone}}
  func.call @look(%slots) : (tensor<?xi32>) -> ()
  return %kv : !kv
}
func.func private @look(tensor<?xi32>)

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
// expected-error @+1 {{expected slots and a table behind the cache}}
func.func @step(%kv: !kv, %slots: tensor<?xi32>) -> !kv attributes {llm.step} {
  return %kv : !kv
}
