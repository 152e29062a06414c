// RUN: llmir-opt %s --llm-choose-packed-layouts | FileCheck %s
// RUN: llmir-opt %s --llm-choose-packed-layouts --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-choose-packed-layouts: 10 weights-placed
// STATISTICS: llm-choose-packed-layouts: 32768 bytes

// Sizes by docs/PackedWeights.md: a panel of cols 64 is 64 * 16 * 4 bytes in f32, half of it in f16 and bf16,
// 64 + 2 * 512 in q8_0, 64 + 2 * 256 in q4_0, and 2 * (64 + 256) in q4_1.
// CHECK: module attributes {llm.weights_size = 32768 : i64}

// CHECK: @vector offset(0)
llm.weight @vector : tensor<17xf32>
// CHECK: @f32 offset(128)
llm.weight @f32 : tensor<17x64xf32>
// CHECK: @f16 offset(8320)
llm.weight @f16 : tensor<16x64xf16>
// CHECK: @bf16 offset(10368)
llm.weight @bf16 : tensor<16x63xbf16>
// CHECK: @q8_0 offset(12416)
llm.weight @q8_0 : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, scale = f16>
// CHECK: @q4_0 offset(14592)
llm.weight @q4_0 : !llm.quantized_tensor<i4, [32, 64], true, true, 1, 32, 4, scale = f16>
// CHECK: @q4_1 offset(15744)
llm.weight @q4_1 : !llm.quantized_tensor<i4, [32, 64], false, true, 1, 32, 4, scale = f16, zero_point = f16>

// Each source of a fused weight fills its own last panel: 2 + 1 panels, not 2.
// CHECK: @concat {{.*}} offset(17024)
llm.weight @concat sources(["a", "b"]) source_rows([20, 12]) : tensor<32x64xf16>
// 1 + 1 panels.
// CHECK: @interleave {{.*}} offset(23168)
llm.weight @interleave sources(["gate", "up"]) arrangement(interleave) : tensor<16x64xf16>
// CHECK: @last offset(27264)
llm.weight @last : !llm.quantized_tensor<i8, [32, 160], true, true, 1, 32, 8, scale = f16>
