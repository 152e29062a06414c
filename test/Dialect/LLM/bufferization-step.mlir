// Every op that takes or gives tensors has a form on buffers, and a whole step becomes one.
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not='tensor<{{[?0-9]}}' --implicit-check-not=bufferization
// RUN: llmir-opt %t.mlir | diff %t.mlir -
// RUN: llmir-opt %t.mlir --emit-bytecode | llmir-opt | diff %t.mlir -
// RUN: llmir-opt %t.mlir --mlir-print-op-generic | llmir-opt | diff %t.mlir -
// RUN: llmir-opt %t.mlir --ownership-based-buffer-deallocation --canonicalize --buffer-deallocation-simplification -o /dev/null
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries" | FileCheck %s --check-prefix=STRIDED
// RUN: llmir-opt %s --llm-fuse-projections --llm-fold-norms --llm-fold-residuals --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s --check-prefix=OPTIMIZED

!kv = !llm.paged_kv_cache<f16, 1, 1, 32, 16, 128>
!codes = !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
!matrix = !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>

// CHECK: llm.weight @embd : tensor<96x64xf32>
llm.weight @embd : tensor<96x64xf32>
// CHECK: llm.weight @norm : tensor<64xf32>
llm.weight @norm : tensor<64xf32>
// CHECK: llm.weight @qkv sources(["q", "k", "v"]) source_rows([64, 32, 32]) : tensor<128x64xf32>
llm.weight @qkv sources(["q", "k", "v"]) source_rows([64, 32, 32]) : tensor<128x64xf32>
// CHECK: llm.weight @gate : tensor<64x64xf32>
llm.weight @gate : tensor<64x64xf32>
// CHECK: llm.weight @up : tensor<64x64xf32>
llm.weight @up : tensor<64x64xf32>
// CHECK: llm.weight @o : tensor<64x64xf32>
llm.weight @o : tensor<64x64xf32>
// CHECK: llm.weight @router : tensor<4x64xf32>
llm.weight @router : tensor<4x64xf32>
// CHECK: llm.weight @experts : tensor<256x64xf32>
llm.weight @experts : tensor<256x64xf32>
// CHECK: llm.weight @sinks : tensor<2xf32>
llm.weight @sinks : tensor<2xf32>

// Nothing is copied: no op writes into what it reads.
// CHECK-LABEL: func.func @step
// CHECK-NOT: memref.
// CHECK: %[[X:.*]] = llm.embedding %{{.*}}, @embd : memref<?xi32> -> memref<?x64xf32>
// CHECK: %[[N:.*]] = llm.rms_norm %[[X]], @norm epsilon({{.*}}) : memref<?x64xf32>
// CHECK: %[[QKV:.*]]:3 = llm.linear %[[N]], @qkv : (memref<?x64xf32>) -> (memref<?x2x32xf32>, memref<?x1x32xf32>, memref<?x1x32xf32>)
// CHECK: %[[R:.*]]:2 = llm.rope %[[QKV]]#0, %[[QKV]]#1 positions(%{{.*}}) {{.*}} : memref<?x2x32xf32>, memref<?x1x32xf32>, memref<?xi32>
// CHECK: llm.load_weight @sinks : memref<2xf32>
// CHECK: llm.store_kv
// CHECK: llm.paged_attention
// CHECK: llm.linear %{{.*}}, @o residual(%[[X]]) : (memref<?x2x32xf32>, memref<?x64xf32>) -> memref<?x64xf32>
// CHECK: llm.layer_norm {{.*}} : memref<?x64xf32>
// CHECK: llm.swiglu {{.*}} : memref<?x64xf32>
// CHECK: llm.geglu {{.*}} : memref<?x64xf32>
// CHECK: llm.moe {{.*}} : memref<?x64xf32>
// CHECK: llm.logits {{.*}} : (memref<?x64xf32>, memref<?xi32>) -> memref<?x96xf32>
// CHECK: llm.sample {{.*}} : (memref<?x96xf32>, memref<?xf32>) -> memref<?xi32>
// CHECK: return
// What comes in with gaps is copied once for an op that needs it without.
// STRIDED-LABEL: func.func @step
// STRIDED: memref.alloc({{.*}}) {{.*}}: memref<?xi32>
// STRIDED: memref.copy %{{.*}} : memref<?xi32, strided<[?], offset: ?>> to memref<?xi32>
// STRIDED: llm.embedding %{{.*}}, @embd : memref<?xi32> -> memref<?x64xf32>
// OPTIMIZED-LABEL: func.func @step
// OPTIMIZED: llm.linear {{.*}} norm(@norm, {{.*}}) : (memref<?x64xf32>)
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>, %uniforms: tensor<?xf32>)
    -> (tensor<?x96xf32>, tensor<?xi32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %qkv:3 = llm.linear %n, @qkv : (tensor<?x64xf32>) -> (tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?x1x32xf32>)
  %r:2 = llm.rope %qkv#0, %qkv#1 positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %s = llm.load_weight @sinks : tensor<2xf32>
  %kv1 = llm.store_kv %kv, %r#1, %qkv#2, %slots : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a = llm.paged_attention %r#0, %kv1, %table, %lengths cu_lengths(%cu) sink_logits(%s) {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32} : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<2xf32>) -> tensor<?x2x32xf32>
  %y = llm.linear %a, @o residual(%x) : (tensor<?x2x32xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %m = llm.layer_norm %y, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %g = llm.linear %m, @gate : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %u = llm.linear %m, @up : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = llm.swiglu %g, %u : tensor<?x64xf32>
  %i = llm.geglu %h, %u : tensor<?x64xf32>
  %e = llm.moe %i router(@router) gate(@experts) up(@experts) down(@experts) experts(2 of 4) : tensor<?x64xf32>
  %l = llm.logits %e, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  %t = llm.sample %l uniforms(%uniforms) {top_k = 4 : i32} : (tensor<?x96xf32>, tensor<?xf32>) -> tensor<?xi32>
  return %l, %t, %kv1 : tensor<?x96xf32>, tensor<?xi32>, !kv
}

// Quantised tensors are the same values in both forms.
// CHECK-LABEL: func.func @codes
// CHECK: %[[A:.*]] = llm.quantize %{{.*}} : memref<?x64xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
// CHECK: llm.quantized_matmul %[[A]], %{{.*}} : (!llm.quantized_tensor<{{.*}}>, !llm.quantized_tensor<{{.*}}>) -> memref<?x48xf32>
// CHECK: llm.dequantize %{{.*}} : !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4> -> memref<48x64xf32>
// CHECK: return
func.func @codes(%x: tensor<?x64xf32>, %w: !matrix) -> (tensor<?x48xf32>, tensor<48x64xf32>) {
  %a = llm.quantize %x : tensor<?x64xf32> -> !codes
  %y = llm.quantized_matmul %a, %w : (!codes, !matrix) -> tensor<?x48xf32>
  %d = llm.dequantize %w : !matrix -> tensor<48x64xf32>
  return %y, %d : tensor<?x48xf32>, tensor<48x64xf32>
}

// CHECK-LABEL: func.func @verify
// CHECK: llm.verify {{.*}} : (memref<?x96xf32>, memref<?xi32>, memref<3xi32>) -> (memref<2xi32>, memref<2x4xi32>, memref<2xi32>)
func.func @verify(%l: tensor<?x96xf32>, %d: tensor<?xi32>, %cu: tensor<3xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>) {
  %a, %p, %n = llm.verify %l, %d, %cu : (tensor<?x96xf32>, tensor<?xi32>, tensor<3xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return %a, %p, %n : tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>
}

// CHECK-LABEL: func.func @rotated
// CHECK: %{{.*}}, %[[R:.*]] = llm.rope_store_kv {{.*}} : (!kv, memref<?x1x32xf32>, memref<?x1x32xf32>, memref<?xi32>, memref<?x2x32xf32>, memref<?xi32>) -> (!kv, memref<?x2x32xf32>)
// CHECK: return %{{.*}}, %[[R]]
func.func @rotated(%kv: !kv, %q: tensor<?x2x32xf32>, %k: tensor<?x1x32xf32>, %slots: tensor<?xi32>, %p: tensor<?xi32>) -> (!kv, tensor<?x2x32xf32>) {
  %kv1, %r = llm.rope_store_kv %kv, %k, %k, %slots queries(%q) positions(%p) theta(1.0e+4) rotary_dim(32) interleaved : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>, tensor<?x2x32xf32>, tensor<?xi32>) -> (!kv, tensor<?x2x32xf32>)
  return %kv1, %r : !kv, tensor<?x2x32xf32>
}
