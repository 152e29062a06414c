// Near misses: nothing is raised.
// RUN: llmir-opt %s --llm-raise-attention --llm-pass-statistics -o %t.mlir 2>&1 | FileCheck %s --allow-empty --check-prefix=STATISTICS
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not=llm.attention

// STATISTICS-NOT: attentions-raised

#id = affine_map<(t, s) -> (t, s)>
#nt = affine_map<(m, n, k) -> (n, k)>
#mk = affine_map<(m, n, k) -> (m, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// Somebody else reads the probabilities.
// CHECK-LABEL: func.func @other_reader
func.func @other_reader(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> (tensor<5x16xf32>, tensor<5x6xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o, %p : tensor<5x16xf32>, tensor<5x6xf32>
}

// The softmax is along the queries.
// CHECK-LABEL: func.func @other_axis
func.func @other_axis(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %p = linalg.softmax dimension(0) ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The product with values adds to something.
// CHECK-LABEL: func.func @started_product
func.func @started_product(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %more: tensor<5x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%more : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The scores add to something.
// CHECK-LABEL: func.func @started_scores
func.func @started_scores(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %more: tensor<5x6xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%more : tensor<5x6xf32>) -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The mask is scaled too.
// CHECK-LABEL: func.func @scale_outside_mask
func.func @scale_outside_mask(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %mask: tensor<5x6xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %m = arith.addf %s, %mask : tensor<5x6xf32>
  %two = arith.constant dense<2.0> : tensor<5x6xf32>
  %x = arith.mulf %m, %two : tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// Something else is between the products.
// CHECK-LABEL: func.func @clipped
func.func @clipped(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %x = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) {
  ^bb0(%a: f32, %u: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The cap outside is not the one inside: the sign differs.
// CHECK-LABEL: func.func @cap_of_another_size
func.func @cap_of_another_size(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %x = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) {
  ^bb0(%a: f32, %u: f32):
    %c = arith.constant -30.0 : f32
    %d = arith.divf %a, %c : f32
    %h = math.tanh %d : f32
    %r = arith.mulf %h, %c : f32
    linalg.yield %r : f32
  } -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// Keys after the query's position are seen, not its own.
// CHECK-LABEL: func.func @future_only
func.func @future_only(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %x = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) {
  ^bb0(%a: f32, %u: f32):
    %t = linalg.index 0 : index
    %j = linalg.index 1 : index
    %low = arith.constant 0xFF800000 : f32
    %one = arith.constant 1 : index
    %next = arith.addi %t, %one : index
    %c = arith.cmpi sgt, %j, %next : index
    %r = arith.select %c, %a, %low : f32
    linalg.yield %r : f32
  } -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// Causal, but the last query does not see the last key.
// CHECK-LABEL: func.func @causal_elsewhere
func.func @causal_elsewhere(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %x = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) {
  ^bb0(%a: f32, %u: f32):
    %t = linalg.index 0 : index
    %j = linalg.index 1 : index
    %low = arith.constant 0xFF800000 : f32
    %c = arith.cmpi sle, %j, %t : index
    %r = arith.select %c, %a, %low : f32
    linalg.yield %r : f32
  } -> tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// A masked score is not low enough to vanish.
// CHECK-LABEL: func.func @mild_mask
func.func @mild_mask(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %mask: tensor<5x6xi1>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %low = arith.constant dense<-10.0> : tensor<5x6xf32>
  %x = arith.select %mask, %s, %low : tensor<5x6xi1>, tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The op has one mask.
// CHECK-LABEL: func.func @two_masks
func.func @two_masks(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %mask: tensor<5x6xf32>, %bias: tensor<5x6xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %m = arith.addf %s, %mask : tensor<5x6xf32>
  %x = arith.addf %m, %bias : tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The scale is not a constant.
// CHECK-LABEL: func.func @unknown_scale
func.func @unknown_scale(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>, %scale: f32)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %c = tensor.splat %scale : tensor<5x6xf32>
  %x = arith.mulf %s, %c : tensor<5x6xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<5x6xf32>) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// The quotient is by the sum of other exponentials.
// CHECK-LABEL: func.func @other_sum
func.func @other_sum(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %e = math.exp %s : tensor<5x6xf32>
  %e2 = math.exp2 %s : tensor<5x6xf32>
  %rows = tensor.empty() : tensor<5xf32>
  %z = linalg.fill ins(%zero : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %sum = linalg.reduce {arith.addf} ins(%e2 : tensor<5x6xf32>) outs(%z : tensor<5xf32>) dimensions = [1]
  %wide = linalg.broadcast ins(%sum : tensor<5xf32>) outs(%empty : tensor<5x6xf32>) dimensions = [1]
  %p = arith.divf %e, %wide : tensor<5x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}

// Linear attention.
// CHECK-LABEL: func.func @no_softmax
func.func @no_softmax(%q: tensor<5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x16xf32>)
    -> tensor<5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<5x6xf32>
  %out = tensor.empty() : tensor<5x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x6xf32>) -> tensor<5x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%out : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [#mk, #nt, #mn]
      ins(%q, %k : tensor<5x16xf32>, tensor<6x16xf32>) outs(%start : tensor<5x6xf32>) -> tensor<5x6xf32>
  %o = linalg.matmul ins(%s, %v : tensor<5x6xf32>, tensor<6x16xf32>) outs(%zeros : tensor<5x16xf32>)
      -> tensor<5x16xf32>
  return %o : tensor<5x16xf32>
}
