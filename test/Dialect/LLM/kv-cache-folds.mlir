// Folds of the ops on caches.
// RUN: llmir-opt %s --canonicalize | FileCheck %s

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// A store of no tokens, ragged or padded, is the cache as it was.
// CHECK-LABEL: func.func @store_nothing
// CHECK-SAME:    %[[KV:.*]]: !kv,
func.func @store_nothing(%kv: !kv, %k: tensor<0x16x64xf32>, %padded: tensor<2x0x16x64xf32>, %s: tensor<0xi32>) -> !kv {
  // CHECK-NEXT: return %[[KV]]
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<0x16x64xf32>, tensor<0x16x64xf32>, tensor<0xi32>) -> !kv
  %1 = llm.store_kv %0, %padded, %padded, %s : (!kv, tensor<2x0x16x64xf32>, tensor<2x0x16x64xf32>, tensor<0xi32>) -> !kv
  return %1 : !kv
}

// One of tokens stays, and so does one of a number that only the run knows.
// CHECK-LABEL: func.func @store_something
func.func @store_something(%kv: !kv, %k: tensor<1x16x64xf32>, %more: tensor<?x16x64xf32>, %s: tensor<?xi32>) -> !kv {
  // CHECK-COUNT-2: llm.store_kv
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<1x16x64xf32>, tensor<1x16x64xf32>, tensor<?xi32>) -> !kv
  %1 = llm.store_kv %0, %more, %more, %s : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  return %1 : !kv
}
