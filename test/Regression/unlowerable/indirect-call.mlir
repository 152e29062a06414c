// RUN: %check_pipelines %s
// A function that is called through a value: its type would not be converted with its caller's.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @indirect(%kv: !kv, %callee: (!kv) -> !kv) -> !kv {
  // error@+1: 'func.call_indirect' op expected scalars or buffers, as scf, func and llm ops alone take tensors and caches in a function over a cache, but got '!llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>'
  %next = func.call_indirect %callee(%kv) : (!kv) -> !kv
  return %next : !kv
}
