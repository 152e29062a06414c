// Functions whose buffers change hands: out of calls, around loops, out of branches, and more than
// once or not at all made here. BufferOwnershipTest.cpp calls them and frees what it gets.
!kv = !llm.paged_kv_cache<f32, 3, 2, 8, 4, 64>

func.func private @table(%kv: !kv, %seqs: tensor<?xi32>) -> (tensor<?x?xi32>, !kv) {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %table, %kv : tensor<?x?xi32>, !kv
}

// Each layer's output is the next layer's query; without layers the query itself is returned.
func.func @loop_over_layers(%q: tensor<?x1x2x8xf32>, %kv0: !kv, %seqs: tensor<?xi32>, %lens: tensor<?xi32>,
                            %layers: index) -> tensor<?x1x2x8xf32> {
  %table, %kv = call @table(%kv0, %seqs) : (!kv, tensor<?xi32>) -> (tensor<?x?xi32>, !kv)
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %result = scf.for %layer = %c0 to %layers step %c1 iter_args(%query = %q) -> tensor<?x1x2x8xf32> {
    %o = llm.paged_attention %query, %kv, %table, %lens layer(%layer)
        {num_heads = 2 : i32, head_dim = 8 : i32, scale = 1.0 : f32}
        : (tensor<?x1x2x8xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, index) -> tensor<?x1x2x8xf32>
    scf.yield %o : tensor<?x1x2x8xf32>
  }
  return %result : tensor<?x1x2x8xf32>
}

// One buffer returned twice, and an argument.
func.func @return_twice(%kv: !kv, %seqs: tensor<?xi32>)
    -> (tensor<?x?xi32>, tensor<?x?xi32>, tensor<?xi32>) {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %table, %table, %seqs : tensor<?x?xi32>, tensor<?x?xi32>, tensor<?xi32>
}

// A buffer of a branch or one from before it.
func.func @choose(%kv: !kv, %seqs: tensor<?xi32>, %others: tensor<?xi32>, %condition: i1)
    -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %result = scf.if %condition -> tensor<?x?xi32> {
    %other = llm.block_table %kv, %others : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
    scf.yield %other : tensor<?x?xi32>
  } else {
    scf.yield %table : tensor<?x?xi32>
  }
  return %result : tensor<?x?xi32>
}
