// RUN: %check_pipelines %s
// On a GPU only the runtime makes caches.
// accepts: optimize, cpu
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @create(%blocks: index) -> !kv {
  // error(gpu,ptx,hsaco)@+1: 'llm.create_kv_cache' op cannot be lowered to a GPU; expected llm.append_kv
  %kv = llm.create_kv_cache %blocks : !kv
  return %kv : !kv
}
