// Types that are refused, one case a message; the id is that of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

// (KVT-1)
// expected-error @+1 {{expected the element type to be f32, f16 or bf16, but got 'i8'}}
func.func private @f(!llm.paged_kv_cache<i8, 12, 16, 64, 16, 4096>)

// -----

// (KVT-2)
// expected-error @+1 {{expected the number of layers to be in 1..65536, but got 0}}
func.func private @f(!llm.paged_kv_cache<f16, 0, 16, 64, 16, 4096>)

// -----

// (KVT-2)
// expected-error @+1 {{expected the number of KV heads to be in 1..65536, but got -1}}
func.func private @f(!llm.paged_kv_cache<f16, 12, -1, 64, 16, 4096>)

// -----

// (KVT-2)
// expected-error @+1 {{expected the head size to be in 1..65536, but got 0}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 0, 16, 4096>)

// -----

// (KVT-3)
// expected-error @+1 {{expected the block size to be in 1..256, but got 257}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 257, 4096>)

// -----

// (KVT-4)
// expected-error @+1 {{expected the longest sequence to be in 1..1073741823, but got 0}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 0>)

// -----

// (KVT-5)
// expected-error @+1 {{expected 'key_storage' to be f32, f16, bf16, f8E4M3FN, f8E5M2, i8 or i4, but got 'i16'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i16>)

// -----

// (KVT-5)
// expected-error @+1 {{expected 'value_storage' to be f32, f16, bf16, f8E4M3FN, f8E5M2, i8 or i4, but got 'f64'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = f64>)

// -----

// (KVT-6)
// expected-error @+1 {{expected 'key_scales' for 'key_storage' = 'i8', whose codes mean nothing without}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8>)

// -----

// (KVT-6)
// expected-error @+1 {{expected 'value_scales' for 'value_storage' = 'i4', whose codes mean nothing without}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = i4>)

// -----

// (KVT-7)
// expected-error @+1 {{expected no 'key_scales' for 'key_storage' = 'f16', but got token}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_scales = token>)

// -----

// (KVT-7)
// expected-error @+1 {{expected no 'value_scales' for 'value_storage' = 'bf16', but got head}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = bf16, value_scales = head>)

// -----

// (KVT-8)
// expected-error @+1 {{expected a block of all layers to be at most 1073741824 bytes, but got 68719476736}}
func.func private @f(!llm.paged_kv_cache<f32, 128, 128, 8192, 64, 4096>)

// -----

// (TYP-1)
// expected-error @+1 {{expected one of 'key_storage', 'value_storage', 'value_head_dim', 'key_scales', 'value_scales', 'key_scale_group', 'value_scale_group', 'scale', 'layout', 'window', 'sinks', but got 'num_sinks'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, num_sinks = 4>)

// -----

// (TYP-2)
// expected-error @+1 {{parameter 'key_storage' is given twice}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = f16, key_storage = f16>)

// -----

// (QT-1)
// expected-error @+1 {{expected the storage type to be i2 to i8, but got 'f16'}}
func.func private @f(!llm.quantized_tensor<f16, [16, 1024], true, true, 1, 128, 8>)

// -----

// (QT-2)
// expected-error @+1 {{expected the bits of a code to be in 2..4, the width of the storage type, but got 8}}
func.func private @f(!llm.quantized_tensor<i4, [16, 1024], true, true, 1, 128, 8>)

// -----

// (QT-3)
// expected-error @+1 {{expected a shape of at least one dimension}}
func.func private @f(!llm.quantized_tensor<i8, [], true, false, -1, -1, 8>)

// -----

// (QT-3)
// expected-error @+1 {{expected dimensions to be positive, but got 0}}
func.func private @f(!llm.quantized_tensor<i8, [0, 32], true, true, 1, 32, 8>)

// -----

// (QT-4)
// expected-error @+1 {{expected the axis to be -1 or less than the rank 2, but got 2}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, 2, 128, 8>)

// -----

// (QT-5)
// expected-error @+1 {{expected an axis for scales per channel, but got -1}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, -1, -1, 8>)

// -----

// (QT-6)
// expected-error @+1 {{expected the group size to be -1 or at least 1, but got 0}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 0, 8>)

// -----

// (QT-6)
// expected-error @+1 {{expected the group size to divide dimension 1 of size 1000, but got 128}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1000], true, true, 1, 128, 8>)

// -----

// (QT-7)
// expected-error @+1 {{expected 'scale' to be f32, f16 or bf16, but got 'i8'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8, scale = i8>)

// -----

// (QT-8)
// expected-error @+1 {{expected no 'zero_point' for a symmetric type, but got 'i8'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8, zero_point = i8>)

// -----

// (QT-9)
// expected-error @+1 {{expected 'zero_point' to be f32, f16, bf16 or the storage type 'i8', but got 'i32'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], false, true, 1, 128, 8, zero_point = i32>)

// -----

// (QT-10)
// expected-error @+1 {{expected 'packing' = halves only for codes of at most 4 bits in groups of even size, but got 8 bits and group size 128}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8, packing = halves>)

// -----

// expected-error @+1 {{expected 'true' or 'symmetric', or 'false' or 'asymmetric'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 1024], 1, true, 1, 128, 8>)

// -----

// (ST-1)
// expected-error @+1 {{expected the dimension to be less than the rank 2, but got 2}}
func.func private @f(!llm.sharded_tensor<tensor<8x8xf16>, 2, 4, 0>)

// -----

// (ST-2)
// expected-error @+1 {{expected at least one shard, but got 0}}
func.func private @f(!llm.sharded_tensor<tensor<8x8xf16>, 1, 0, 0>)

// -----

// (ST-3)
// expected-error @+1 {{expected the number of shards to divide dimension 1 of size 8, but got 3}}
func.func private @f(!llm.sharded_tensor<tensor<8x8xf16>, 1, 3, 0>)

// -----

// (ST-4)
// expected-error @+1 {{expected the index to be less than the number of shards 4, but got 4}}
func.func private @f(!llm.sharded_tensor<tensor<8x8xf16>, 1, 4, 4>)

// -----

// (KVT-9)
// expected-error @+1 {{expected an even number of channels for 'key_storage' = i4, but got 63}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 63, 16, 4096, key_storage = i4, key_scales = token>)

// -----

// (KVT-10)
// expected-error @+1 {{expected 'key_scale_group' with 'key_scales' = group and only then, but got 0 with group}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8, key_scales = group>)

// -----

// (KVT-10)
// expected-error @+1 {{expected 'value_scale_group' with 'value_scales' = group and only then, but got 32 with token}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = i8, value_scales = token, value_scale_group = 32>)

// -----

// (KVT-11)
// expected-error @+1 {{expected 'key_scale_group' to divide the channels, 64, but got 48}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8, key_scales = group, key_scale_group = 48>)

// -----

// (KVT-11)
// expected-error @+1 {{expected 'value_scale_group' to divide half the channels, 32, but got 64}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = i4, value_scales = group, value_scale_group = 64>)

// -----

// (KVT-11)
// expected-error @+1 {{expected 'key_scale_group' to divide the channels, 64, but got -2}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8, key_scales = group, key_scale_group = -2>)

// -----

// (KVT-12)
// expected-error @+1 {{expected 'scale' to be f32, f16 or bf16, but got 'f64'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8, key_scales = token, scale = f64>)

// -----

// (KVT-13)
// expected-error @+1 {{expected a 'scale' other than f32 only with scales of a token or group, which are stored, but got 'f16'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, scale = f16>)

// -----

// (KVT-13)
// expected-error @+1 {{expected a 'scale' other than f32 only with scales of a token or group, which are stored, but got 'bf16'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8, key_scales = head, scale = bf16>)

// -----

// (KVT-14)
// expected-error @+1 {{expected keys and values stored as bf16 for 'layout' = pairs, but got 'bf16' and 'f16'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = bf16, layout = pairs>)

// -----

// (KVT-15)
// expected-error @+1 {{expected even head sizes and block size for 'layout' = pairs, but got 64, 64 and 15}}
func.func private @f(!llm.paged_kv_cache<bf16, 12, 16, 64, 15, 4096, layout = pairs>)

// -----

// (KVT-15)
// expected-error @+1 {{expected even head sizes and block size for 'layout' = pairs, but got 64, 63 and 16}}
func.func private @f(!llm.paged_kv_cache<bf16, 12, 16, 64, 16, 4096, value_head_dim = 63, layout = pairs>)

// -----

// (KVT-16)
// expected-error @+1 {{expected 'window' and 'sinks' not to be negative, but got -1 and 0}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, window = -1>)

// -----

// (KVT-17)
// expected-error @+1 {{expected 'sinks' only with a 'window', but got 4}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, sinks = 4>)

// -----

// (KVT-18)
// expected-error @+1 {{expected 'window' and 'sinks' to be at most the longest sequence 4096 together, but got 4093 and 4}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, window = 4093, sinks = 4>)

// -----

// (KVT-18)
// expected-error @+1 {{expected 'window' and 'sinks' to be at most the longest sequence 4096 together, but got 4097 and 0}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, window = 4097>)

// -----

// (QT-11)
// expected-error @+1 {{expected 'true' or 'symmetric', or 'false' or 'asymmetric'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 64], per_channel, true, 1, 32, 8>)

// -----

// (QT-11)
// expected-error @+1 {{expected 'true' or 'per_channel', or 'false' or 'per_tensor'}}
func.func private @f(!llm.quantized_tensor<i8, [16, 64], symmetric, maybe, 1, 32, 8>)

// -----

// (QT-12)
// expected-error @+1 {{expected 'x' or ',' between sizes}}
func.func private @f(!llm.quantized_tensor<i8, [16 by 64], true, true, 1, 32, 8>)

// -----

// (QT-12)
// expected-error @+1 {{expected a size after 'x'}}
func.func private @f(!llm.quantized_tensor<i8, [16 xy], true, true, 1, 32, 8>)
