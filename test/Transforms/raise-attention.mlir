// Each form of attention that is recognised.
// RUN: llmir-opt %s --llm-raise-attention | FileCheck %s --implicit-check-not=linalg.softmax --implicit-check-not=math.exp
// RUN: llmir-opt %s --llm-raise-attention --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-raise-attention: 8 attentions-raised

#id2 = affine_map<(t, s) -> (t, s)>
#row2 = affine_map<(t, s) -> (t)>
#id4 = affine_map<(b, h, t, s) -> (b, h, t, s)>

// One head: two dimensions, scaled before the product, softmax with the chain written out.
// CHECK-LABEL: func.func @single_head
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<7x32xf32>, %[[K:[a-z0-9]+]]: tensor<9x32xf32>, %[[V:[a-z0-9]+]]: tensor<9x16xf32>
func.func @single_head(%q: tensor<7x32xf32>, %k: tensor<9x32xf32>, %v: tensor<9x16xf32>)
    -> tensor<7x16xf32> {
  // CHECK: %[[Q4:.*]] = tensor.expand_shape %[[Q]] {{.*}} into tensor<1x7x1x32xf32>
  // CHECK: %[[K4:.*]] = tensor.expand_shape %[[K]] {{.*}} into tensor<1x9x1x32xf32>
  // CHECK: %[[V4:.*]] = tensor.expand_shape %[[V]] {{.*}} into tensor<1x9x1x16xf32>
  // CHECK: llm.attention %[[Q4]], %[[K4]], %[[V4]] {num_heads = 1 : i32, scale = 2.500000e-01 : f32}
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %quarter = arith.constant dense<0.25> : tensor<7x32xf32>
  %scaled = arith.mulf %q, %quarter : tensor<7x32xf32>
  %kt0 = tensor.empty() : tensor<32x9xf32>
  %kt = linalg.transpose ins(%k : tensor<9x32xf32>) outs(%kt0 : tensor<32x9xf32>) permutation = [1, 0]
  %empty = tensor.empty() : tensor<7x9xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<7x9xf32>) -> tensor<7x9xf32>
  %s = linalg.matmul ins(%scaled, %kt : tensor<7x32xf32>, tensor<32x9xf32>)
      outs(%start : tensor<7x9xf32>) -> tensor<7x9xf32>
  %rows = tensor.empty() : tensor<7xf32>
  %lows = linalg.fill ins(%low : f32) outs(%rows : tensor<7xf32>) -> tensor<7xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<7xf32>) -> tensor<7xf32>
  %max = linalg.reduce {arith.maximumf} ins(%s : tensor<7x9xf32>) outs(%lows : tensor<7xf32>) dimensions = [1]
  %wide = linalg.broadcast ins(%max : tensor<7xf32>) outs(%empty : tensor<7x9xf32>) dimensions = [1]
  %difference = arith.subf %s, %wide : tensor<7x9xf32>
  %e = math.exp %difference : tensor<7x9xf32>
  %sum = linalg.reduce {arith.addf} ins(%e : tensor<7x9xf32>) outs(%zeros : tensor<7xf32>) dimensions = [1]
  %p = linalg.generic {indexing_maps = [#id2, #row2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%e, %sum : tensor<7x9xf32>, tensor<7xf32>) outs(%empty : tensor<7x9xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %inverse = arith.divf %one, %y : f32
    %r = arith.mulf %x, %inverse : f32
    linalg.yield %r : f32
  } -> tensor<7x9xf32>
  %o0 = tensor.empty() : tensor<7x16xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<7x16xf32>) -> tensor<7x16xf32>
  %o = linalg.matmul ins(%p, %v : tensor<7x9xf32>, tensor<9x16xf32>) outs(%o1 : tensor<7x16xf32>)
      -> tensor<7x16xf32>
  return %o : tensor<7x16xf32>
}

// Queries, keys and values come as the op wants them, in f16; an unknown number of sequences; causal
// with a window.
// CHECK-LABEL: func.func @causal_window
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<?x8x4x32xf16>, %[[K:[a-z0-9]+]]: tensor<?x8x4x32xf16>, %[[V:[a-z0-9]+]]: tensor<?x8x4x32xf16>
func.func @causal_window(%q: tensor<?x8x4x32xf16>, %k: tensor<?x8x4x32xf16>,
    %v: tensor<?x8x4x32xf16>, %b: index) -> tensor<?x8x4x32xf16> {
  // CHECK-NEXT: %[[O:.*]] = llm.attention %[[Q]], %[[K]], %[[V]] {num_heads = 4 : i32, scale = 1.250000e-01 : f32, causal, window = 3 : i32}
  // CHECK-NEXT: return %[[O]]
  %zero = arith.constant 0.0 : f32
  %zero16 = arith.constant 0.0 : f16
  %empty = tensor.empty(%b) : tensor<?x4x8x8xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(b, h, t, s, d) -> (b, t, h, d)>,
      affine_map<(b, h, t, s, d) -> (b, s, h, d)>, affine_map<(b, h, t, s, d) -> (b, h, t, s)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<?x8x4x32xf16>, tensor<?x8x4x32xf16>) outs(%start : tensor<?x4x8x8xf32>) {
  ^bb0(%x: f16, %y: f16, %acc: f32):
    %0 = arith.extf %x : f16 to f32
    %1 = arith.extf %y : f16 to f32
    %2 = arith.mulf %0, %1 : f32
    %3 = arith.addf %acc, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x4x8x8xf32>
  %masked = linalg.generic {indexing_maps = [#id4, #id4],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<?x4x8x8xf32>) outs(%empty : tensor<?x4x8x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %eight = arith.constant 8.0 : f32
    %low = arith.constant 0xFF800000 : f32
    %two = arith.constant 2 : index
    %t = linalg.index 2 : index
    %j = linalg.index 3 : index
    %scaled = arith.divf %x, %eight : f32
    %before = arith.cmpi sge, %t, %j : index
    %edge = arith.subi %t, %two : index
    %near = arith.cmpi sle, %edge, %j : index
    %seen = arith.andi %before, %near : i1
    %r = arith.select %seen, %scaled, %low : f32
    linalg.yield %r : f32
  } -> tensor<?x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%masked : tensor<?x4x8x8xf32>)
      outs(%empty : tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %o0 = tensor.empty(%b) : tensor<?x8x4x32xf16>
  %o1 = linalg.fill ins(%zero16 : f16) outs(%o0 : tensor<?x8x4x32xf16>) -> tensor<?x8x4x32xf16>
  %p16 = arith.truncf %p : tensor<?x4x8x8xf32> to tensor<?x4x8x8xf16>
  %o = linalg.generic {indexing_maps = [affine_map<(b, h, t, s, d) -> (b, h, t, s)>,
      affine_map<(b, h, t, s, d) -> (b, s, h, d)>, affine_map<(b, h, t, s, d) -> (b, t, h, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]}
      ins(%p16, %v : tensor<?x4x8x8xf16>, tensor<?x8x4x32xf16>) outs(%o1 : tensor<?x8x4x32xf16>) {
  ^bb0(%x: f16, %y: f16, %acc: f16):
    %0 = arith.mulf %x, %y : f16
    %1 = arith.addf %acc, %0 : f16
    linalg.yield %1 : f16
  } -> tensor<?x8x4x32xf16>
  return %o : tensor<?x8x4x32xf16>
}

// Grouped heads as another dimension of rows; a soft cap into which the scale was folded, and a
// selecting mask of the keys of each sequence, true where they are padding.
// CHECK-LABEL: func.func @group_of_rows
func.func @group_of_rows(%q: tensor<2x3x4x5x16xf32>, %k: tensor<2x3x6x16xf32>,
    %v: tensor<2x3x6x16xf32>, %padding: tensor<2x6xi1>) -> tensor<2x3x4x5x16xf32> {
  // CHECK: linalg.transpose {{.*}} permutation = [0, 3, 1, 2, 4]
  // CHECK: linalg.generic {{.*}} tensor<2x6xi1>{{.*}} tensor<2x5x6xi1>
  // CHECK: arith.xori
  // CHECK: llm.attention {{.*}} mask({{.*}}) {num_heads = 12 : i32, scale = 2.500000e-01 : f32, soft_cap = 2.000000e+01 : f32} : (tensor<2x5x12x16xf32>, tensor<2x6x3x16xf32>, tensor<2x6x3x16xf32>, tensor<2x1x5x6xi1>)
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x3x4x5x6xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x3x4x5x6xf32>) -> tensor<2x3x4x5x6xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(b, h, g, t, s, d) -> (b, h, g, t, d)>,
      affine_map<(b, h, g, t, s, d) -> (b, h, s, d)>,
      affine_map<(b, h, g, t, s, d) -> (b, h, g, t, s)>], iterator_types = ["parallel",
      "parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x3x4x5x16xf32>, tensor<2x3x6x16xf32>)
      outs(%start : tensor<2x3x4x5x6xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x4x5x6xf32>
  %masked = linalg.generic {indexing_maps = [affine_map<(b, h, g, t, s) -> (b, h, g, t, s)>,
      affine_map<(b, h, g, t, s) -> (b, s)>, affine_map<(b, h, g, t, s) -> (b, h, g, t, s)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%s, %padding : tensor<2x3x4x5x6xf32>, tensor<2x6xi1>)
      outs(%empty : tensor<2x3x4x5x6xf32>) {
  ^bb0(%x: f32, %hidden: i1, %o: f32):
    %c = arith.constant 0.0125 : f32
    %cap = arith.constant 20.0 : f32
    %low = arith.constant -1.0e+30 : f32
    %small = arith.mulf %x, %c : f32
    %bent = math.tanh %small : f32
    %capped = arith.mulf %cap, %bent : f32
    %r = arith.select %hidden, %low, %capped : f32
    linalg.yield %r : f32
  } -> tensor<2x3x4x5x6xf32>
  %p = linalg.softmax dimension(4) ins(%masked : tensor<2x3x4x5x6xf32>)
      outs(%empty : tensor<2x3x4x5x6xf32>) -> tensor<2x3x4x5x6xf32>
  %o0 = tensor.empty() : tensor<2x3x4x5x16xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<2x3x4x5x16xf32>) -> tensor<2x3x4x5x16xf32>
  %o = linalg.generic {indexing_maps = [affine_map<(b, h, g, t, s, d) -> (b, h, g, t, s)>,
      affine_map<(b, h, g, t, s, d) -> (b, h, s, d)>,
      affine_map<(b, h, g, t, s, d) -> (b, h, g, t, d)>], iterator_types = ["parallel",
      "parallel", "parallel", "parallel", "reduction", "parallel"]}
      ins(%p, %v : tensor<2x3x4x5x6xf32>, tensor<2x3x6x16xf32>)
      outs(%o1 : tensor<2x3x4x5x16xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x4x5x16xf32>
  return %o : tensor<2x3x4x5x16xf32>
}

// Heads that share keys and values by a broadcast, folded into the batch for the products and
// unfolded for the mask.
// CHECK-LABEL: func.func @repeated_heads
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<2x6x7x32xf32>, %[[K:[a-z0-9]+]]: tensor<2x9x3x32xf32>, %[[V:[a-z0-9]+]]: tensor<2x3x9x16xf32>, %[[M:[a-z0-9]+]]: tensor<2x1x7x9xf32>
func.func @repeated_heads(%q: tensor<2x6x7x32xf32>, %k0: tensor<2x9x3x32xf32>,
    %v: tensor<2x3x9x16xf32>, %mask: tensor<2x1x7x9xf32>) -> tensor<12x7x16xf32> {
  // CHECK: %[[QT:.*]] = linalg.transpose ins(%[[Q]] {{.*}} permutation = [0, 2, 1, 3]
  // CHECK: %[[VT:.*]] = linalg.transpose ins(%[[V]] {{.*}} permutation = [0, 2, 1, 3]
  // CHECK: llm.attention %[[QT]], %[[K]], %[[VT]] mask(%[[M]]) {num_heads = 6 : i32, scale = 1.000000e+00 : f32} : (tensor<2x7x6x32xf32>, tensor<2x9x3x32xf32>, tensor<2x9x3x16xf32>, tensor<2x1x7x9xf32>)
  %zero = arith.constant 0.0 : f32
  %k1 = tensor.empty() : tensor<2x3x9x32xf32>
  %k = linalg.transpose ins(%k0 : tensor<2x9x3x32xf32>) outs(%k1 : tensor<2x3x9x32xf32>) permutation = [0, 2, 1, 3]
  %k2 = tensor.empty() : tensor<2x3x2x9x32xf32>
  %kb = linalg.broadcast ins(%k : tensor<2x3x9x32xf32>) outs(%k2 : tensor<2x3x2x9x32xf32>) dimensions = [2]
  %kc = tensor.collapse_shape %kb [[0, 1, 2], [3], [4]] : tensor<2x3x2x9x32xf32> into tensor<12x9x32xf32>
  %v1 = tensor.empty() : tensor<2x3x2x9x16xf32>
  %vb = linalg.broadcast ins(%v : tensor<2x3x9x16xf32>) outs(%v1 : tensor<2x3x2x9x16xf32>) dimensions = [2]
  %vc = tensor.collapse_shape %vb [[0, 1, 2], [3], [4]] : tensor<2x3x2x9x16xf32> into tensor<12x9x16xf32>
  %qc = tensor.collapse_shape %q [[0, 1], [2], [3]] : tensor<2x6x7x32xf32> into tensor<12x7x32xf32>
  %empty = tensor.empty() : tensor<12x7x9xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<12x7x9xf32>) -> tensor<12x7x9xf32>
  %s = linalg.batch_matmul indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
      affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>]
      ins(%qc, %kc : tensor<12x7x32xf32>, tensor<12x9x32xf32>) outs(%start : tensor<12x7x9xf32>)
      -> tensor<12x7x9xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [2, 6, 7, 9] : tensor<12x7x9xf32> into tensor<2x6x7x9xf32>
  %empty4 = tensor.empty() : tensor<2x6x7x9xf32>
  %masked = linalg.generic {indexing_maps = [#id4, affine_map<(b, h, t, s) -> (b, 0, t, s)>, #id4],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s4, %mask : tensor<2x6x7x9xf32>, tensor<2x1x7x9xf32>) outs(%empty4 : tensor<2x6x7x9xf32>) {
  ^bb0(%x: f32, %m: f32, %o: f32):
    %r = arith.addf %m, %x : f32
    linalg.yield %r : f32
  } -> tensor<2x6x7x9xf32>
  %p4 = linalg.softmax dimension(3) ins(%masked : tensor<2x6x7x9xf32>)
      outs(%empty4 : tensor<2x6x7x9xf32>) -> tensor<2x6x7x9xf32>
  %p = tensor.collapse_shape %p4 [[0, 1], [2], [3]] : tensor<2x6x7x9xf32> into tensor<12x7x9xf32>
  %o0 = tensor.empty() : tensor<12x7x16xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<12x7x16xf32>) -> tensor<12x7x16xf32>
  %o = linalg.batch_matmul ins(%p, %vc : tensor<12x7x9xf32>, tensor<12x9x16xf32>)
      outs(%o1 : tensor<12x7x16xf32>) -> tensor<12x7x16xf32>
  return %o : tensor<12x7x16xf32>
}

// One KV head for all queries: values have no dimension of heads. The products are transposed.
// CHECK-LABEL: func.func @multi_query
func.func @multi_query(%q: tensor<4x5x16xf32>, %k: tensor<6x16xf32>, %v: tensor<6x8xf32>)
    -> tensor<8x4x5xf32> {
  // CHECK: llm.attention {{.*}} {num_heads = 4 : i32, scale = 1.000000e+00 : f32} : (tensor<1x5x4x16xf32>, tensor<1x6x1x16xf32>, tensor<1x6x1x8xf32>) -> tensor<1x5x4x8xf32>
  // CHECK: linalg.transpose {{.*}} permutation = [2, 1, 0]
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<6x4x5xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<6x4x5xf32>) -> tensor<6x4x5xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(s, h, t, d) -> (s, d)>,
      affine_map<(s, h, t, d) -> (h, t, d)>, affine_map<(s, h, t, d) -> (s, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%k, %q : tensor<6x16xf32>, tensor<4x5x16xf32>) outs(%start : tensor<6x4x5xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<6x4x5xf32>
  %p = linalg.softmax dimension(0) ins(%s : tensor<6x4x5xf32>) outs(%empty : tensor<6x4x5xf32>)
      -> tensor<6x4x5xf32>
  %o0 = tensor.empty() : tensor<8x4x5xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<8x4x5xf32>) -> tensor<8x4x5xf32>
  %o = linalg.generic {indexing_maps = [affine_map<(e, h, t, s) -> (s, e)>,
      affine_map<(e, h, t, s) -> (s, h, t)>, affine_map<(e, h, t, s) -> (e, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%v, %p : tensor<6x8xf32>, tensor<6x4x5xf32>) outs(%o1 : tensor<8x4x5xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<8x4x5xf32>
  return %o : tensor<8x4x5xf32>
}

// Fewer queries than keys, the last of which are theirs: causal from the end; and the same from the
// other side, as a condition that hides keys.
// CHECK-LABEL: func.func @causal_from_the_end
func.func @causal_from_the_end(%q: tensor<5x16xf32>, %k: tensor<9x16xf32>, %v: tensor<9x16xf32>)
    -> (tensor<5x16xf32>, tensor<5x16xf32>) {
  // CHECK-COUNT-2: llm.attention {{.*}} {num_heads = 1 : i32, scale = 1.000000e+00 : f32, causal}
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %four = arith.constant 4 : index
  %empty = tensor.empty() : tensor<5x9xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<5x9xf32>) -> tensor<5x9xf32>
  %o0 = tensor.empty() : tensor<5x16xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<5x16xf32>) -> tensor<5x16xf32>
  %s = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>,
      affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%q, %k : tensor<5x16xf32>, tensor<9x16xf32>) outs(%start : tensor<5x9xf32>) -> tensor<5x9xf32>
  %masked = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x9xf32>) outs(%empty : tensor<5x9xf32>) {
  ^bb0(%x: f32, %o: f32):
    %t = linalg.index 0 : index
    %j = linalg.index 1 : index
    %position = arith.addi %t, %four : index
    %seen = arith.cmpi sle, %j, %position : index
    %r = arith.select %seen, %x, %low : f32
    linalg.yield %r : f32
  } -> tensor<5x9xf32>
  %p = linalg.softmax dimension(1) ins(%masked : tensor<5x9xf32>) outs(%empty : tensor<5x9xf32>) -> tensor<5x9xf32>
  %o = linalg.matmul ins(%p, %v : tensor<5x9xf32>, tensor<9x16xf32>) outs(%o1 : tensor<5x16xf32>) -> tensor<5x16xf32>
  %hidden = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<5x9xf32>) outs(%empty : tensor<5x9xf32>) {
  ^bb0(%x: f32, %u: f32):
    %t = linalg.index 0 : index
    %j = linalg.index 1 : index
    %t32 = arith.index_cast %t : index to i32
    %j32 = arith.index_cast %j : index to i32
    %distance = arith.subi %j32, %t32 : i32
    %most = arith.constant 4 : i32
    %future = arith.cmpi sgt, %distance, %most : i32
    %r = arith.select %future, %low, %x : f32
    linalg.yield %r : f32
  } -> tensor<5x9xf32>
  %p2 = linalg.softmax dimension(1) ins(%hidden : tensor<5x9xf32>) outs(%empty : tensor<5x9xf32>) -> tensor<5x9xf32>
  %o2 = linalg.matmul ins(%p2, %v : tensor<5x9xf32>, tensor<9x16xf32>) outs(%o1 : tensor<5x16xf32>) -> tensor<5x16xf32>
  return %o, %o2 : tensor<5x16xf32>, tensor<5x16xf32>
}

// A softmax without the maximum; keys that are scaled, of an unknown number.
// CHECK-LABEL: func.func @without_maximum
func.func @without_maximum(%q: tensor<3x5x16xf32>, %k: tensor<3x?x16xf32>, %v: tensor<3x?x16xf32>,
    %n: index) -> tensor<3x5x16xf32> {
  // CHECK: llm.attention {{.*}} {num_heads = 1 : i32, scale = 5.000000e-01 : f32} : (tensor<3x5x1x16xf32>, tensor<3x?x1x16xf32>, tensor<3x?x1x16xf32>)
  %zero = arith.constant 0.0 : f32
  %k0 = tensor.empty(%n) : tensor<3x?x16xf32>
  %half = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s, d)>,
      affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%k : tensor<3x?x16xf32>) outs(%k0 : tensor<3x?x16xf32>) {
  ^bb0(%x: f32, %o: f32):
    %two = arith.constant 2.0 : f32
    %r = arith.divf %x, %two : f32
    linalg.yield %r : f32
  } -> tensor<3x?x16xf32>
  %empty = tensor.empty(%n) : tensor<3x5x?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x5x?xf32>) -> tensor<3x5x?xf32>
  %s = linalg.batch_matmul indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
      affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>]
      ins(%q, %half : tensor<3x5x16xf32>, tensor<3x?x16xf32>) outs(%start : tensor<3x5x?xf32>)
      -> tensor<3x5x?xf32>
  %e = linalg.exp ins(%s : tensor<3x5x?xf32>) outs(%empty : tensor<3x5x?xf32>) -> tensor<3x5x?xf32>
  %rows = tensor.empty() : tensor<3x5xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<3x5xf32>) -> tensor<3x5xf32>
  %sum = linalg.reduce {arith.addf} ins(%e : tensor<3x5x?xf32>) outs(%zeros : tensor<3x5xf32>) dimensions = [2]
  %wide = linalg.broadcast ins(%sum : tensor<3x5xf32>) outs(%empty : tensor<3x5x?xf32>) dimensions = [2]
  %p = linalg.div ins(%e, %wide : tensor<3x5x?xf32>, tensor<3x5x?xf32>) outs(%empty : tensor<3x5x?xf32>) -> tensor<3x5x?xf32>
  %o0 = tensor.empty() : tensor<3x5x16xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : tensor<3x5x16xf32>) -> tensor<3x5x16xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<3x5x?xf32>, tensor<3x?x16xf32>)
      outs(%o1 : tensor<3x5x16xf32>) -> tensor<3x5x16xf32>
  return %o : tensor<3x5x16xf32>
}
