// Verification and inference of attention.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/AttentionOps.cpp.inc"

static RankedTensorType getTensorType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

LogicalResult PagedAttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                                 ValueRange operands, DictionaryAttr,
                                                 OpaqueProperties, RegionRange,
                                                 SmallVectorImpl<Type> &types) {
  // (ATT-10)
  if (operands.size() < 2)
    return failure();
  auto query = dyn_cast<RankedTensorType>(operands[0].getType());
  auto cache = dyn_cast<PagedKVCacheType>(operands[1].getType());
  if (!query || !cache || query.getRank() < 1)
    return failure();
  SmallVector<int64_t> shape(query.getShape());
  shape.back() = cache.getValueHeadDim();
  types.push_back(query.clone(shape));
  return success();
}

/// Heads and their sizes: query against attributes, attributes against the cache.
static LogicalResult verifyHeads(PagedAttentionOp op) {
  PagedKVCacheType cache = op.getCache().getType();
  int64_t rank = getTensorType(op.getQuery()).getRank();
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
  RankedTensorType query = getTensorType(getQuery());
  // (ATT-5)
  bool ragged = query.getRank() == 3;
  if (ragged && !getCuLengths())
    return emitOpError("expected 'cu_lengths' for a ragged query of rank 3");
  // (ATT-6)
  if (!ragged && getCuLengths())
    return emitOpError("expected no 'cu_lengths' for a padded query of rank 4");
  if (failed(verifyLayer(*this, getCache().getType(), static_cast<int32_t>(getLayer()),
                         getLayerIndex())) ||
      failed(verifyHeads(*this)))
    return failure();
  // (ATT-7)
  int64_t sequences = getTensorType(getSeqLens()).getDimSize(0);
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
