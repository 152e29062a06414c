// RUN: %check_pipelines %s
// What bufferisation makes of an append: lowering begins with tensors.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!heads = memref<2x1x2x64xf16>
func.func @append(%kv0: !kv, %k: !heads, %v: !heads, %seqs: memref<2xi32>) -> !kv {
  // error@+1: 'llm.append_kv' op expected tensors, since it is lowered before bufferisation, but got 'memref<2x1x2x64xf16>'
  %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, !heads, !heads, memref<2xi32>) -> (!kv, memref<2x1xi32>)
  return %kv1 : !kv
}
