// RUN: %check_pipelines %s
// Only the runtime ends caches.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @free(%kv: !kv) {
  // error@+2: 'llm.free_kv_cache' op cannot be lowered outside a step
  // error(gpu,ptx,hsaco)@+1: 'llm.free_kv_cache' op cannot be lowered to a GPU
  llm.free_kv_cache %kv : !kv
  return
}
