// Exchange between ranks on buffers: what is read stays, what comes is new.
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not='memref.copy' --implicit-check-not=bufferization
// RUN: llmir-opt %t.mlir | diff %t.mlir -
// RUN: llmir-opt %t.mlir --mlir-print-op-generic | llmir-opt | diff %t.mlir -
// RUN: not llmir-opt %t.mlir --llm-lower-sharded-linear=world-size=2 2>&1 | FileCheck %s --check-prefix=LOWER

// LOWER: error: 'llm.sharded_linear' op expected tensors, but got 'memref<?x32xf32>'
// LOWER-NOT: error:

llm.weight @o : tensor<64x64xf32>

// CHECK-LABEL: func.func @ranks
// CHECK: llm.sharded_linear {{.*}} : (memref<?x32xf32>, !llm.step_context) -> memref<?x64xf32>
// CHECK: llm.all_reduce {{.*}} : memref<?x64xf32>
// CHECK: llm.reduce_scatter {{.*}} : memref<?x64xf32> -> memref<?x32xf32>
// CHECK: llm.all_gather {{.*}} : memref<?x32xf32> -> memref<?x64xf32>
// CHECK: llm.send {{.*}} : memref<?x64xf32>
// CHECK: llm.recv {{.*}} : memref<?x64xf32>
// CHECK: return
func.func @ranks(%x: tensor<?x32xf32>, %c: !llm.step_context, %n: index) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = llm.sharded_linear %x, @o, %c split(input) shards(2) : (tensor<?x32xf32>, !llm.step_context) -> tensor<?x64xf32>
  %1 = llm.all_reduce %0, %c : tensor<?x64xf32>
  %2 = llm.reduce_scatter %1, %c dim(1) shards(2) : tensor<?x64xf32> -> tensor<?x32xf32>
  %3 = llm.all_gather %2, %c dim(1) shards(2) : tensor<?x32xf32> -> tensor<?x64xf32>
  llm.send %3, %c to(1) : tensor<?x64xf32>
  %4 = llm.recv %c[%n] from(1) : tensor<?x64xf32>
  return %3, %4 : tensor<?x64xf32>, tensor<?x64xf32>
}
