// RUN: %check_pipelines %s
// Rows of a larger buffer: their stride is not that of their shape.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!heads = memref<?x2x64xf16, strided<[512, 64, 1], offset: 128>>
func.func @store(%kv0: !kv, %k: !heads, %v: !heads, %slots: memref<?xi32>) -> !kv {
  // error@+1: 'llm.store_kv' op expected tensors, since it is lowered before bufferisation, but got 'memref<?x2x64xf16, strided<[512, 64, 1], offset: 128>>'
  %kv1 = llm.store_kv %kv0, %k, %v, %slots : (!kv, !heads, !heads, memref<?xi32>) -> !kv
  return %kv1 : !kv
}
