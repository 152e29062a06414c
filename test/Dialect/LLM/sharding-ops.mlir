// Ops over several ranks: round trips, folds, and the order that effects keep.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize --cse | FileCheck %s --check-prefix=CANON

llm.weight @w : tensor<64x64xf32>
llm.weight @b : tensor<64xf32>

// CHECK-LABEL: func.func @ops
func.func @ops(%x: tensor<?x64xf32>, %h: tensor<?x16xf32>, %n: index, %c: !llm.step_context) -> (tensor<?x64xf32>, tensor<?x16xf32>) {
  // CHECK: llm.sharded_linear %{{.*}}, @w, %{{.*}} split(output) shards(4) activations(bf16) bias(@b) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x2x8xf32>
  %0 = llm.sharded_linear %x, @w, %c split(output) shards(4) activations(bf16) bias(@b) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x2x8xf32>
  // CHECK: llm.sharded_linear %{{.*}}, @w, %{{.*}} split(input) shards(4) residual(%{{.*}}) : (tensor<?x2x8xf32>, !llm.step_context, tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = llm.sharded_linear %0, @w, %c split(input) shards(4) residual(%x) : (tensor<?x2x8xf32>, !llm.step_context, tensor<?x64xf32>) -> tensor<?x64xf32>
  // CHECK: llm.all_reduce %{{.*}}, %{{.*}} : tensor<?x64xf32>
  %2 = llm.all_reduce %1, %c : tensor<?x64xf32>
  // CHECK: llm.all_reduce %{{.*}}, %{{.*}} shards(4) : tensor<?x64xf32>
  %3 = llm.all_reduce %2, %c shards(4) : tensor<?x64xf32>
  // CHECK: llm.reduce_scatter %{{.*}}, %{{.*}} dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x16xf32>
  %4 = llm.reduce_scatter %3, %c dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x16xf32>
  // CHECK: llm.all_gather %{{.*}}, %{{.*}} dim(1) shards(4) : tensor<?x16xf32> -> tensor<?x64xf32>
  %5 = llm.all_gather %h, %c dim(1) shards(4) : tensor<?x16xf32> -> tensor<?x64xf32>
  // CHECK: llm.send %{{.*}}, %{{.*}} to(3) : tensor<?x64xf32>
  llm.send %5, %c to(3) : tensor<?x64xf32>
  // CHECK: llm.recv %{{.*}}[%{{.*}}] from(0) : tensor<?x64xf32>
  %6 = llm.recv %c[%n] from(0) : tensor<?x64xf32>
  // CHECK: llm.recv %{{.*}} from(0) : tensor<8xf16>
  %7 = llm.recv %c from(0) : tensor<8xf16>
  return %6, %4 : tensor<?x64xf32>, tensor<?x16xf32>
}

// One rank exchanges nothing.
// CANON-LABEL: func.func @one_rank
// CANON-SAME:    %[[X:.*]]: tensor<?x64xf32>,
func.func @one_rank(%x: tensor<?x64xf32>, %c: !llm.step_context) -> tensor<?x64xf32> {
  // CANON-NEXT: return %[[X]]
  %0 = llm.all_reduce %x, %c shards(1) : tensor<?x64xf32>
  %1 = llm.reduce_scatter %0, %c dim(1) shards(1) : tensor<?x64xf32> -> tensor<?x64xf32>
  %2 = llm.all_gather %1, %c dim(0) shards(1) : tensor<?x64xf32> -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// A sum that is divided and put together again.
// CANON-LABEL: func.func @divided_sum
func.func @divided_sum(%x: tensor<?x64xf32>, %c: !llm.step_context) -> (tensor<?x64xf32>, tensor<?x256xf32>) {
  // CANON-NEXT: llm.all_reduce %{{.*}}, %{{.*}} shards(4) : tensor<?x64xf32>
  // CANON-NEXT: llm.reduce_scatter
  // CANON-NEXT: llm.all_gather
  %0 = llm.reduce_scatter %x, %c dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x16xf32>
  %1 = llm.all_gather %0, %c dim(1) shards(4) : tensor<?x16xf32> -> tensor<?x64xf32>
  %2 = llm.reduce_scatter %x, %c dim(0) shards(4) : tensor<?x64xf32> -> tensor<?x64xf32>
  %3 = llm.all_gather %2, %c dim(1) shards(4) : tensor<?x64xf32> -> tensor<?x256xf32>
  return %1, %3 : tensor<?x64xf32>, tensor<?x256xf32>
}

// Equal exchanges are as many exchanges, and none is dropped; parts of products are pure.
// CANON-LABEL: func.func @effects
func.func @effects(%x: tensor<?x64xf32>, %h: tensor<?x16xf32>, %c: !llm.step_context) -> tensor<?x64xf32> {
  // CANON-COUNT-2: llm.all_reduce
  // CANON-NEXT: llm.sharded_linear {{.*}} split(input)
  // CANON-NEXT: return
  %0 = llm.all_reduce %x, %c : tensor<?x64xf32>
  %1 = llm.all_reduce %x, %c : tensor<?x64xf32>
  %2 = llm.sharded_linear %h, @w, %c split(input) shards(4) : (tensor<?x16xf32>, !llm.step_context) -> tensor<?x64xf32>
  %3 = llm.sharded_linear %x, @w, %c split(output) shards(4) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x16xf32>
  return %0 : tensor<?x64xf32>
}
