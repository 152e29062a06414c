// The seed's example, with its table from llm.block_table: parses, verifies, and prints as written.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --llm-check-cache-uses --canonicalize --cse | FileCheck %s

// CHECK: !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// CHECK-LABEL: func.func @attend(
// CHECK-SAME: %[[KV0:[a-z0-9]+]]: !kv, %[[K:[a-z0-9]+]]: {{[^,]*}}, %[[V:[a-z0-9]+]]: {{[^,]*}},
// CHECK-SAME: %[[SEQS:[a-z0-9]+]]: {{[^,]*}}, %[[Q:[a-z0-9]+]]: {{[^,]*}}, %[[LENS:[a-z0-9]+]]: 
func.func @attend(%kv0: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                  %seqs: tensor<2xi32>, %q: tensor<2x1x16x64xf16>, %lens: tensor<2xi32>)
    -> (tensor<2x1x16x64xf16>, !kv) {
  // CHECK: %[[KV1:.*]], %{{.*}} = llm.append_kv %[[KV0]], %[[K]], %[[V]], %[[SEQS]] {block_size = 16 : i32, max_seq_len = 4096 : i32}
  // CHECK-SAME: : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  %kv1, %slots = llm.append_kv %kv0, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  // CHECK: %[[TABLE:.*]] = llm.block_table %[[KV1]], %[[SEQS]] : (!kv, tensor<2xi32>) -> tensor<2x128xi32>
  %table = llm.block_table %kv1, %seqs : (!kv, tensor<2xi32>) -> tensor<2x128xi32>
  // CHECK: llm.paged_attention %[[Q]], %[[KV1]], %[[TABLE]], %[[LENS]] {num_heads = 16 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32}
  // CHECK-SAME: : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  %o = llm.paged_attention %q, %kv1, %table, %lens {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return %o, %kv1 : tensor<2x1x16x64xf16>, !kv
}
