// A step and functions over a cache in one module: each pass takes its own.
// RUN: sed -e 's/!kv/!cache/g' %llmir_src_root/examples/kv_cache.mlir > %t.mlir
// RUN: cat %S/Inputs/step.mlir >> %t.mlir
// RUN: llmir-opt %t.mlir --llm-cpu-pipeline=features=avx2,fma,f16c | FileCheck %s --implicit-check-not=!llm. --implicit-check-not='= llm.'

// CHECK-DAG: llvm.func @attend(
// CHECK-DAG: llvm.func @_mlir_ciface_attend(
// CHECK-DAG: llvm.func @llmir_model_step(
