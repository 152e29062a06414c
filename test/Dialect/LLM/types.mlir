// Types: each prints as it was written, and a default prints as the short form.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

// CHECK-DAG: [[KV:!kv[0-9]*]] = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
// CHECK-DAG: [[HALF:!kv[0-9]*]] = !llm.paged_kv_cache<f32, 12, 16, 64, 16, 4096, key_storage = f16, value_storage = f16>
// CHECK-DAG: [[I8:!kv[0-9]*]] = !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, key_storage = i8, value_storage = i4, value_head_dim = 32, key_scales = token, value_scales = group, value_scale_group = 16, scale = f16>
// CHECK-DAG: [[FP8:!kv[0-9]*]] = !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, key_storage = f8E4M3FN, value_storage = f8E5M2, key_scales = tensor, value_scales = head, layout = token_major>
// CHECK-DAG: [[WINDOW:!kv[0-9]*]] = !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, layout = pairs, window = 1020, sinks = 4>
// CHECK-DAG: [[SMALL:!kv[0-9]*]] = !llm.paged_kv_cache<bf16, 1, 1, 1, 1, 1>

// CHECK: func.func private @caches([[KV]], [[HALF]], [[SMALL]], [[KV]], [[I8]], [[FP8]], [[WINDOW]])
func.func private @caches(
    !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>,
    !llm.paged_kv_cache<f32, 12, 16, 64, 16, 4096, value_storage = f16, key_storage = f16>,
    !llm.paged_kv_cache<bf16, 1, 1, 1, 1, 1>,
    !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = f16, value_storage = f16,
                        value_head_dim = 64, key_scales = none, scale = f32, sinks = 0,
                        layout = channel_major, window = 0>,
    !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, scale = f16, key_scales = token,
                        key_storage = i8, value_scale_group = 16, value_scales = group,
                        value_storage = i4, value_head_dim = 32>,
    !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, key_storage = f8E4M3FN, key_scales = tensor,
                        value_storage = f8E5M2, value_scales = head, layout = token_major>,
    !llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, sinks = 4, window = 1020, layout = pairs>)

// CHECK: func.func private @q8(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>)
func.func private @q8(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>)
// Another spelling of the same.
// CHECK: func.func private @q8_words(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>, !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>, !llm.quantized_tensor<i4, [?, 4, 64], false, false, -1, -1, 4>)
func.func private @q8_words(
    !llm.quantized_tensor<i8, [16 x 1024], symmetric, per_channel, 1, 128, 8>,
    !llm.quantized_tensor<i8, [16x1024], symmetric, true, 1, 128, 8>,
    !llm.quantized_tensor<i4, [? x 4x64], asymmetric, per_tensor, -1, -1, 4>)
// CHECK: func.func private @q8_0(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 32, 8, scale = f16>)
func.func private @q8_0(
    !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 32, 8, element = f32, scale = f16,
                          packing = dense>)
// CHECK: func.func private @q4_0(!llm.quantized_tensor<i4, [16, 1024], true, true, 1, 32, 4, scale = f16, packing = halves>)
func.func private @q4_0(
    !llm.quantized_tensor<i4, [16, 1024], true, true, 1, 32, 4, scale = f16, packing = halves>)
// CHECK: func.func private @q4_1(!llm.quantized_tensor<i4, [16, 1024], false, true, 1, 32, 4, scale = f16, zero_point = f16>)
func.func private @q4_1(
    !llm.quantized_tensor<i4, [16, 1024], false, true, 1, 32, 4, zero_point = f16, scale = f16>)
// CHECK: func.func private @dynamic(!llm.quantized_tensor<i8, [?, 64], false, false, -1, -1, 8, element = bf16>)
func.func private @dynamic(
    !llm.quantized_tensor<i8, [?, 64], false, false, -1, -1, 8, element = bf16, zero_point = i8>)

// CHECK: func.func private @sharded(!llm.sharded_tensor<tensor<4096x4096xf16>, 1, 4, 2>, !llm.sharded_tensor<tensor<?x8xf32>, 0, 3, 0>)
func.func private @sharded(
    !llm.sharded_tensor<tensor<4096x4096xf16>, 1, 4, 2>,
    !llm.sharded_tensor<tensor<?x8xf32>, 0, 3, 0>)

// CHECK: func.func private @context(!llm.step_context)
func.func private @context(!llm.step_context)
