// The seed's example: blocks are found by the runtime; keys and values are written and read by
// kernels, in host functions that copy what they need.
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu --cse -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not=!llm. --implicit-check-not='= llm.'
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu=subgroup-size=64 | FileCheck %s --check-prefix=WIDE

// STATISTICS: convert-llm-to-gpu: 4 ops-converted

// CHECK: module attributes {gpu.container_module}
// CHECK: func.func @attend(%[[CACHE:[^:]*]]: !llvm.ptr, %{{[^:]*}}: memref<2x1x16x64xf16>,
// CHECK-SAME: -> (memref<2x1x16x64xf16>, !llvm.ptr) attributes {llvm.emit_c_interface}
// CHECK: llvm.call @llmir_rt_cache_append(%[[CACHE]],
// CHECK: %[[BASE:.*]] = llvm.call @llmir_rt_cache_base(%[[CACHE]],
// Nothing is written into a cache of another layout, or that is full.
// CHECK: %[[OK:.*]] = llvm.icmp "ne" %[[BASE]]
// CHECK: scf.if %[[OK]] {
// CHECK: func.call @launch_store_kv_f16_12_16_64_64_16_f16(
// CHECK: llvm.call @llmir_rt_cache_block_table(%[[CACHE]],
// CHECK: %[[OUTPUT:.*]] = memref.alloc() : memref<2x1x16x64xf16>
// CHECK: func.call @launch_paged_attention_16_f16_12_16_64_64_16_f16_3FC0000000000000(
// CHECK-NOT: memref.dealloc %[[OUTPUT]]
// CHECK: return %[[OUTPUT]], %[[CACHE]]

// CHECK-LABEL: gpu.module @llm_kernels {

// A thread for each channel of a (token, head).
// CHECK: gpu.func @store_kv_f16_12_16_64_64_16_f16(
// CHECK-SAME: kernel attributes {known_block_size = array<i32: 64, 1, 1>}
// CHECK-NOT: gpu.barrier

// Decoding: keys are split over blocks; each row's maximum needs the whole block.
// CHECK: gpu.func @paged_attention_split_16_f16_12_16_64_64_16_f16(
// CHECK-SAME: workgroup(%{{.*}} : memref<64xf32, #gpu.address_space<workgroup>>,
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK: gpu.block_id z
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: llvm.call_intrinsic "llvm.exp2.f32"
// CHECK: gpu.func @paged_attention_merge_16_f16_12_16_64_64_16_f16(
// CHECK-NOT: gpu.barrier
// CHECK: gpu.func @paged_attention_16_f16_12_16_64_64_16_f16(

// CHECK-LABEL: func.func private @launch_store_kv_f16_12_16_64_64_16_f16(
// CHECK-COUNT-3: gpu.memcpy
// CHECK: gpu.launch_func @llm_kernels::@store_kv_f16_12_16_64_64_16_f16 blocks in
// CHECK-COUNT-3: gpu.dealloc
// CHECK-LABEL: func.func private @launch_paged_attention_16_f16_12_16_64_64_16_f16_3FC0000000000000(
// CHECK: gpu.launch_func @llm_kernels::@paged_attention_split_
// CHECK: gpu.launch_func @llm_kernels::@paged_attention_merge_
// CHECK: gpu.launch_func @llm_kernels::@paged_attention_16_

// WIDE: gpu.func @paged_attention_split_16_f16_12_16_64_64_16_f16(
// WIDE: arith.constant 32 : i32
// WIDE-NEXT: arith.constant 64 : i32
// WIDE-NEXT: gpu.shuffle xor
