// The GPU's pipeline: kernels in a gpu.module, host code around them, nothing of the llm dialect; what
// a cache's linear type forbids is found first.
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --llm-gpu-pipeline | FileCheck %s --implicit-check-not=!llm. --implicit-check-not='{{(= |^ *)llm\.}}'
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --llm-gpu-pipeline='subgroup-size=64 split-tokens=256' | FileCheck %s --check-prefix=WIDE
// RUN: not llmir-opt %s --llm-gpu-pipeline 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not llmir-translate --llmir-to-ptx %s 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not llmir-translate --llmir-to-hsaco %s 2>&1 | FileCheck %s --check-prefix=TWICE

// CHECK: func.func @attend(
// CHECK: call @llmir_rt_cache_append
// CHECK: gpu.module @llm_kernels
// CHECK: gpu.func @store_kv_f16_12_16_64_64_16_f16(
// CHECK: gpu.launch_func @llm_kernels::@paged_attention_split_

// WIDE: arith.constant 64 : i32
// WIDE: gpu.shuffle xor

// TWICE: [[@LINE+8]]:{{[0-9]+}}: error: 'llm.store_kv' op consumes a cache that was consumed before
// TWICE-NOT: error:
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @twice(%kv: !kv, %k: tensor<?x2x64xf16>, %slots: tensor<?xi32>, %condition: i1) -> !kv {
  scf.if %condition {
    %lost = llm.store_kv %kv, %k, %k, %slots
        : (!kv, tensor<?x2x64xf16>, tensor<?x2x64xf16>, tensor<?xi32>) -> !kv
  }
  %kept = llm.store_kv %kv, %k, %k, %slots
      : (!kv, tensor<?x2x64xf16>, tensor<?x2x64xf16>, tensor<?xi32>) -> !kv
  return %kept : !kv
}
