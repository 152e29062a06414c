// Verification of llm.weight and llm.load_weight, and looking a weight up.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/WeightOps.cpp.inc"

WeightOp llm::lookupWeight(Operation *op, FlatSymbolRefAttr name) {
  return name ? SymbolTable::lookupNearestSymbolFrom<WeightOp>(op, name) : WeightOp();
}

void WeightOp::build(OpBuilder &builder, OperationState &state, StringRef name, Type type) {
  build(builder, state, name, type, /*sources=*/ArrayAttr(), /*source_rows=*/DenseI64ArrayAttr(),
        Arrangement::Concat, /*shard=*/WeightShardAttr(), /*offset=*/IntegerAttr());
}

ArrayRef<int64_t> WeightOp::getShape() {
  if (auto quantized = dyn_cast<QuantizedTensorType>(getType()))
    return quantized.getShape();
  return cast<RankedTensorType>(getType()).getShape();
}

SmallVector<StringRef> WeightOp::getSourceNames() {
  if (!getSources())
    return {getSymName()};
  return llvm::to_vector(getSources()->getAsValueRange<StringAttr>());
}

/// The type of a weight: what the packed file can hold.
static LogicalResult verifyWeightType(WeightOp op) {
  // (W-1)
  Type type = op.getType();
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    Type element = tensor.getElementType();
    if (!element.isF32() && !element.isF16() && !element.isBF16())
      return op.emitOpError("expected elements of type f32, f16 or bf16, but got ") << element;
  } else if (!isa<QuantizedTensorType>(type)) {
    return op.emitOpError("expected a ranked tensor or a quantised tensor, but got ") << type;
  }
  // (W-2)
  ArrayRef<int64_t> shape = op.getShape();
  if (shape.size() != 1 && shape.size() != 2)
    return op.emitOpError("expected a vector or a matrix, but got rank ") << shape.size();
  // (W-3)
  if (ShapedType::isDynamicShape(shape) || llvm::is_contained(shape, 0))
    return op.emitOpError("expected dimensions that are known and positive, but got ") << type;
  return success();
}

/// The rows of the sources, where they are spelled out.
static LogicalResult verifySourceRows(WeightOp op) {
  std::optional<ArrayRef<int64_t>> rows = op.getSourceRows();
  if (!rows)
    return success();
  // (W-9)
  if (static_cast<int64_t>(rows->size()) != op.getNumSources())
    return op.emitOpError("expected 'source_rows' to give the rows of ")
           << op.getNumSources() << " sources, but got " << rows->size();
  // (W-10)
  int64_t sum = 0;
  for (int64_t count : *rows) {
    if (count < 1 || count > op.getRows())
      return op.emitOpError("expected each of 'source_rows' to be in 1..")
             << op.getRows() << ", but got " << count;
    sum += count;
  }
  // (W-11)
  if (sum != op.getRows())
    return op.emitOpError("expected 'source_rows' to add up to the weight's ")
           << op.getRows() << " rows, but got " << sum;
  // (W-12)
  if (op.getArrangement() == Arrangement::Interleave && !llvm::all_equal(*rows))
    return op.emitOpError("expected interleaved sources to have equally many rows");
  return success();
}

LogicalResult WeightOp::verify() {
  if (failed(verifyWeightType(*this)))
    return failure();
  // (W-4)
  if (getSources() && getSources()->empty())
    return emitOpError("expected 'sources' to name at least one tensor");
  // (W-5)
  if (getNumSources() > 1 && !isMatrix())
    return emitOpError("expected a weight of ") << getNumSources() << " sources to be a matrix";
  // (W-6)
  if (getArrangement() == Arrangement::Interleave && getNumSources() < 2)
    return emitOpError("expected interleaved weights to have at least 2 sources, but got ")
           << getNumSources();
  // (W-7)
  if (getArrangement() == Arrangement::Interleave && getRows() % getNumSources() != 0)
    return emitOpError("expected the number of interleaved sources to divide the ")
           << getRows() << " rows, but got " << getNumSources();
  if (failed(verifySourceRows(*this)))
    return failure();
  // (W-14)
  if (getShard() && getShard()->getDim() >= static_cast<int64_t>(getShape().size()))
    return emitOpError("expected the dimension of its shard to be less than the rank ")
           << getShape().size() << ", but got " << getShard()->getDim();
  // (W-8)
  int64_t offset = static_cast<int64_t>(getOffset().value_or(0));
  if (offset < 0)
    return emitOpError("expected 'offset' not to be negative, but got ") << offset;
  if (offset % LLMIR_ALIGNMENT != 0)
    return emitOpError("expected 'offset' to be a multiple of ")
           << LLMIR_ALIGNMENT << ", but got " << offset;
  return success();
}

LogicalResult LoadWeightOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  WeightOp weight = lookupWeightOrEmit(*this, "weight", getWeightAttr(), symbolTable);
  if (!weight)
    return failure();
  // (W-13)
  ShapedType output = getOutput().getType();
  if (weight.getType() != RankedTensorType::get(output.getShape(), output.getElementType()))
    return emitOpError("expected the type of ")
           << getWeightAttr() << ", " << weight.getType() << ", but got " << output;
  return success();
}
