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
// expected-error @+1 {{expected the longest sequence to be in 1..2147483647, but got 0}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 0>)

// -----

// (KVT-5)
// expected-error @+1 {{'key_storage' = 'i8' cannot be lowered: expected f32, f16 or bf16, since kernels for scaled storage do not exist}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8>)

// -----

// (KVT-5)
// expected-error @+1 {{'value_storage' = 'f8E4M3FN' cannot be lowered}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_storage = f8E4M3FN>)

// -----

// (KVT-6)
// expected-error @+1 {{'key_storage' = 'f32' with 'value_storage' = 'f16' cannot be lowered: attention reads keys and values of one type}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = f32>)

// -----

// (KVT-7)
// expected-error @+1 {{'value_head_dim' = 32 with head size 64 cannot be lowered: attention reads keys and values of one size}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, value_head_dim = 32>)

// -----

// (KVT-8)
// expected-error @+1 {{expected a block of all layers to be at most 1073741824 bytes, but got 68719476736}}
func.func private @f(!llm.paged_kv_cache<f32, 128, 128, 8192, 64, 4096>)

// -----

// (TYP-1)
// expected-error @+1 {{expected one of 'key_storage', 'value_storage', 'value_head_dim', but got 'window'}}
func.func private @f(!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, window = 512>)

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

// expected-error @+1 {{expected 'true' or 'false'}}
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
