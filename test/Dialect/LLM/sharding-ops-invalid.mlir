// Ops over several ranks that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-1)
  // expected-error @+1 {{'llm.sharded_linear' op expected at least one shard, but got 0}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(0) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-1)
  // expected-error @+1 {{'llm.all_reduce' op expected at least one shard, but got -1}}
  %0 = llm.all_reduce %x, %c shards(-1) : tensor<?x64xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-2)
  // expected-error @+1 {{'llm.send' op expected 'to' not to be negative, but got -1}}
  llm.send %x, %c to(-1) : tensor<?x64xf32>
  return
}

// -----

func.func @f(%n: index, %c: !llm.step_context) {
  // (SH-2)
  // expected-error @+1 {{'llm.recv' op expected 'from' not to be negative, but got -2}}
  %0 = llm.recv %c[%n] from(-2) : tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<4x64xf32>, %c: !llm.step_context) {
  // (SH-3)
  // expected-error @+1 {{'llm.sharded_linear' op expected dimension 0 of 'output' to be the number of tokens 4, but got 5}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(2) : (tensor<4x64xf32>, !llm.step_context) -> tensor<5x32xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
llm.weight @n : tensor<64xf32>
func.func @f(%x: tensor<?x32xf32>, %c: !llm.step_context) {
  // (SH-4)
  // expected-error @+1 {{'llm.sharded_linear' op expected no norm and no epilogue with split(input)}}
  %0 = llm.sharded_linear %x, @w, %c split(input) shards(2) norm(@n, 1.0e-5) : (tensor<?x32xf32>, !llm.step_context) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x32xf32>, %c: !llm.step_context) {
  // (SH-5)
  // expected-error @+1 {{'llm.sharded_linear' op expected the residual to have the result's type 'tensor<?x64xf32>', but got 'tensor<?x32xf32>'}}
  %0 = llm.sharded_linear %x, @w, %c split(input) shards(2) residual(%x) : (tensor<?x32xf32>, !llm.step_context, tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w sources(["a", "b"]) : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-6)
  // expected-error @+1 {{'llm.sharded_linear' op expected a weight of one source, but @w has 2}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(2) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-6)
  // expected-error @+1 {{'llm.sharded_linear' op expected a weight of 2 interleaved sources with epilogue swiglu, but @w has 1}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(2) epilogue(swiglu) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-7)
  // expected-error @+1 {{'llm.sharded_linear' op expected the number of shards to divide the 64 rows of @w, but got 3}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(3) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-8)
  // expected-error @+1 {{'llm.sharded_linear' op expected a result of 32 features, but got 16}}
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(2) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x16xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SYM-6)
  // expected-error @+1 {{'llm.sharded_linear' op expected 'weight' @w to have 128 columns, but got 64}}
  %0 = llm.sharded_linear %x, @w, %c split(input) shards(2) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-9)
  // expected-error @+2 {{'llm.all_gather' op inferred type(s) 'tensor<?x256xf32>' are incompatible with return type(s) of operation 'tensor<?x128xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.all_gather %x, %c dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x128xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-9)
  // expected-error @+2 {{'llm.reduce_scatter' op inferred type(s) 'tensor<?x16xf32>' are incompatible with return type(s) of operation 'tensor<?x32xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.reduce_scatter %x, %c dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-10)
  // expected-error @+1 {{'llm.all_gather' op expected 'dim' to be less than the rank 2, but got 2}}
  %0 = llm.all_gather %x, %c dim(2) shards(4) : tensor<?x64xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %c: !llm.step_context) {
  // (SH-11)
  // expected-error @+1 {{'llm.reduce_scatter' op expected the number of shards to divide dimension 1 of size 64, but got 3}}
  %0 = llm.reduce_scatter %x, %c dim(1) shards(3) : tensor<?x64xf32> -> tensor<?x21xf32>
  return
}

// -----

func.func @f(%c: !llm.step_context) {
  // (SH-12)
  // expected-error @+1 {{'llm.recv' op expected a size for each of 1 dynamic dimensions, but got 0}}
  %0 = llm.recv %c from(0) : tensor<?x64xf32>
  return
}
