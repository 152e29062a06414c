// What each level of the optimisation pipeline does, and that the next does more.
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=0 | FileCheck %s --check-prefixes=ALL,O0 --implicit-check-not=offset
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=1 | FileCheck %s --check-prefixes=ALL,O1
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=2 | FileCheck %s --check-prefixes=ALL,O2
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=3 | FileCheck %s --check-prefixes=ALL,O3
// RUN: llmir-opt %s --llm-optimization-pipeline -o %t.default.mlir
// RUN: llmir-opt %s --llm-optimization-pipeline=opt-level=2 | diff %t.default.mlir -
// RUN: llmir-opt %s --llm-optimization-pipeline="opt-level=1 weights=i4 symmetry=symmetric group-size=64 keep=k" | FileCheck %s --check-prefix=I4
// RUN: not llmir-opt %s --llm-optimization-pipeline=opt-level=4 2>&1 | FileCheck %s --check-prefix=FOUR
// RUN: not llmir-opt %s --llm-optimization-pipeline=opt-level=-1 2>&1 | FileCheck %s --check-prefix=MINUS
// RUN: not llmir-opt %s --llm-cpu-pipeline=opt-level=7 2>&1 | FileCheck %s --check-prefix=CPU
// FOUR: error: {{.*}}expected 'opt-level' to be in 0..3, but got 4
// FOUR-NOT: error:
// MINUS: error: {{.*}}expected 'opt-level' to be in 0..3, but got -1
// MINUS-NOT: error:
// CPU: error: {{.*}}expected 'opt-level' to be in 0..3, but got 7

// I4: llm.weight @q offset({{.*}}) : !llm.quantized_tensor<i4, [64, 64], true, true, 1, 64, 4, scale = f16>
// I4: llm.weight @k offset({{.*}}) : tensor<64x64xf32>
// O1: llm.weight @q offset(
// O2: llm.weight @qk sources(["q", "k"]){{.*}} offset(
llm.weight @norm : tensor<64xf32>
llm.weight @q : tensor<64x64xf32>
llm.weight @k : tensor<64x64xf32>

// ALL-LABEL: func.func @f
// O0: llm.rms_norm
// O0: llm.rms_norm
// O0: llm.linear %{{.*}}, @q activations(f32)
// O0: arith.addf
// O1: llm.rms_norm
// O1-NOT: llm.rms_norm
// O1: llm.linear %{{.*}}, @q :
// O1: arith.addf
// O2: llm.linear %{{.*}}, @qk norm(@norm
// O2-NOT: llm.rms_norm
// O2: arith.addf
func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %m = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q = llm.linear %n, @q activations(f32) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %k = llm.linear %m, @k activations(f32) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %q, %k : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// ALL-LABEL: func.func @written_out
// O0: linalg.softmax
// O1: linalg.softmax
// O2: linalg.softmax
// O3-NOT: linalg.softmax
// O3: llm.attention
// O3-NOT: linalg.softmax
func.func @written_out(%q: tensor<4x7x64xf32>, %k: tensor<4x9x64xf32>, %v: tensor<4x9x64xf32>) -> tensor<4x7x64xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<4x7x9xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %2 = linalg.batch_matmul
      indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
                       affine_map<(b, m, n, k) -> (b, n, k)>,
                       affine_map<(b, m, n, k) -> (b, m, n)>]
      ins(%q, %k : tensor<4x7x64xf32>, tensor<4x9x64xf32>)
      outs(%1 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %3 = linalg.softmax dimension(2) ins(%2 : tensor<4x7x9xf32>) outs(%0 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %4 = tensor.empty() : tensor<4x7x64xf32>
  %5 = linalg.fill ins(%zero : f32) outs(%4 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
  %6 = linalg.batch_matmul ins(%3, %v : tensor<4x7x9xf32>, tensor<4x9x64xf32>) outs(%5 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
  return %6 : tensor<4x7x64xf32>
}
