// What the ops cost that report-costs.mlir does not have, by hand: T tokens, S sequences, C tokens
// of contexts.
// RUN: llmir-opt %s --llm-report-costs --verify-diagnostics --llm-pass-statistics 2>&1 | FileCheck %s
// CHECK: llm-report-costs: 17 ops-with-costs

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
!codes = !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
!matrix = !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>
llm.weight @w : tensor<64x96xf16>
llm.weight @bias : tensor<64xf32>

func.func @caches(%n: index, %k: tensor<2x3x2x16xf16>, %s: tensor<2xi32>, %u: tensor<?xi32>, %path: tensor<?x4xi32>) {
  // Nothing is read or written before there are tokens.
  // expected-remark @+1 {{reads 0 bytes, writes 0 bytes, computes 0 flops}}
  %kv = llm.create_kv_cache %n : !kv
  // 6 tokens, 2 x 2 heads of 16 halves, and 2 ids in; as many halves and 6 block ids out; each is
  // converted, an addition and a product.
  // expected-remark @+1 {{reads 776 bytes, writes 792 bytes, computes 768 flops}}
  %kv1, %b = llm.append_kv %kv, %k, %k, %s {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<2x3x2x16xf16>, tensor<2x3x2x16xf16>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
  // 32 columns of a row.
  // expected-remark @+1 {{reads 8 bytes, writes 256 bytes, computes 0 flops}}
  %t = llm.block_table %kv1, %s : (!kv, tensor<2xi32>) -> tensor<2x32xi32>
  // expected-remark @+1 {{reads 8 bytes, writes 8 bytes, computes 0 flops}}
  %l = llm.sequence_lengths %kv1, %s : (!kv, tensor<2xi32>) -> tensor<2xi32>
  // expected-remark @+1 {{reads 128 C bytes, writes 128 C bytes, computes 0 flops}}
  %keys, %values = llm.lookup_kv %kv1, %t, %l : (!kv, tensor<2x32xi32>, tensor<2xi32>) -> (tensor<2x?x2x16xf16>, tensor<2x?x2x16xf16>)
  // expected-remark @+1 {{reads 0 bytes, writes 0 bytes, computes 0 flops}}
  %kv2 = llm.fork %kv1, %u, %u : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // Every draft of a tree may move, in 4 layers of 128 bytes.
  // expected-remark @+1 {{reads 512 T bytes, writes 512 T bytes, computes 0 flops}}
  %kv3 = llm.commit %kv2, %u, %u, %u path(%path) : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x4xi32>) -> !kv
  // expected-remark @+1 {{reads 0 bytes, writes 0 bytes, computes 0 flops}}
  %kv4 = llm.rollback %kv3, %u, %u : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // expected-remark @+1 {{reads 0 bytes, writes 0 bytes, computes 0 flops}}
  llm.free_kv_cache %kv4 : !kv
  return
}

func.func @verify(%l: tensor<?x100xf32>, %d: tensor<?xi32>, %cu: tensor<?xi32>, %u: tensor<?xf32>) {
  // 100 scores, a draft and a number a token, a length a sequence; 1 + 4 + 1 numbers a sequence out;
  // the softmax of what may follow.
  // expected-remark @+1 {{reads 408 T + 4 S bytes, writes 24 S bytes, computes 400 T flops}}
  %a, %p, %n = llm.verify %l, %d, %cu uniforms(%u) : (tensor<?x100xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> (tensor<?xi32>, tensor<?x4xi32>, tensor<?xi32>)
  return
}

func.func @codes(%a: !codes, %w: !matrix) {
  // 64 codes and 2 scales of 4 bytes a token; 48 rows of 32 bytes and 2 scales; 48 sums of 64 products.
  // expected-remark @+1 {{reads 1920 + 72 T bytes, writes 192 T bytes, computes 6144 T flops}}
  %0 = llm.quantized_matmul %a, %w : (!codes, !matrix) -> tensor<?x48xf32>
  // expected-remark @+1 {{reads 1920 bytes, writes 12288 bytes, computes 3072 flops}}
  %1 = llm.dequantize %w : !matrix -> tensor<48x64xf32>
  return
}

func.func @ranks(%x: tensor<?x48xf32>, %y: tensor<?x64xf32>, %c: !llm.step_context, %n: index) {
  // Half of 64 x 96 halves, and the bias; 48 features and the residual in, 64 out, which others get.
  // expected-remark @+1 {{reads 6400 + 448 T bytes, writes 256 T bytes, computes 6272 T flops, sends 256 T bytes}}
  %0 = llm.sharded_linear %x, @w, %c split(input) shards(2) bias(@bias) residual(%y) : (tensor<?x48xf32>, !llm.step_context, tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-remark @+1 {{reads 256 T bytes, writes 128 T bytes, computes 32 T flops, sends 256 T bytes}}
  %1 = llm.reduce_scatter %0, %c dim(1) shards(2) : tensor<?x64xf32> -> tensor<?x32xf32>
  // expected-remark @+1 {{reads 128 T bytes, writes 256 T bytes, computes 0 flops, sends 128 T bytes}}
  %2 = llm.all_gather %1, %c dim(1) shards(2) : tensor<?x32xf32> -> tensor<?x64xf32>
  // expected-remark @+1 {{reads 256 T bytes, writes 0 bytes, computes 0 flops, sends 256 T bytes}}
  llm.send %2, %c to(1) : tensor<?x64xf32>
  // expected-remark @+1 {{reads 0 bytes, writes 256 T bytes, computes 0 flops}}
  %3 = llm.recv %c[%n] from(0) : tensor<?x64xf32>
  return
}
