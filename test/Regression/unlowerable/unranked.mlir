// RUN: %check_pipelines %s
// A tensor of any rank in the signature of a function over a cache.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
// error@+1: 'func.func' op expected ranked tensors, caches and plain types in the signature of a function over a cache, but got 'tensor<*xf32>'
func.func @unranked(%kv: !kv, %x: tensor<*xf32>) -> !kv {
  return %kv : !kv
}
