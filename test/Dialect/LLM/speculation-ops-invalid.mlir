// Ops of speculative decoding that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
!other = !llm.paged_kv_cache<f32, 2, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (SPEC-1)
  // expected-error @+1 {{'llm.rollback' op failed to verify that all of {cache, new_cache} have same type}}
  %0 = llm.rollback %kv, %s, %s : (!kv, tensor<2xi32>, tensor<2xi32>) -> !other
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %p: tensor<2xi32>, %c: tensor<3xi32>) {
  // (SPEC-2)
  // expected-error @+1 {{'llm.fork' op expected dimension 0 of 'children' to be the number of parents 2, but got 3}}
  %0 = llm.fork %kv, %p, %c : (!kv, tensor<2xi32>, tensor<3xi32>) -> !kv
  return
}

// -----

func.func @f(%l: tensor<6x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>) {
  // (SPEC-3)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'logits' to be the number of tokens 5, but got 6}}
  %0:3 = llm.verify %l, %d, %cu : (tensor<6x100xf32>, tensor<5xi32>, tensor<3xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>, %o0: tensor<4xi32>) {
  // (SPEC-4)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'parents' to be the number of tokens 5, but got 4}}
  %0:3 = llm.verify %l, %d, %cu parents(%o0) : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>, tensor<4xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>, %o0: tensor<2xf32>) {
  // (SPEC-4)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'uniforms' to be the number of tokens 5, but got 2}}
  %0:3 = llm.verify %l, %d, %cu uniforms(%o0) : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>, tensor<2xf32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>, %o0: tensor<5x100xf32>) {
  // (SPEC-5)
  // expected-error @+1 {{'llm.verify' op expected 'uniforms' with 'draft_probabilities'}}
  %0:3 = llm.verify %l, %d, %cu draft_probabilities(%o0) : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>, tensor<5x100xf32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>, %o0: tensor<5xf32>, %o1: tensor<5x99xf32>) {
  // (SPEC-6)
  // expected-error @+1 {{'llm.verify' op expected dimension 1 of 'draft_probabilities' to be the size of the vocabulary 100, but got 99}}
  %0:3 = llm.verify %l, %d, %cu uniforms(%o0) draft_probabilities(%o1) : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>, tensor<5xf32>, tensor<5x99xf32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<2xi32>) {
  // (SPEC-7)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'cu_lengths' to be one more than the number of sequences, 3, but got 2}}
  %0:3 = llm.verify %l, %d, %cu : (tensor<5x100xf32>, tensor<5xi32>, tensor<2xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>) {
  // (SPEC-8)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'path' to be the number of sequences 2, but got 3}}
  %0:3 = llm.verify %l, %d, %cu : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>) -> (tensor<2xi32>, tensor<3x4xi32>, tensor<2xi32>)
  return
}

// -----

func.func @f(%l: tensor<5x100xf32>, %d: tensor<5xi32>, %cu: tensor<3xi32>) {
  // (SPEC-8)
  // expected-error @+1 {{'llm.verify' op expected dimension 0 of 'next_tokens' to be the number of sequences 2, but got 3}}
  %0:3 = llm.verify %l, %d, %cu : (tensor<5x100xf32>, tensor<5xi32>, tensor<3xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<3xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>, %a: tensor<3xi32>) {
  // (SPEC-9)
  // expected-error @+1 {{'llm.commit' op expected dimension 0 of 'accepted' to be the number of sequences 2, but got 3}}
  %0 = llm.commit %kv, %s, %s, %a : (!kv, tensor<2xi32>, tensor<2xi32>, tensor<3xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>, %a: tensor<1x4xi32>) {
  // (SPEC-9)
  // expected-error @+1 {{'llm.commit' op expected dimension 0 of 'path' to be the number of sequences 2, but got 1}}
  %0 = llm.commit %kv, %s, %s, %s path(%a) : (!kv, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>, tensor<1x4xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>, %a: tensor<3xi32>) {
  // (SPEC-10)
  // expected-error @+1 {{'llm.rollback' op expected dimension 0 of 'lengths' to be the number of sequences 2, but got 3}}
  %0 = llm.rollback %kv, %s, %a : (!kv, tensor<2xi32>, tensor<3xi32>) -> !kv
  return
}
