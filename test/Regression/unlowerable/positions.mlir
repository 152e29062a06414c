// REQUIRES: lld
// RUN: %check_pipelines %s
// Positions that are not places in the cache: lowered everywhere.
// accepts: optimize, cpu, gpu, ptx, hsaco
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @attend(%q: tensor<?x2x64xf32>, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
                  %cu: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x2x64xf32> {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) positions(%positions)
      {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<?x2x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x64xf32>
  return %o : tensor<?x2x64xf32>
}
