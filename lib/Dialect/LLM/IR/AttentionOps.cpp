// Verification and inference of attention.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/AttentionOps.cpp.inc"

static ShapedType getShapedType(Value value) { return cast<ShapedType>(value.getType()); }

LogicalResult llm::verifyScoreModifiers(Operation *op, const ScoreModifiers &modifiers) {
  // (SCO-1)
  if (modifiers.sinkLogits && failed(verifyDim(op, "sink_logits", modifiers.sinkLogits, 0,
                                               modifiers.numHeads, "the number of query heads,")))
    return failure();
  // (SCO-2)
  if (modifiers.softCap && !(modifiers.softCap->convertToDouble() > 0))
    return op->emitOpError("expected 'soft_cap' to be positive, but got ")
           << modifiers.softCap->convertToDouble();
  // (SCO-3)
  if (modifiers.alibiSlopes &&
      static_cast<int64_t>(modifiers.alibiSlopes->size()) != modifiers.numHeads)
    return op->emitOpError("expected 'alibi_slopes' to have one slope for each of ")
           << modifiers.numHeads << " query heads, but got " << modifiers.alibiSlopes->size();
  // (SCO-4)
  if (modifiers.window && *modifiers.window < 1)
    return op->emitOpError("expected 'window' to be positive, but got ") << *modifiers.window;
  // (SCO-5)
  if (modifiers.numSinks && *modifiers.numSinks < 0)
    return op->emitOpError("expected 'num_sinks' not to be negative, but got ")
           << *modifiers.numSinks;
  // (SCO-6)
  if (modifiers.numSinks.value_or(0) > 0 && !modifiers.window)
    return op->emitOpError("expected 'num_sinks' only with a 'window', but got ")
           << *modifiers.numSinks;
  return success();
}

static std::optional<int32_t> toSigned(std::optional<uint32_t> value) {
  return value ? std::optional(static_cast<int32_t>(*value)) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// PagedAttentionOp
//===----------------------------------------------------------------------===//

void PagedAttentionOp::build(OpBuilder &builder, OperationState &state, Type output, Value query,
                             Value cache, Value blockTable, Value seqLens, Value cuLengths,
                             Value layerIndex, uint32_t numHeads, uint32_t headDim, APFloat scale,
                             uint32_t layer) {
  build(builder, state, output, query, cache, blockTable, seqLens, cuLengths, layerIndex,
        /*sink_logits=*/Value(), /*tree_mask=*/Value(), /*positions=*/Value(), numHeads, headDim,
        scale, layer, /*window=*/IntegerAttr(), /*num_sinks=*/IntegerAttr(),
        /*soft_cap=*/FloatAttr(), /*alibi_slopes=*/DenseF32ArrayAttr());
}

LogicalResult PagedAttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                                 ValueRange operands, DictionaryAttr,
                                                 OpaqueProperties, RegionRange,
                                                 SmallVectorImpl<Type> &types) {
  // (ATT-10)
  if (operands.size() < 2)
    return failure();
  auto query = dyn_cast<ShapedType>(operands[0].getType());
  auto cache = dyn_cast<PagedKVCacheType>(operands[1].getType());
  if (!query || !cache || !query.hasRank() || query.getRank() < 1)
    return failure();
  SmallVector<int64_t> shape(query.getShape());
  shape.back() = cache.getValueHeadDim();
  types.push_back(makeLike(query, shape, query.getElementType()));
  return success();
}

/// Window and sinks against the cache's, and what changes scores.
static LogicalResult verifyModifiers(PagedAttentionOp op) {
  PagedKVCacheType cache = op.getCache().getType();
  std::optional<int32_t> window = toSigned(op.getWindow());
  std::optional<int32_t> numSinks = toSigned(op.getNumSinks());
  // (ATT-12) A cache keeps what its own window needs, and no more.
  if (window && *window != cache.getWindow())
    return op.emitOpError("expected 'window' to be the cache's, ")
           << cache.getWindow() << ", but got " << *window;
  // (ATT-13)
  if (numSinks && *numSinks != cache.getNumSinks())
    return op.emitOpError("expected 'num_sinks' to be the cache's, ")
           << cache.getNumSinks() << ", but got " << *numSinks;
  if (cache.getWindow() > 0)
    window = static_cast<int32_t>(cache.getWindow());
  return verifyScoreModifiers(op, {static_cast<int32_t>(op.getNumHeads()), op.getSinkLogits(),
                                   window, numSinks, op.getSoftCap(), op.getAlibiSlopes()});
}

/// Tree mask and positions: one for each token of a ragged query.
static LogicalResult verifyTree(PagedAttentionOp op) {
  bool ragged = getShapedType(op.getQuery()).getRank() == 3;
  for (auto [name, value] :
       {std::pair("tree_mask", op.getTreeMask()), std::pair("positions", op.getPositions())}) {
    if (!value)
      continue;
    // (ATT-14)
    if (!ragged)
      return op.emitOpError("expected '") << name << "' only with a ragged query of rank 3";
    // (ATT-15)
    if (failed(verifyDim(op, name, value, 0, getShapedType(op.getQuery()).getDimSize(0),
                         "the number of tokens,")))
      return failure();
  }
  // (ATT-16)
  bool needsPositions = op.getCache().getType().getWindow() > 0 || op.getAlibiSlopes();
  if (op.getTreeMask() && needsPositions && !op.getPositions())
    return op.emitOpError("expected 'positions' with a 'tree_mask' and ")
           << (op.getAlibiSlopes() ? "'alibi_slopes'" : "a window")
           << ", since places in the cache are not positions";
  return success();
}

/// Heads and their sizes: query against attributes, attributes against the cache.
static LogicalResult verifyHeads(PagedAttentionOp op) {
  PagedKVCacheType cache = op.getCache().getType();
  int64_t rank = getShapedType(op.getQuery()).getRank();
  int64_t numHeads = static_cast<int32_t>(op.getNumHeads());
  int64_t headDim = static_cast<int32_t>(op.getHeadDim());
  // (ATT-1)
  if (numHeads < 1 || numHeads % cache.getNumKVHeads() != 0)
    return op.emitOpError("expected 'num_heads' to be a multiple of the cache's ")
           << cache.getNumKVHeads() << " KV heads, but got " << numHeads;
  // (ATT-2)
  if (headDim != cache.getHeadDim())
    return op.emitOpError("expected 'head_dim' to be the cache's head size ")
           << cache.getHeadDim() << ", but got " << headDim;
  // (ATT-3)
  if (failed(verifyDim(op, "query", op.getQuery(), rank - 2, numHeads, "'num_heads',")))
    return failure();
  // (ATT-4)
  return verifyDim(op, "query", op.getQuery(), rank - 1, headDim, "'head_dim',");
}

LogicalResult PagedAttentionOp::verify() {
  ShapedType query = getShapedType(getQuery());
  // (ATT-5)
  bool ragged = query.getRank() == 3;
  if (ragged && !getCuLengths())
    return emitOpError("expected 'cu_lengths' for a ragged query of rank 3");
  // (ATT-6)
  if (!ragged && getCuLengths())
    return emitOpError("expected no 'cu_lengths' for a padded query of rank 4");
  if (failed(verifyLayer(*this, getCache().getType(), static_cast<int32_t>(getLayer()),
                         getLayerIndex())) ||
      failed(verifyHeads(*this)) || failed(verifyModifiers(*this)) || failed(verifyTree(*this)))
    return failure();
  // (ATT-7)
  int64_t sequences = getShapedType(getSeqLens()).getDimSize(0);
  if (failed(verifyDim(*this, "block_table", getBlockTable(), 0, sequences,
                       "the number of sequences")))
    return failure();
  // (ATT-11)
  if (failed(verifyTableWidth(*this, getBlockTable(), getCache().getType())))
    return failure();
  // (ATT-8)
  if (!ragged)
    return verifyDim(*this, "query", getQuery(), 0, sequences, "the number of sequences");
  // (ATT-9)
  if (ShapedType::isDynamic(sequences))
    return success();
  return verifyDim(*this, "cu_lengths", getCuLengths(), 0, sequences + 1,
                   "one more than the number of sequences,");
}

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                            ValueRange operands, DictionaryAttr, OpaqueProperties,
                                            RegionRange, SmallVectorImpl<Type> &types) {
  // (DAT-1)
  if (operands.size() < 3)
    return failure();
  auto query = dyn_cast<ShapedType>(operands[0].getType());
  auto values = dyn_cast<ShapedType>(operands[2].getType());
  if (!query || !values || !query.hasRank() || !values.hasRank() || query.getRank() < 1 ||
      values.getRank() < 1)
    return failure();
  SmallVector<int64_t> shape(query.getShape());
  shape.back() = values.getShape().back();
  types.push_back(makeLike(query, shape, query.getElementType()));
  return success();
}

/// Ranks, batches, heads and head sizes of query, keys and values.
static LogicalResult verifyShapes(AttentionOp op) {
  ShapedType query = getShapedType(op.getQuery());
  ShapedType keys = getShapedType(op.getKeys());
  ShapedType values = getShapedType(op.getValues());
  int64_t rank = query.getRank();
  // (DAT-2)
  if (keys.getRank() != rank || values.getRank() != rank)
    return op.emitOpError("expected 'keys' and 'values' to have the rank of 'query', ")
           << rank << ", but got " << keys.getRank() << " and " << values.getRank();
  // (DAT-3)
  if (keys.getElementType() != values.getElementType())
    return op.emitOpError("expected 'values' to have the element type of 'keys', ")
           << keys.getElementType() << ", but got " << values.getElementType();
  // (DAT-4)
  int64_t numHeads = static_cast<int32_t>(op.getNumHeads());
  if (failed(verifyDim(op, "query", op.getQuery(), rank - 2, numHeads, "'num_heads',")))
    return failure();
  // (DAT-5)
  int64_t kvHeads = keys.getDimSize(rank - 2);
  if (numHeads < 1 || kvHeads == 0 || (!ShapedType::isDynamic(kvHeads) && numHeads % kvHeads != 0))
    return op.emitOpError("expected 'num_heads' to be a positive multiple of the ")
           << kvHeads << " heads of 'keys', but got " << numHeads;
  // (DAT-6)
  for (int64_t dim = 0; dim < rank - 1; ++dim)
    if (failed(
            verifyDim(op, "values", op.getValues(), dim, keys.getDimSize(dim), "that of 'keys',")))
      return failure();
  // (DAT-7)
  if (failed(verifyDim(op, "keys", op.getKeys(), rank - 1, query.getDimSize(rank - 1),
                       "the query's head size")))
    return failure();
  // (DAT-8)
  if (rank == 3)
    return success();
  return verifyDim(op, "keys", op.getKeys(), 0, query.getDimSize(0), "the query's batch size");
}

/// The lengths of ragged and padded sequences.
static LogicalResult verifyLengths(AttentionOp op) {
  ShapedType query = getShapedType(op.getQuery());
  bool ragged = query.getRank() == 3;
  // (DAT-9)
  if (ragged != static_cast<bool>(op.getCuLengths()))
    return op.emitOpError("expected 'cu_lengths' for a ragged query of rank 3 and only then, but "
                          "got a query of rank ")
           << query.getRank();
  if (ragged) {
    // (DAT-10)
    if (op.getKeyLengths())
      return op.emitOpError("expected 'key_lengths' only with a padded query of rank 4");
    int64_t lengths = getShapedType(op.getCuLengths()).getDimSize(0);
    // (DAT-11)
    if (op.getCuKeyLengths())
      return verifyDim(op, "cu_key_lengths", op.getCuKeyLengths(), 0, lengths,
                       "that of 'cu_lengths',");
    // (DAT-12)
    return verifyDim(op, "keys", op.getKeys(), 0, query.getDimSize(0),
                     "the number of tokens, without 'cu_key_lengths',");
  }
  // (DAT-13)
  if (op.getCuKeyLengths())
    return op.emitOpError("expected 'cu_key_lengths' only with a ragged query of rank 3");
  // (DAT-14)
  if (!op.getKeyLengths())
    return success();
  return verifyDim(op, "key_lengths", op.getKeyLengths(), 0, query.getDimSize(0),
                   "the query's batch size");
}

static LogicalResult verifyMask(AttentionOp op) {
  if (!op.getMask())
    return success();
  ShapedType query = getShapedType(op.getQuery());
  // (DAT-15)
  if (query.getRank() == 3)
    return op.emitOpError("expected a 'mask' only with a padded query of rank 4");
  // (DAT-16)
  ShapedType mask = getShapedType(op.getMask());
  int64_t expected[] = {query.getDimSize(0), query.getDimSize(2)};
  StringRef what[] = {"1 or the query's batch size", "1 or the number of query heads"};
  for (int64_t dim : {0, 1})
    if (mask.getDimSize(dim) != 1 &&
        failed(verifyDim(op, "mask", op.getMask(), dim, expected[dim], what[dim])))
      return failure();
  // (DAT-17)
  if (failed(verifyDim(op, "mask", op.getMask(), 2, query.getDimSize(1), "the number of queries")))
    return failure();
  return verifyDim(op, "mask", op.getMask(), 3, getShapedType(op.getKeys()).getDimSize(1),
                   "the number of keys");
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyShapes(*this)) || failed(verifyLengths(*this)) || failed(verifyMask(*this)))
    return failure();
  return verifyScoreModifiers(*this, {static_cast<int32_t>(getNumHeads()), getSinkLogits(),
                                      toSigned(getWindow()), toSigned(getNumSinks()), getSoftCap(),
                                      getAlibiSlopes()});
}
