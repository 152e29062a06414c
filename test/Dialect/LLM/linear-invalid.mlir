// Matrix products that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (SYM-5)
  // expected-error @+1 {{'llm.linear' op expected 'weight' @n to be a matrix, but got 'tensor<64xf32>'}}
  %0 = llm.linear %x, @n : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x2x16xf32>) {
  // (SYM-6)
  // expected-error @+1 {{'llm.linear' op expected 'weight' @w to have 32 columns, but got 64}}
  %0 = llm.linear %x, @w : (tensor<?x2x16xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-1)
  // expected-error @+1 {{'llm.linear' op expected at least one result}}
  llm.linear %x, @w : (tensor<?x64xf32>) -> ()
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<3x64xf32>) {
  // (LIN-2)
  // expected-error @+1 {{'llm.linear' op expected dimension 0 of 'outputs' to be the number of tokens 3, but got 4}}
  %0 = llm.linear %x, @w : (tensor<3x64xf32>) -> tensor<4x64xf32>
  return
}

// -----

llm.weight @gu sources(["g", "u"]) arrangement(interleave) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-3)
  // expected-error @+1 {{'llm.linear' op expected one result with epilogue swiglu, but got 2}}
  %0:2 = llm.linear %x, @gu epilogue(swiglu) : (tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

llm.weight @ab sources(["a", "b"]) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-4)
  // expected-error @+1 {{'llm.linear' op expected one result with a residual, but got 2}}
  %0:2 = llm.linear %x, @ab residual(%x) : (tensor<?x64xf32>, tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>, %r: tensor<?x4x16xf32>) {
  // (LIN-5)
  // expected-error @+1 {{'llm.linear' op expected the residual to have the result's type 'tensor<?x64xf32>', but got 'tensor<?x4x16xf32>'}}
  %0 = llm.linear %x, @w residual(%r) : (tensor<?x64xf32>, tensor<?x4x16xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @ab sources(["a", "b"]) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-6)
  // expected-error @+1 {{'llm.linear' op expected a weight of 2 interleaved sources with epilogue swiglu, but @ab has 2 concatenated}}
  %0 = llm.linear %x, @ab epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-6)
  // expected-error @+1 {{'llm.linear' op expected a weight of 2 interleaved sources with epilogue swiglu, but @w has 1 concatenated}}
  %0 = llm.linear %x, @w epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return
}

// -----

llm.weight @gu sources(["g", "u"]) arrangement(interleave) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-7)
  // expected-error @+1 {{'llm.linear' op expected a weight of concatenated sources without epilogue swiglu, but @gu is interleaved}}
  %0 = llm.linear %x, @gu : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @ab sources(["a", "b"]) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-8)
  // expected-error @+1 {{'llm.linear' op expected one result for each of the 2 sources of @ab, but got 1}}
  %0 = llm.linear %x, @ab : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-8)
  // expected-error @+1 {{'llm.linear' op expected one result for each of the 1 sources of @w, but got 2}}
  %0:2 = llm.linear %x, @w : (tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-9)
  // expected-error @+1 {{'llm.linear' op expected results with 64 features in all, as @w with 64 rows gives, but got 60}}
  %0 = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x4x15xf32>
  return
}

// -----

llm.weight @gu sources(["g", "u"]) arrangement(interleave) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-9)
  // expected-error @+1 {{'llm.linear' op expected results with 32 features in all, as @gu with 64 rows gives, but got 64}}
  %0 = llm.linear %x, @gu epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @ab sources(["a", "b"]) source_rows([48, 16]) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (LIN-10)
  // expected-error @+1 {{'llm.linear' op expected result 0 to have 48 features, the rows of its source in @ab, but got 32}}
  %0:2 = llm.linear %x, @ab : (tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

llm.weight @n : tensor<64xf32>
llm.weight @w : tensor<128x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (SYM-4)
  // expected-error @+1 {{'llm.linear' op expected 'bias' @n to have 128 elements, but got 64}}
  %0 = llm.linear %x, @w bias(@n) : (tensor<?x64xf32>) -> tensor<?x128xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (FUS-1)
  // expected-error @+1 {{'llm.linear' op expected both of 'norm_weight' and 'norm_epsilon' or neither, but got only 'norm_weight'}}
  %0 = "llm.linear"(%x) <{weight = @w, norm_weight = @n}> : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (FUS-1)
  // expected-error @+1 {{'llm.linear' op expected both of 'norm_weight' and 'norm_epsilon' or neither, but got only 'norm_epsilon'}}
  %0 = "llm.linear"(%x) <{weight = @w, norm_epsilon = 1.0e-5 : f32}> : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>
llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (FUS-2)
  // expected-error @+1 {{'llm.linear' op expected 'norm_epsilon' not to be negative, but got -1.000000e+00}}
  %0 = llm.linear %x, @w norm(@n, -1.0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (FUS-3)
  // expected-error @+1 {{'llm.linear' op expected 'activation_type' to be f32, bf16 or i8, but got 'f16'}}
  %0 = llm.linear %x, @w activations(f16) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x48xf32>

func.func @f(%x: tensor<?x48xf32>) {
  // (FUS-4)
  // expected-error @+1 {{'llm.linear' op expected the number of input features to be a multiple of 32 for activations of type i8, but got 48}}
  %0 = llm.linear %x, @w activations(i8) : (tensor<?x48xf32>) -> tensor<?x64xf32>
  return
}
