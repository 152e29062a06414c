// Verification and inference of the ops that make, extend and read caches.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/KVCacheOps.cpp.inc"

static ShapedType getShapedType(Value value) { return cast<ShapedType>(value.getType()); }

/// Keys and values against each other and the cache: the leading dimensions are the same, and the
/// last two are heads and channels.
static LogicalResult verifyKeysAndValues(Operation *op, PagedKVCacheType cache, Value keys,
                                         Value values) {
  ShapedType keyType = getShapedType(keys);
  ShapedType valueType = getShapedType(values);
  // (KV-3)
  int64_t rank = keyType.getRank();
  if (valueType.getRank() != rank)
    return op->emitOpError("expected 'values' to have the rank of 'keys', ")
           << rank << ", but got " << valueType.getRank();
  // (KV-4)
  if (keyType.getElementType() != valueType.getElementType())
    return op->emitOpError("expected 'values' to have the element type of 'keys', ")
           << keyType.getElementType() << ", but got " << valueType.getElementType();
  // (KV-5)
  for (int64_t dim = 0; dim < rank - 2; ++dim)
    if (failed(verifyDim(op, "values", values, dim, keyType.getDimSize(dim), "that of 'keys',")))
      return failure();
  // (KV-6)
  StringRef heads = "the cache's number of KV heads";
  if (failed(verifyDim(op, "keys", keys, rank - 2, cache.getNumKVHeads(), heads)) ||
      failed(verifyDim(op, "values", values, rank - 2, cache.getNumKVHeads(), heads)))
    return failure();
  // (KV-7)
  if (failed(verifyDim(op, "keys", keys, rank - 1, cache.getHeadDim(), "the cache's head size")))
    return failure();
  return verifyDim(op, "values", values, rank - 1, cache.getValueHeadDim(),
                   "the cache's value head size");
}

//===----------------------------------------------------------------------===//
// FreeKVCacheOp, FreeSequencesOp, SequenceLengthsOp
//===----------------------------------------------------------------------===//

OpOperand &FreeKVCacheOp::getConsumedCache() { return getCacheMutable(); }

OpOperand &FreeSequencesOp::getConsumedCache() { return getCacheMutable(); }

LogicalResult SequenceLengthsOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                                  ValueRange operands, DictionaryAttr,
                                                  OpaqueProperties, RegionRange,
                                                  SmallVectorImpl<Type> &types) {
  // (KV-19)
  auto ids = operands.size() == 2 ? dyn_cast<ShapedType>(operands[1].getType()) : ShapedType();
  if (!ids || !ids.hasRank())
    return failure();
  types.push_back(makeLike(ids, ids.getShape(), ids.getElementType()));
  return success();
}

//===----------------------------------------------------------------------===//
// AppendKVOp
//===----------------------------------------------------------------------===//

OpOperand &AppendKVOp::getConsumedCache() { return getCacheMutable(); }

LogicalResult AppendKVOp::inferReturnTypes(MLIRContext *context, std::optional<Location>,
                                           ValueRange operands, DictionaryAttr, OpaqueProperties,
                                           RegionRange, SmallVectorImpl<Type> &types) {
  // (KV-17)
  if (operands.size() < 2)
    return failure();
  auto keys = dyn_cast<ShapedType>(operands[1].getType());
  if (!keys || !keys.hasRank() || (keys.getRank() != 3 && keys.getRank() != 4))
    return failure();
  int64_t tokens = keys.getRank() == 4 ? keys.getDimSize(1) : 1;
  types.push_back(operands[0].getType());
  types.push_back(makeLike(keys, {keys.getDimSize(0), tokens}, IntegerType::get(context, 32)));
  return success();
}

LogicalResult AppendKVOp::verify() {
  PagedKVCacheType cache = getCache().getType();
  // (KV-8)
  if (static_cast<int32_t>(getBlockSize()) != cache.getBlockSize())
    return emitOpError("expected 'block_size' to be the cache's, ")
           << cache.getBlockSize() << ", but got " << static_cast<int32_t>(getBlockSize());
  // (KV-9)
  if (static_cast<int32_t>(getMaxSeqLen()) != cache.getMaxSeqLen())
    return emitOpError("expected 'max_seq_len' to be the cache's, ")
           << cache.getMaxSeqLen() << ", but got " << static_cast<int32_t>(getMaxSeqLen());
  if (failed(verifyLayer(*this, cache, static_cast<int32_t>(getLayer()), getLayerIndex())) ||
      failed(verifyKeysAndValues(*this, cache, getKeys(), getValues())))
    return failure();
  // (KV-10)
  return verifyDim(*this, "seq_ids", getSeqIds(), 0, getShapedType(getKeys()).getDimSize(0),
                   "the batch size of 'keys',");
}

//===----------------------------------------------------------------------===//
// ReserveKVOp
//===----------------------------------------------------------------------===//

OpOperand &ReserveKVOp::getConsumedCache() { return getCacheMutable(); }

/// The product of two sizes; dynamic if one of them is.
static int64_t multiplySizes(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) ? ShapedType::kDynamic : a * b;
}

LogicalResult ReserveKVOp::inferReturnTypes(MLIRContext *context, std::optional<Location>,
                                            ValueRange operands, DictionaryAttr attributes,
                                            OpaqueProperties properties, RegionRange regions,
                                            SmallVectorImpl<Type> &types) {
  // (KV-21)
  if (operands.size() < 2)
    return failure();
  auto ids = dyn_cast<ShapedType>(operands[1].getType());
  if (!ids || !ids.hasRank() || ids.getRank() != 1)
    return failure();
  std::optional<uint32_t> known = Adaptor(operands, attributes, properties, regions).getTokens();
  int64_t tokens = known ? static_cast<int32_t>(*known) : ShapedType::kDynamic;
  if (tokens < 0)
    tokens = ShapedType::kDynamic; // Which the verifier refuses.
  int64_t batch = ids.getDimSize(0);
  Type element = IntegerType::get(context, 32);
  types.push_back(operands[0].getType());
  types.push_back(makeLike(ids, {multiplySizes(batch, tokens)}, element));
  types.push_back(makeLike(ids, {batch, tokens}, element));
  return success();
}

bool ReserveKVOp::isCompatibleReturnTypes(TypeRange inferred, TypeRange actual) {
  if (inferred.size() != actual.size())
    return false;
  return llvm::all_of(llvm::zip_equal(inferred, actual), [](auto pair) {
    auto [left, right] = pair;
    auto shape = dyn_cast<ShapedType>(left);
    if (!shape)
      return left == right;
    auto other = dyn_cast<ShapedType>(right);
    return other && isa<TensorType>(left) == isa<TensorType>(right) &&
           succeeded(verifyCompatibleShape(left, right));
  });
}

LogicalResult ReserveKVOp::verify() {
  // (KV-22)
  if (getTokens().has_value() == bool(getTokenCount()))
    return emitOpError("expected the number of tokens as an attribute or as an operand, but got ")
           << (getTokenCount() ? "both" : "neither");
  // (KV-23)
  if (getTokens() && static_cast<int32_t>(*getTokens()) < 0)
    return emitOpError("expected 'tokens' not to be negative, but got ")
           << static_cast<int32_t>(*getTokens());
  return success();
}

//===----------------------------------------------------------------------===//
// StoreKVOp
//===----------------------------------------------------------------------===//

OpOperand &StoreKVOp::getConsumedCache() { return getCacheMutable(); }

LogicalResult StoreKVOp::verify() {
  PagedKVCacheType cache = getCache().getType();
  if (failed(verifyLayer(*this, cache, static_cast<int32_t>(getLayer()), getLayerIndex())) ||
      failed(verifyKeysAndValues(*this, cache, getKeys(), getValues())))
    return failure();
  // (KV-11)
  ShapedType keys = getShapedType(getKeys());
  int64_t tokens = keys.getDimSize(0);
  if (keys.getRank() == 4)
    tokens = multiplySizes(tokens, keys.getDimSize(1));
  return verifyDim(*this, "slots", getSlots(), 0, tokens, "the number of tokens of 'keys',");
}

//===----------------------------------------------------------------------===//
// RopeStoreKVOp
//===----------------------------------------------------------------------===//

OpOperand &RopeStoreKVOp::getConsumedCache() { return getCacheMutable(); }

LogicalResult RopeStoreKVOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                              ValueRange operands, DictionaryAttr, OpaqueProperties,
                                              RegionRange, SmallVectorImpl<Type> &types) {
  // (KV-24)
  constexpr size_t kBeforeQueries = 4;
  if (operands.size() <= kBeforeQueries)
    return failure();
  types.push_back(operands[0].getType());
  llvm::append_range(types, operands.drop_front(kBeforeQueries).drop_back().getTypes());
  return success();
}

LogicalResult RopeStoreKVOp::verify() {
  PagedKVCacheType cache = getCache().getType();
  if (failed(verifyLayer(*this, cache, static_cast<int32_t>(getLayer()), Value())) ||
      failed(verifyKeysAndValues(*this, cache, getKeys(), getValues())))
    return failure();
  // (KV-11)
  if (failed(verifyDim(*this, "slots", getSlots(), 0, getShapedType(getKeys()).getDimSize(0),
                       "the number of tokens of 'keys',")))
    return failure();
  Rotation rotation = {static_cast<int32_t>(getRotaryDim()), getTheta(), getScalingAttr(),
                       getFrequencyFactorsAttr(), getPositions()};
  if (failed(verifyRotation(*this, rotation, "keys", getKeys())))
    return failure();
  return verifyRotation(*this, rotation, "queries", getQueries());
}

LogicalResult RopeStoreKVOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  if (!getFrequencyFactorsAttr())
    return success();
  return verifyVector(*this, "frequency_factors", getFrequencyFactorsAttr(), getRotaryDim() / 2,
                      symbolTable);
}

//===----------------------------------------------------------------------===//
// LookupKVOp
//===----------------------------------------------------------------------===//

LogicalResult LookupKVOp::verify() {
  PagedKVCacheType cache = getCache().getType();
  if (failed(verifyLayer(*this, cache, static_cast<int32_t>(getLayer()), getLayerIndex())))
    return failure();
  // (KV-12)
  if (failed(verifyDim(*this, "block_table", getBlockTable(), 0,
                       getShapedType(getSeqLens()).getDimSize(0), "the number of sequences")))
    return failure();
  // (KV-16)
  if (failed(verifyTableWidth(*this, getBlockTable(), cache)))
    return failure();
  if (failed(verifyKeysAndValues(*this, cache, getKeys(), getValues())))
    return failure();
  // (KV-13)
  if (failed(verifyDim(*this, "keys", getKeys(), 0, getShapedType(getSeqLens()).getDimSize(0),
                       "the number of sequences")))
    return failure();
  // (KV-14)
  Type element = getShapedType(getKeys()).getElementType();
  if (element != cache.getElementType())
    return emitOpError("expected results of the cache's element type ")
           << cache.getElementType() << ", but got " << element;
  return success();
}

//===----------------------------------------------------------------------===//
// BlockTableOp
//===----------------------------------------------------------------------===//

LogicalResult BlockTableOp::verify() {
  // (KV-15)
  if (failed(verifyDim(*this, "table", getTable(), 0, getShapedType(getSeqIds()).getDimSize(0),
                       "the number of sequences")))
    return failure();
  // (KV-16)
  return verifyTableWidth(*this, getTable(), getCache().getType());
}
