// RUN: %check_pipelines %s
// On a GPU only the runtime ends caches.
// accepts: optimize, cpu
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @free(%kv: !kv) {
  // error(gpu,ptx,hsaco)@+1: 'llm.free_kv_cache' op cannot be lowered to a GPU
  llm.free_kv_cache %kv : !kv
  return
}
