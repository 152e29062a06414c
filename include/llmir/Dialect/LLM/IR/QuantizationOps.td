// Quantised tensors as values: to codes and back, and products with them.

#ifndef LLMIR_DIALECT_LLM_IR_QUANTIZATIONOPS_TD
#define LLMIR_DIALECT_LLM_IR_QUANTIZATIONOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupQuantization : OpDocGroup {
  let summary = "Quantisation";
  let description = [{
    Ops on values of `!llm.quantized_tensor` types. A model's quantised weights are not values but
    symbols, which `llm.linear` reads.
  }];
}

let opDocGroup = LLM_OpGroupQuantization in {

def LLM_QuantizeOp : LLM_ComputeOp<"quantize"> {
  let summary = "Turn numbers into codes and scales";
  let description = [{
    The largest magnitude of a group (for asymmetric types the range) sets its scale; codes are
    rounded to nearest, ties to even. A group of zeros has the scale 0 and codes 0.

    ```mlir
    func.func @f(%x: tensor<?x64xf32>)
        -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8> {
      %q = llm.quantize %x
          : tensor<?x64xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
      return %q : !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
    }
    ```
  }];
  let arguments = (ins LLM_QuantizableTensor:$input);
  let results = (outs LLM_QuantizedTensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` qualified(type($output))";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_DequantizeOp : LLM_ComputeOp<"dequantize", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Turn codes and scales into numbers";
  let description = [{
    The type says what a code stands for. Quantising the result again as the same type gives the
    input back: rounding a second time could only lose.

    ```mlir
    func.func @f(%q: !llm.quantized_tensor<i4, [16, 64], false, true, 1, 32, 4>)
        -> tensor<16x64xf32> {
      %x = llm.dequantize %q
          : !llm.quantized_tensor<i4, [16, 64], false, true, 1, 32, 4> -> tensor<16x64xf32>
      return %x : tensor<16x64xf32>
    }
    ```
  }];
  let arguments = (ins LLM_QuantizedTensor:$input);
  let results = (outs LLM_QuantizableTensor:$output);
  let assemblyFormat = "$input attr-dict `:` qualified(type($input)) `->` type($output)";
  let extraClassDeclaration = [{
    /// A result that is a buffer has the inferred tensor's shape.
    static bool isCompatibleReturnTypes(::mlir::TypeRange inferred, ::mlir::TypeRange actual);
  }];
}

def LLM_QuantizedMatmulOp : LLM_ComputeOp<"quantized_matmul", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Multiply by a quantised matrix that is a value";
  let description = [{
    output = input * weight^T, where the weight is [output features, input features]. The input is a
    tensor, or itself quantised with groups that match the weight's; products of two integers are
    then summed exactly within a group.

    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>)
        -> tensor<?x48xf32> {
      %a = llm.quantize %x
          : tensor<?x64xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
      %y = llm.quantized_matmul %a, %w
          : (!llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>,
             !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x48xf32>
      return %y : tensor<?x48xf32>
    }
    ```
  }];
  let arguments = (ins
    AnyTypeOf<[LLM_FeatureTensor, LLM_QuantizedTensor]>:$input, LLM_QuantizedTensor:$weight);
  let results = (outs LLM_FeatureTensor:$output);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// [tokens, input features], of a tensor or a quantised tensor.
    ::llvm::ArrayRef<int64_t> getInputShape();
    /// A result that is a buffer has the inferred tensor's shape.
    static bool isCompatibleReturnTypes(::mlir::TypeRange inferred, ::mlir::TypeRange actual);
  }];
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_QUANTIZATIONOPS_TD
