// What each pipeline leaves: llm ops after optimisation, only the LLVM dialect after the whole.
// RUN: llmir-opt %s --llm-optimization-pipeline | FileCheck %s --check-prefix=OPTIMIZE
// RUN: llmir-opt %s --llm-optimization-pipeline=activations=f32 | FileCheck %s --check-prefix=F32 --implicit-check-not=activations
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=0 | FileCheck %s --check-prefix=O0 --implicit-check-not=offset
// RUN: llmir-opt %s --llm-cpu-pipeline=features=avx2,fma,f16c -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --check-prefix=LLVM
// RUN: FileCheck %s --input-file %t.mlir --check-prefix=ONLY --implicit-check-not='{{(= |^ *)(llm|func|scf|cf|arith|memref|vector|math|affine|builtin|bufferization|index|ub|tensor)\.}}' --implicit-check-not=!llm. --implicit-check-not=unrealized
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --llm-cpu-pipeline=features=avx2,fma,f16c -o %t.cache.mlir
// RUN: FileCheck %s --input-file %t.cache.mlir --check-prefix=CACHE --implicit-check-not='{{(= |^ *)(llm|func|scf|cf|arith|memref|vector|math|affine|builtin|bufferization|index|ub|tensor)\.}}' --implicit-check-not=!llm. --implicit-check-not=unrealized

!kv = !llm.paged_kv_cache<f16, 1, 1, 32, 16, 128>

llm.weight @embd : !llm.quantized_tensor<i8, [96, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @norm : tensor<64xf32>
llm.weight @q : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @k : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @v : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @o : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>

// OPTIMIZE: llm.weights_size
// OPTIMIZE: llm.weight {{.*}} sources(["q", "k", "v"]){{.*}} offset(
// OPTIMIZE: func.func @step
// OPTIMIZE-NEXT: llm.embedding
// OPTIMIZE-NEXT: llm.linear {{.*}} norm(@norm, {{.*}}) activations(i8)
// OPTIMIZE-NEXT: llm.rope_store_kv
// OPTIMIZE-NEXT: llm.paged_attention
// OPTIMIZE-NEXT: llm.linear {{.*}} activations(i8) residual(
// OPTIMIZE-NEXT: llm.logits {{.*}} activations(i8)
// OPTIMIZE-NEXT: return

// F32: llm.linear {{.*}} norm(@norm
// O0: llm.rms_norm
// O0: arith.addf

// LLVM: module attributes {{.*}}llm.workspace = {fixed = 0 : i64, per_row =
// LLVM-DAG: llvm.mlir.global external constant @llmir_model_abi_version(2 : i32)
// LLVM-DAG: llvm.func @llmir_model_step(%{{.*}}: !llvm.ptr, %{{.*}}: i32, %{{.*}}: i32)
// LLVM-DAG: llvm.func internal @linear_q8_0_i8_128x64(
// ONLY: llvm.func
// CACHE-DAG: llvm.func @_mlir_ciface_attend(
// CACHE-DAG: llvm.func @llmir_rt_cache_append(
// CACHE-DAG: llvm.func internal @store_kv_f16_12_16_64_64_16(
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q = llm.linear %n, @q : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  %k = llm.linear %n, @k : (tensor<?x64xf32>) -> tensor<?x1x32xf32>
  %v = llm.linear %n, @v : (tensor<?x64xf32>) -> tensor<?x1x32xf32>
  %r:2 = llm.rope %q, %k positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved
      : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %kv1 = llm.store_kv %kv, %r#1, %v, %slots
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a = llm.paged_attention %r#0, %kv1, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %p = llm.linear %a, @o : (tensor<?x2x32xf32>) -> tensor<?x64xf32>
  %y = arith.addf %x, %p : tensor<?x64xf32>
  %logits = llm.logits %y, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv1 : tensor<?x96xf32>, !kv
}
