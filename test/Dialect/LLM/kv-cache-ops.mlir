// KV cache ops: round trips.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

// CHECK: !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// CHECK-LABEL: func.func @create_kv_cache
func.func @create_kv_cache(%blocks: index) -> !kv {
  // CHECK: llm.create_kv_cache %{{.*}} : !kv
  %0 = llm.create_kv_cache %blocks : !kv
  return %0 : !kv
}

// CHECK-LABEL: func.func @append_kv
func.func @append_kv(%kv: !kv, %k: tensor<2x1x16x64xf16>, %k3: tensor<?x16x64xf32>, %s: tensor<2xi32>, %s3: tensor<?xi32>, %i: index) -> !kv {
  // A layer of 0 is the default and is not printed.
  // CHECK: llm.append_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  %1, %b1 = llm.append_kv %kv, %k, %k, %s {layer = 0 : i32, max_seq_len = 4096 : i32, block_size = 16 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  // CHECK: llm.append_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {block_size = 16 : i32, max_seq_len = 4096 : i32, layer = 11 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x1xi32>)
  %2, %b2 = llm.append_kv %1, %k3, %k3, %s3 {block_size = 16 : i32, max_seq_len = 4096 : i32, layer = 11 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x1xi32>)
  // CHECK: llm.append_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} layer(%{{.*}}) {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, index) -> (!kv, tensor<?x1xi32>)
  %3, %b3 = llm.append_kv %2, %k3, %k3, %s3 layer(%i) {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, index) -> (!kv, tensor<?x1xi32>)
  return %3 : !kv
}

// CHECK-LABEL: func.func @reserve_kv
func.func @reserve_kv(%kv: !kv, %s: tensor<2xi32>, %s2: tensor<?xi32>, %k: tensor<2x3x16x64xf32>, %n: index) -> !kv {
  // CHECK: llm.reserve_kv %{{.*}}, %{{.*}} {tokens = 3 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<6xi32>, tensor<2x3xi32>)
  %1, %slots, %b1 = llm.reserve_kv %kv, %s {tokens = 3 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<6xi32>, tensor<2x3xi32>)
  // A padded batch is stored row by row.
  // CHECK: llm.store_kv {{.*}} : (!kv, tensor<2x3x16x64xf32>, tensor<2x3x16x64xf32>, tensor<6xi32>) -> !kv
  %2 = llm.store_kv %1, %k, %k, %slots : (!kv, tensor<2x3x16x64xf32>, tensor<2x3x16x64xf32>, tensor<6xi32>) -> !kv
  // CHECK: llm.reserve_kv %{{.*}}, %{{.*}} tokens(%{{.*}}) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<?xi32>, tensor<?x?xi32>)
  %3, %more, %b3 = llm.reserve_kv %2, %s2 tokens(%n) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<?xi32>, tensor<?x?xi32>)
  // The results may say more than the operands.
  // CHECK: llm.reserve_kv %{{.*}}, %{{.*}} tokens(%{{.*}}) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<8xi32>, tensor<4x2xi32>)
  %4, %others, %b4 = llm.reserve_kv %3, %s2 tokens(%n) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<8xi32>, tensor<4x2xi32>)
  return %4 : !kv
}

// CHECK-LABEL: func.func @store_kv
func.func @store_kv(%kv: !kv, %k: tensor<?x16x64xf32>, %slots: tensor<?xi32>, %i: index) -> !kv {
  // CHECK: llm.store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  // CHECK: llm.store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {layer = 7 : i32} : (!kv,
  %2 = llm.store_kv %1, %k, %k, %slots {layer = 7 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  // CHECK: llm.store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} layer(%{{.*}}) : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, index) -> !kv
  %3 = llm.store_kv %2, %k, %k, %slots layer(%i) : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, index) -> !kv
  return %3 : !kv
}

llm.weight @factors : tensor<8xf32>

// CHECK-LABEL: func.func @rope_store_kv
func.func @rope_store_kv(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %slots: tensor<?xi32>, %p: tensor<?xi32>) -> !kv {
  // CHECK: llm.rope_store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} queries(%{{.*}}) positions(%{{.*}}) theta(1.000000e+05) rotary_dim(64) interleaved : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?x32x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x32x64xf32>)
  %1, %r = llm.rope_store_kv %kv, %k, %k, %slots queries(%q) positions(%p) theta(1.0e+5) rotary_dim(64) interleaved {layer = 0 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?x32x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x32x64xf32>)
  // CHECK: llm.rope_store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} positions(%{{.*}}) theta(1.000000e+04) rotary_dim(16) half frequency_factors(@factors) {layer = 11 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  %2 = llm.rope_store_kv %1, %k, %k, %slots positions(%p) theta(1.0e+4) rotary_dim(16) half frequency_factors(@factors) {layer = 11 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %2 : !kv
}

// CHECK-LABEL: func.func @lookup_kv
func.func @lookup_kv(%kv: !kv, %table: tensor<2x128xi32>, %lens: tensor<2xi32>) {
  // CHECK: llm.lookup_kv %{{.*}}, %{{.*}}, %{{.*}} {layer = 3 : i32} : (!kv, tensor<2x128xi32>, tensor<2xi32>) -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
  %k, %v = llm.lookup_kv %kv, %table, %lens {layer = 3 : i32} : (!kv, tensor<2x128xi32>, tensor<2xi32>) -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
  return
}

// CHECK-LABEL: func.func @block_table
func.func @block_table(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  // CHECK: llm.block_table %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %0 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %0 : tensor<?x?xi32>
}
