// Functions that make, fill, read and end caches; CacheValueTest.cpp calls them.
!kv = !llm.paged_kv_cache<f32, 2, 3, 20, 4, 64>
!kv16 = !llm.paged_kv_cache<f16, 1, 2, 8, 5, 40>
!kv8 = !llm.paged_kv_cache<f32, 2, 2, 24, 7, 70, key_storage = i8, value_storage = i4, value_head_dim = 20, key_scales = token, value_scales = group, value_scale_group = 10, scale = f16>
!kvf8 = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64, key_storage = f8E5M2, value_storage = f8E4M3FN>

func.func @make(%blocks: index) -> !kv {
  %kv = llm.create_kv_cache %blocks : !kv
  return %kv : !kv
}
func.func @make16(%blocks: index) -> !kv16 {
  %kv = llm.create_kv_cache %blocks : !kv16
  return %kv : !kv16
}
func.func @make8(%blocks: index) -> !kv8 {
  %kv = llm.create_kv_cache %blocks : !kv8
  return %kv : !kv8
}
func.func @makef8(%blocks: index) -> !kvf8 {
  %kv = llm.create_kv_cache %blocks : !kvf8
  return %kv : !kvf8
}
func.func @appendf8(%kv: !kvf8, %k: tensor<?x?x2x8xf32>, %v: tensor<?x?x2x8xf32>, %seqs: tensor<?xi32>) -> !kvf8 {
  %kv1, %b = llm.append_kv %kv, %k, %v, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32, layer = 0 : i32} : (!kvf8, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?xi32>) -> (!kvf8, tensor<?x?xi32>)
  return %kv1 : !kvf8
}
func.func @end(%kv: !kv) {
  llm.free_kv_cache %kv : !kv
  return
}

// As many rows as the longest sequence has tokens.
func.func @read(%kv: !kv, %table: tensor<?x?xi32>, %lengths: tensor<?xi32>, %layer: index) -> (tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>) {
  %k, %v = llm.lookup_kv %kv, %table, %lengths layer(%layer) : (!kv, tensor<?x?xi32>, tensor<?xi32>, index) -> (tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>)
  return %k, %v : tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>
}
// More rows than any has, and each in an iteration of a loop.
func.func @read16(%kv: !kv16, %table: tensor<2x8xi32>, %lengths: tensor<2xi32>, %times: index) -> (tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %k, %v = llm.lookup_kv %kv, %table, %lengths : (!kv16, tensor<2x8xi32>, tensor<2xi32>) -> (tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>)
  %r:2 = scf.for %i = %c0 to %times step %c1 iter_args(%a = %k, %b = %v) -> (tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>) {
    %c, %d = llm.lookup_kv %kv, %table, %lengths : (!kv16, tensor<2x8xi32>, tensor<2xi32>) -> (tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>)
    scf.yield %c, %d : tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>
  }
  return %r#0, %r#1 : tensor<2x40x2x8xf16>, tensor<2x40x2x8xf16>
}
func.func @read8(%kv: !kv8, %table: tensor<?x?xi32>, %lengths: tensor<?xi32>) -> (tensor<?x?x2x24xf32>, tensor<?x?x2x20xf32>) {
  %k, %v = llm.lookup_kv %kv, %table, %lengths {layer = 1 : i32} : (!kv8, tensor<?x?xi32>, tensor<?xi32>) -> (tensor<?x?x2x24xf32>, tensor<?x?x2x20xf32>)
  return %k, %v : tensor<?x?x2x24xf32>, tensor<?x?x2x20xf32>
}

// A whole life: made, filled, read and ended here.
func.func @life(%blocks: index, %k: tensor<?x?x3x20xf32>, %v: tensor<?x?x3x20xf32>, %seqs: tensor<?xi32>, %lengths: tensor<?xi32>) -> (tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>) {
  %kv0 = llm.create_kv_cache %blocks : !kv
  %kv1, %b = llm.append_kv %kv0, %k, %v, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32, layer = 1 : i32} : (!kv, tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>, tensor<?xi32>) -> (!kv, tensor<?x?xi32>)
  %table = llm.block_table %kv1, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %keys, %values = llm.lookup_kv %kv1, %table, %lengths {layer = 1 : i32} : (!kv, tensor<?x?xi32>, tensor<?xi32>) -> (tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>)
  llm.free_kv_cache %kv1 : !kv
  return %keys, %values : tensor<?x?x3x20xf32>, tensor<?x?x3x20xf32>
}
