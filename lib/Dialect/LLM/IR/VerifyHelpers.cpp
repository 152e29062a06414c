// Checks that several op families' verifiers share: dimensions, weights by name, fused norms,
// layers.

#include "VerifyHelpers.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::llm;

int64_t llm::getNumFeatures(ShapedType type) {
  int64_t features = 1;
  for (int64_t size : type.getShape().drop_front()) {
    if (ShapedType::isDynamic(size))
      return ShapedType::kDynamic;
    // A product that no tensor can have agrees with no other number of features.
    if (llvm::MulOverflow(features, size, features))
      return std::numeric_limits<int64_t>::max();
  }
  return features;
}

ShapedType llm::makeLike(ShapedType form, ArrayRef<int64_t> shape, Type element) {
  if (isa<TensorType>(form))
    return RankedTensorType::get(shape, element);
  return MemRefType::get(shape, element);
}

LogicalResult llm::verifyDim(Operation *op, StringRef name, Value value, int64_t dim,
                             int64_t expected, StringRef what) {
  int64_t size = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (mayBeEqual(size, expected))
    return success();
  return op->emitOpError("expected dimension ")
         << dim << " of '" << name << "' to be " << what << " " << expected << ", but got " << size;
}

WeightOp llm::lookupWeightOrEmit(Operation *op, StringRef role, FlatSymbolRefAttr name,
                                 SymbolTableCollection &symbolTable) {
  // (SYM-1)
  Operation *symbol = symbolTable.lookupNearestSymbolFrom(op, name);
  if (!symbol) {
    op->emitOpError("expected '") << role << "' to name an llm.weight, but there is no " << name;
    return nullptr;
  }
  // (SYM-2)
  auto weight = dyn_cast<WeightOp>(symbol);
  if (!weight) {
    InFlightDiagnostic diagnostic = op->emitOpError("expected '")
                                    << role << "' to name an llm.weight, but " << name << " is a '"
                                    << symbol->getName() << "'";
    diagnostic.attachNote(symbol->getLoc()) << "defined here";
    return nullptr;
  }
  return weight;
}

LogicalResult llm::verifyVector(Operation *op, StringRef role, FlatSymbolRefAttr name, int64_t size,
                                SymbolTableCollection &symbolTable) {
  WeightOp weight = lookupWeightOrEmit(op, role, name, symbolTable);
  if (!weight)
    return failure();
  // (SYM-3)
  if (weight.isMatrix() || !isa<RankedTensorType>(weight.getType()))
    return op->emitOpError("expected '")
           << role << "' " << name << " to be a plain vector, but got " << weight.getType();
  // (SYM-4)
  if (!mayBeEqual(weight.getRows(), size))
    return op->emitOpError("expected '") << role << "' " << name << " to have " << size
                                         << " elements, but got " << weight.getRows();
  return success();
}

WeightOp llm::lookupMatrixOrEmit(Operation *op, StringRef role, FlatSymbolRefAttr name,
                                 int64_t cols, SymbolTableCollection &symbolTable) {
  WeightOp weight = lookupWeightOrEmit(op, role, name, symbolTable);
  if (!weight)
    return nullptr;
  // (SYM-5)
  if (!weight.isMatrix()) {
    op->emitOpError("expected '") << role << "' " << name << " to be a matrix, but got "
                                  << weight.getType();
    return nullptr;
  }
  // (SYM-6)
  if (!mayBeEqual(weight.getCols(), cols)) {
    op->emitOpError("expected '") << role << "' " << name << " to have " << cols
                                  << " columns, but got " << weight.getCols();
    return nullptr;
  }
  return weight;
}

LogicalResult llm::verifyFusedNorm(Operation *op, FlatSymbolRefAttr weight, FloatAttr epsilon) {
  // (FUS-1)
  if (!weight != !epsilon)
    return op->emitOpError("expected both of 'norm_weight' and 'norm_epsilon' or neither, but got ")
           << "only '" << (weight ? "norm_weight" : "norm_epsilon") << "'";
  // (FUS-2)
  if (epsilon && !(epsilon.getValueAsDouble() >= 0))
    return op->emitOpError("expected 'norm_epsilon' not to be negative, but got ")
           << epsilon.getValueAsDouble();
  return success();
}

LogicalResult llm::verifyActivationType(Operation *op, std::optional<Type> type, int64_t features) {
  if (!type)
    return success();
  // (FUS-3)
  if (!type->isF32() && !type->isBF16() && !type->isSignlessInteger(8))
    return op->emitOpError("expected 'activation_type' to be f32, bf16 or i8, but got ") << *type;
  // (FUS-4)
  constexpr int64_t kGroup = 32;
  if (type->isSignlessInteger(8) && !ShapedType::isDynamic(features) && features % kGroup != 0)
    return op->emitOpError("expected the number of input features to be a multiple of ")
           << kGroup << " for activations of type i8, but got " << features;
  return success();
}

LogicalResult llm::verifyLayer(Operation *op, PagedKVCacheType cache, int32_t layer,
                               Value layerIndex) {
  // (KV-1)
  if (layer < 0 || layer >= cache.getNumLayers())
    return op->emitOpError("expected 'layer' to be in 0..")
           << cache.getNumLayers() - 1 << ", the cache's layers, but got " << layer;
  // (KV-2)
  if (layerIndex && layer != 0)
    return op->emitOpError("expected the layer as an attribute or as an operand, but got both");
  return success();
}

LogicalResult llm::verifyTableWidth(Operation *op, Value table, PagedKVCacheType cache) {
  int64_t blocks = cast<ShapedType>(table.getType()).getDimSize(1);
  int64_t limit = cache.getMaxBlocksPerSequence();
  if (!ShapedType::isDynamic(blocks) && (blocks < 1 || blocks > limit))
    return op->emitOpError("expected the table to have 1 to ")
           << limit << " columns, the most blocks of a sequence, but got " << blocks;
  return success();
}
