// One decode step over a paged KV cache: append a token's keys and values to two sequences, then
// attend to everything they hold. Compile it for this machine with
//
//   llmir-opt --llm-cpu-pipeline examples/kv_cache.mlir | llmir-translate --llmir-to-object -o kv_cache.o
//
// and link the object with the runtime's LLMIRCache. A C or C++ program calls
// _mlir_ciface_attend(&result, cache.handle(), &keys, &values, &sequences, &query, &lengths) with
// memref descriptors; it owns the tensor of the result (free).

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @attend(%kv0: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                  %seqs: tensor<2xi32>, %q: tensor<2x1x16x64xf16>, %lens: tensor<2xi32>)
    -> (tensor<2x1x16x64xf16>, !kv) {
  // The cache is a value: kv1 replaces kv0. The second result is the block of each token.
  %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  %table = llm.block_table %kv1, %seqs : (!kv, tensor<2xi32>) -> tensor<2x128xi32>
  %o = llm.paged_attention %q, %kv1, %table, %lens {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return %o, %kv1 : tensor<2x1x16x64xf16>, !kv
}
