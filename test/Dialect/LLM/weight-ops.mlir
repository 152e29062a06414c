// llm.weight: round trips.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

// CHECK: module attributes {llm.architecture = "llama", llm.max_sequence_length = 8192 : i64, llm.name = "tiny", llm.vocabulary_size = 100 : i64}
module attributes {llm.name = "tiny", llm.architecture = "llama", llm.vocabulary_size = 100 : i64,
                   llm.max_sequence_length = 8192 : i64} {
  // CHECK: llm.weight @blk.0.attn_norm.weight : tensor<64xf32>
  llm.weight @blk.0.attn_norm.weight : tensor<64xf32>
  // CHECK: llm.weight @blk.0.attn_q.weight : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>
  llm.weight @"blk.0.attn_q.weight" : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>
  // CHECK: llm.weight @qkv sources(["q", "k", "v"]) offset(64) : tensor<128x64xbf16>
  llm.weight @qkv sources(["q", "k", "v"]) arrangement(concat) offset(64) : tensor<128x64xbf16>
  // CHECK: llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<128x64xf16>
  llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<128x64xf16>
  // CHECK: llm.weight @part sources(["gate", "up"]) arrangement(interleave) shard<0, 2, 1> : tensor<64x64xf16>
  llm.weight @part sources(["gate", "up"]) arrangement(interleave) shard<0, 2, 1> : tensor<64x64xf16>
  // CHECK: llm.weight @annotated {note = "kept"} : tensor<3x5xf32>
  "llm.weight"() <{sym_name = "annotated", type = tensor<3x5xf32>, arrangement = #llm<arrangement concat>}> {note = "kept"} : () -> ()

  // CHECK: func.func private @step(!llm.step_context) attributes {llm.step}
  func.func private @step(!llm.step_context) attributes {llm.step}
}
