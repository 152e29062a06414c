// Storage, block size and layout of a step's caches under a budget, with reasons.
// RUN: llmir-opt %s --llm-plan-kv-cache=kv-budget=250000 -o %t.mlir 2>%t.txt
// RUN: FileCheck %s --input-file %t.mlir
// RUN: FileCheck %s --input-file %t.txt --check-prefix=WHY
// RUN: llmir-opt %s --llm-plan-kv-cache="kv-budget=250000 verbose=false" --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=COUNTS --implicit-check-not=remark
// RUN: llmir-opt %s --llm-plan-kv-cache=kv-budget=1000000000 2>/dev/null | FileCheck %s --check-prefix=RICH
// RUN: llmir-opt %s --llm-plan-kv-cache="kv-budget=1000000000 block-sizes=64" 2>/dev/null | FileCheck %s --check-prefix=SIXTY-FOUR
// RUN: llmir-opt %s --llm-plan-kv-cache="kv-budget=250000 context=64" 2>/dev/null | FileCheck %s --check-prefix=SHORT
// RUN: llmir-opt %s --llm-plan-kv-cache="kv-budget=800000 sequences=4" -o /dev/null 2>&1 | FileCheck %s --check-prefix=FOUR

// COUNTS-DAG: llm-plan-kv-cache: 2 layers-planned
// COUNTS-DAG: llm-plan-kv-cache: 2 caches
// COUNTS-DAG: llm-plan-kv-cache: 524288 bytes-before
// COUNTS-DAG: llm-plan-kv-cache: 243712 bytes-after

// Blocks: 16 * 2112 * 2 heads * 32 blocks, and 32 tokens of 108544 / 512 bytes. What a step moves: 512
// tokens of 264 bytes, one more written, and queries, keys, values, slots and outputs in f32.
// WHY: remark: KV caches for 1 sequences of 512 tokens take 243712 of 250000 bytes (as they were: 524288)
// WHY: remark: layout channel_major: the one that attention on the CPU reads
// WHY: remark: layers 0 of cache 0: keys in i8 (a scale a token), values in i8 (a scale a token): 264.0 bytes a token and layer ({{.*}} padding), 135168 bytes in all; a decoding step moves 138508 bytes; error 6.07E-04
// WHY: remark: blocks of 16 tokens: 7.5 tokens a sequence are unused on average and its blocks are worth 16.0; of 8: 3.5 and 32.0; of 32: 15.5 and 8.0; of 64: 31.5 and 4.0; of 128: 63.5 and 2.0; of 256: 127.5 and 1.0
// WHY: remark: layers 1 of cache 0: keys in i8 (a scale a token), values in i4 (a scale each 16 channels): 212.0 bytes a token and layer ({{.*}} padding), 108544 bytes in all
// WHY: remark: no wider: layer 1 of cache 0 with keys in i8 (a scale a token) and values in i8 (a scale a token) would take 26624 bytes more, and 6288 are left

// FOUR: remark: KV caches for 4 sequences of 512 tokens take {{[1-7][0-9]+}} of 800000 bytes

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>

// CHECK: !kv = !llm.paged_kv_cache<f16, 1, 2, 64, 16, 512, key_storage = i8, value_storage = i8, key_scales = token, value_scales = token, scale = f16>
// CHECK: !kv1 = !llm.paged_kv_cache<f16, 1, 2, 64, 32, 512, key_storage = i8, value_storage = i4, key_scales = token, value_scales = group, value_scale_group = 16, scale = f16>
// CHECK-LABEL: func.func @step(
// CHECK-SAME: %[[KV0:[^:]*]]: !kv, %[[S0:[^:]*]]: tensor<?xi32>, %[[T0:[^:]*]]: tensor<?x?xi32>, %[[KV1:[^:]*]]: !kv1, %[[S1:[^:]*]]: tensor<?xi32>, %[[T1:[^:]*]]: tensor<?x?xi32>, %[[Q:[^:]*]]: tensor<?x4x64xf32>
// CHECK-SAME: -> (tensor<?x4x64xf32>, !kv, !kv1)
// RICH: !kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
// RICH: llm.store_kv {{.*}}{layer = 1 : i32}
// SHORT: !kv = !llm.paged_kv_cache<f16, 2, 2, 64, 8, 512>
// SIXTY-FOUR: !kv = !llm.paged_kv_cache<f16, 2, 2, 64, 64, 512>
func.func @step(%context: !llm.step_context, %lens: tensor<?xi32>, %cu: tensor<?xi32>, %kv: !kv,
                %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %q: tensor<?x4x64xf32>,
                %k: tensor<?x2x64xf32>) -> (tensor<?x4x64xf32>, !kv) attributes {llm.step} {
  // CHECK: %[[A:.*]] = llm.store_kv %[[KV0]], %{{.*}}, %{{.*}}, %[[S0]] : (!kv,
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
  // CHECK: %[[O:.*]] = llm.paged_attention %[[Q]], %[[A]], %[[T0]], {{.*}} {num_heads = 4 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32} :
  %1 = llm.paged_attention %q, %0, %table, %lens cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<?x4x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x64xf32>
  // CHECK: %[[B:.*]] = llm.store_kv %[[KV1]], %{{.*}}, %{{.*}}, %[[S1]] : (!kv1,
  %2 = llm.store_kv %0, %k, %k, %slots {layer = 1 : i32} : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
  // CHECK: %[[P:.*]] = llm.paged_attention %[[O]], %[[B]], %[[T1]], {{.*}} {num_heads = 4 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32} :
  %3 = llm.paged_attention %1, %2, %table, %lens cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 1 : i32}
      : (tensor<?x4x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x64xf32>
  // CHECK: return %[[P]], %[[A]], %[[B]]
  return %3, %2 : tensor<?x4x64xf32>, !kv
}

// No step: left alone.
// CHECK-LABEL: func.func @function(%{{.*}}: !kv2)
func.func @function(%kv: !kv) -> !kv {
  return %kv : !kv
}
