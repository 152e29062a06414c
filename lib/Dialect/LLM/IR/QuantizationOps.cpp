// Verification of the ops on quantised tensors.

#include "VerifyHelpers.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/QuantizationOps.cpp.inc"

/// A tensor against the quantised tensor that stands for it: shape and logical element type.
static LogicalResult verifyMeaning(Operation *op, ShapedType tensor,
                                   QuantizedTensorType quantized) {
  // (QNT-1)
  bool agree = tensor.getRank() == quantized.getRank() &&
               llvm::all_of(llvm::zip(tensor.getShape(), quantized.getShape()), [](auto sizes) {
                 return mayBeEqual(std::get<0>(sizes), std::get<1>(sizes));
               });
  if (!agree)
    return op->emitOpError("expected tensors of one shape, but got ")
           << tensor << " and " << quantized;
  // (QNT-2)
  if (tensor.getElementType() != quantized.getElementType())
    return op->emitOpError("expected the quantised tensor's logical element type ")
           << quantized.getElementType() << ", but got " << tensor.getElementType();
  return success();
}

/// Whether one type was inferred and is the other, or is a buffer where a tensor was inferred:
/// codes do not tell on what an op is.
static bool areCompatible(TypeRange inferred, TypeRange actual) {
  if (inferred.size() != 1 || actual.size() != 1)
    return false;
  auto tensor = dyn_cast<ShapedType>(inferred.front());
  auto result = dyn_cast<ShapedType>(actual.front());
  return tensor && result && tensor.getShape() == result.getShape() &&
         tensor.getElementType() == result.getElementType();
}

bool DequantizeOp::isCompatibleReturnTypes(TypeRange inferred, TypeRange actual) {
  return areCompatible(inferred, actual);
}

bool QuantizedMatmulOp::isCompatibleReturnTypes(TypeRange inferred, TypeRange actual) {
  return areCompatible(inferred, actual);
}

LogicalResult QuantizeOp::verify() {
  return verifyMeaning(*this, getInput().getType(), getOutput().getType());
}

LogicalResult DequantizeOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                             ValueRange operands, DictionaryAttr, OpaqueProperties,
                                             RegionRange, SmallVectorImpl<Type> &types) {
  // (QNT-3)
  auto input = operands.empty() ? QuantizedTensorType()
                                : dyn_cast<QuantizedTensorType>(operands[0].getType());
  if (!input)
    return failure();
  types.push_back(RankedTensorType::get(input.getShape(), input.getElementType()));
  return success();
}

/// The shape of a tensor, a buffer or a quantised tensor.
static ArrayRef<int64_t> getShape(Type type) {
  if (auto quantized = dyn_cast<QuantizedTensorType>(type))
    return quantized.getShape();
  return cast<ShapedType>(type).getShape();
}

ArrayRef<int64_t> QuantizedMatmulOp::getInputShape() { return getShape(getInput().getType()); }

LogicalResult QuantizedMatmulOp::inferReturnTypes(MLIRContext *context, std::optional<Location>,
                                                  ValueRange operands, DictionaryAttr,
                                                  OpaqueProperties, RegionRange,
                                                  SmallVectorImpl<Type> &types) {
  // (QNT-5)
  if (operands.size() != 2 || !isa<QuantizedTensorType, ShapedType>(operands[0].getType()) ||
      !isa<QuantizedTensorType>(operands[1].getType()))
    return failure();
  ArrayRef<int64_t> input = getShape(operands[0].getType());
  ArrayRef<int64_t> weight = getShape(operands[1].getType());
  if (input.empty() || weight.empty())
    return failure();
  types.push_back(
      RankedTensorType::get({input.front(), weight.front()}, Float32Type::get(context)));
  return success();
}

/// A quantised input: its groups against the weight's.
static LogicalResult verifyGroups(QuantizedMatmulOp op, QuantizedTensorType input,
                                  QuantizedTensorType weight) {
  // (QNT-6)
  if (!input.getSymmetric())
    return op.emitOpError("expected a symmetric input, but got ") << input;
  // (QNT-7) Otherwise the scales of input and weight change at different places of a sum.
  if (input.getAxis() == 1 && input.getGroupSize() != weight.getGroupSize())
    return op.emitOpError("expected the input's group size to be the weight's ")
           << weight.getGroupSize() << ", but got " << input.getGroupSize();
  return success();
}

LogicalResult QuantizedMatmulOp::verify() {
  QuantizedTensorType weight = getWeight().getType();
  // (QNT-8)
  ArrayRef<int64_t> inputShape = getInputShape();
  if (weight.getRank() != 2 || inputShape.size() != 2)
    return emitOpError("expected input and weight of rank 2, but got ranks ")
           << inputShape.size() << " and " << weight.getRank();
  // (QNT-4)
  if (!mayBeEqual(inputShape[1], weight.getShape()[1]))
    return emitOpError("expected the weight to have ")
           << inputShape[1] << " columns, as the input has features, but got "
           << weight.getShape()[1];
  if (auto input = dyn_cast<QuantizedTensorType>(getInput().getType()))
    return verifyGroups(*this, input, weight);
  return success();
}
