// What each level of the optimisation pipeline does, and that the next does more.
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=0 | FileCheck %s --check-prefixes=ALL,O0 --implicit-check-not=offset
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=1 | FileCheck %s --check-prefixes=ALL,O1
// RUN: llmir-opt %s --llm-optimization-pipeline="opt-level=2 activations=f32" -o %t.two.mlir
// RUN: FileCheck %s --check-prefixes=ALL,O2 --input-file %t.two.mlir
// RUN: llmir-opt %s --llm-optimization-pipeline=activations=f32 | diff %t.two.mlir -
// RUN: llmir-opt %s --llm-optimization-pipeline="opt-level=1 weights=i4 symmetry=symmetric group-size=64 keep=k,v" | FileCheck %s --check-prefix=I4
// RUN: not llmir-opt %s --llm-optimization-pipeline=opt-level=4 2>&1 | FileCheck %s --check-prefix=FOUR
// RUN: not llmir-opt %s --llm-optimization-pipeline=opt-level=-1 2>&1 | FileCheck %s --check-prefix=MINUS
// RUN: not llmir-opt %s --llm-cpu-pipeline=opt-level=7 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: llmir-opt %s --llm-cpu-pipeline="opt-level=0 features=avx2,fma,f16c" -o /dev/null

// Attention that is written out: only level 3 looks for it.
// RUN: llmir-opt %S/Inputs/written-out.mlir --llm-optimization-pipeline=opt-level=2 | FileCheck %s --check-prefix=WRITTEN
// RUN: llmir-opt %S/Inputs/written-out.mlir --llm-optimization-pipeline=opt-level=3 --mlir-print-ir-after=llm-raise-attention -o /dev/null > %t.three 2>&1 || true
// RUN: FileCheck %s --check-prefix=RAISED --input-file %t.three
// WRITTEN: linalg.softmax
// RAISED: llm.attention

// FOUR: expected 'opt-level' to be in 0..3, but got 4
// MINUS: expected 'opt-level' to be in 0..3, but got -1
// CPU: expected 'opt-level' to be in 0..3, but got 7

!kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 128>

// I4: llm.weight @q offset({{.*}}) : !llm.quantized_tensor<i4, [64, 64], true, true, 1, 64, 4, scale = f16>
// I4: llm.weight @k offset({{.*}}) : tensor<64x64xf32>
// O1: llm.weight @q offset(
// O2: llm.weight @qkv sources(["q", "k", "v"]){{.*}} offset(
llm.weight @embd : tensor<96x64xf32>
llm.weight @norm : tensor<64xf32>
llm.weight @q : tensor<64x64xf32>
llm.weight @k : tensor<64x64xf32>
llm.weight @v : tensor<64x64xf32>

// ALL-LABEL: func.func @step
// O0: llm.rms_norm
// O0: llm.rms_norm
// O0: llm.linear %{{.*}}, @q activations(f32)
// O0: arith.addf
// O1: llm.rms_norm
// O1-NOT: llm.rms_norm
// O1: llm.linear %{{.*}}, @q : (
// O1: arith.addf
// O2-NOT: llm.rms_norm
// O2: llm.linear %{{.*}}, @qkv norm(@norm
// O2-NOT: llm.rms_norm
// O2: arith.addf
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %m = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q = llm.linear %n, @q activations(f32) : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  %k = llm.linear %m, @k activations(f32) : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  %v = llm.linear %m, @v activations(f32) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %kv1 = llm.store_kv %kv, %q, %k, %slots : (!kv, tensor<?x2x32xf32>, tensor<?x2x32xf32>, tensor<?xi32>) -> !kv
  %y = arith.addf %x, %v : tensor<?x64xf32>
  %l = llm.logits %y, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %l, %kv1 : tensor<?x96xf32>, !kv
}
