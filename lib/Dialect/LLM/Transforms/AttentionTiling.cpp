// Tiling of attention. Padded dense attention is cut over the batch, over its tokens, and over KV
// heads with the query heads that share them; ragged dense attention over KV heads; padded
// attention to a paged cache over the batch, whose rows of the block table are what a tile needs.

#include "TileSlices.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::llm;

namespace {

int64_t getRank(Value value) { return cast<ShapedType>(value.getType()).getRank(); }

/// `a + b`, folded where it is a constant.
OpFoldResult add(OpBuilder &builder, Location loc, OpFoldResult a, OpFoldResult b) {
  AffineExpr x = builder.getAffineSymbolExpr(0), y = builder.getAffineSymbolExpr(1);
  return affine::makeComposedFoldedAffineApply(builder, loc, x + y, {a, b});
}

OpFoldResult multiply(OpBuilder &builder, Location loc, OpFoldResult a, int64_t factor) {
  return affine::makeComposedFoldedAffineApply(builder, loc,
                                               builder.getAffineSymbolExpr(0) * factor, {a});
}

/// Whether `size` items from `offset` are all of dimension `dim` of `value`, as far as one can see.
bool coversDim(Value value, int64_t dim, OpFoldResult offset, OpFoldResult size) {
  if (!isZeroInteger(offset))
    return false;
  int64_t all = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return *constant == all;
  auto measured = dyn_cast_or_null<tensor::DimOp>(cast<Value>(size).getDefiningOp());
  return measured && measured.getSource() == value && measured.getConstantIndex() == dim;
}

/// The interface's methods that follow from the others, for ops with one result.
template <typename Model, typename OpTy>
struct OneResultTiling : public TilingInterface::ExternalModel<Model, OpTy> {
  FailureOr<TilingResult> generateResultTileValue(Operation *op, OpBuilder &builder, unsigned,
                                                  ArrayRef<OpFoldResult> offsets,
                                                  ArrayRef<OpFoldResult> sizes) const {
    const auto *model = static_cast<const Model *>(this);
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    if (failed(model->getIterationDomainTileFromResultTile(op, builder, 0, offsets, sizes,
                                                           domainOffsets, domainSizes)))
      return failure();
    return model->getTiledImplementation(op, builder, domainOffsets, domainSizes);
  }
};

//===----------------------------------------------------------------------===//
// Dense attention
//===----------------------------------------------------------------------===//

/// A part of dense attention.
struct AttentionTile {
  OpFoldResult batchOffset, batchSize;   ///< of the padded form
  OpFoldResult tokenOffset, tokenSize;   ///< of the padded form
  OpFoldResult kvHeadOffset, kvHeadSize; ///< KV heads
};

class AttentionCutter {
public:
  AttentionCutter(AttentionOp op, OpBuilder &builder, ArrayRef<OpFoldResult> offsets,
                  ArrayRef<OpFoldResult> sizes)
      : op(op), builder(builder), loc(op.getLoc()), isPadded(getRank(op.getQuery()) == 4) {
    if (isPadded)
      tile = {offsets[0], sizes[0], offsets[1], sizes[1], offsets[2], sizes[2]};
    else
      tile = {{}, {}, {}, {}, offsets[0], sizes[0]};
  }

  /// Whether the tile is an attention of its own.
  bool canCut() const;
  TilingResult cut();
  /// The part of the output that the tile is.
  TileSlice sliceOfOutput();

private:
  TileSlice sliceOfQueries();
  int64_t headDim() const { return getRank(op.getQuery()) - 2; }
  int64_t getNumKVHeads() const {
    return cast<ShapedType>(op.getKeys().getType()).getDimSize(headDim());
  }
  int64_t getGroupSize() const { return op.getNumHeads() / getNumKVHeads(); }
  bool hasAllHeads() const {
    return coversDim(op.getKeys(), headDim(), tile.kvHeadOffset, tile.kvHeadSize);
  }
  bool hasAllTokens() const {
    return !isPadded || coversDim(op.getQuery(), 1, tile.tokenOffset, tile.tokenSize);
  }
  OpFoldResult countSeenKeys();
  TileSlice sliceOfKeys(Value tensor, OpFoldResult numKeys);
  TileSlice sliceOfMask(OpFoldResult numKeys);
  Value take(Value tensor, const TileSlice &slice);

  mutable AttentionOp op; // a handle, whose accessors are not const
  OpBuilder &builder;
  Location loc;
  bool isPadded;
  AttentionTile tile;
  SmallVector<Operation *> slices;
};

bool AttentionCutter::canCut() const {
  if (hasBuffers(op) || ShapedType::isDynamic(getNumKVHeads()))
    return false;
  // Attributes have one number, and slopes one number a head.
  if (!hasAllHeads() && (!getConstantIntValue(tile.kvHeadSize) || op.getAlibiSlopes()))
    return false;
  if (hasAllTokens())
    return true;
  // A token's position is counted from the last key. Causal tokens see no key after the tile's last
  // one, so the keys can end there; the ends of `key_lengths` are numbers in a tensor.
  bool hasPositions = op.getCausal() || op.getWindow() || op.getAlibiSlopes();
  return !hasPositions || (op.getCausal() && !op.getKeyLengths());
}

Value AttentionCutter::take(Value tensor, const TileSlice &slice) {
  slices.push_back(extractSlice(builder, loc, tensor, slice));
  return slices.back()->getResult(0);
}

TileSlice AttentionCutter::sliceOfQueries() {
  TileSlice slice = TileSlice::whole(builder, loc, op.getQuery());
  if (isPadded) {
    slice.restrict(0, tile.batchOffset, tile.batchSize);
    slice.restrict(1, tile.tokenOffset, tile.tokenSize);
  }
  slice.restrict(headDim(), multiply(builder, loc, tile.kvHeadOffset, getGroupSize()),
                 multiply(builder, loc, tile.kvHeadSize, getGroupSize()));
  return slice;
}

/// The queries' part, with the channels of values. (The result cannot be asked: it is replaced.)
TileSlice AttentionCutter::sliceOfOutput() {
  TileSlice slice = sliceOfQueries();
  slice.sizes.back() = getSize(builder, loc, op.getValues(), headDim() + 1);
  return slice;
}

/// How many keys, from the first, the tile's tokens may see.
OpFoldResult AttentionCutter::countSeenKeys() {
  OpFoldResult keys = getSize(builder, loc, op.getKeys(), isPadded ? 1 : 0);
  if (hasAllTokens() || !op.getCausal())
    return keys;
  OpFoldResult tokens = getSize(builder, loc, op.getQuery(), 1);
  OpFoldResult end = add(builder, loc, tile.tokenOffset, tile.tokenSize);
  AffineExpr k = builder.getAffineSymbolExpr(0), q = builder.getAffineSymbolExpr(1),
             e = builder.getAffineSymbolExpr(2);
  auto map =
      AffineMap::get(0, 3, {builder.getAffineConstantExpr(0), k - q + e}, builder.getContext());
  return affine::makeComposedFoldedAffineMax(builder, loc, map, {keys, tokens, end});
}

TileSlice AttentionCutter::sliceOfKeys(Value tensor, OpFoldResult numKeys) {
  TileSlice slice = TileSlice::whole(builder, loc, tensor);
  if (isPadded)
    slice.restrict(0, tile.batchOffset, tile.batchSize);
  slice.restrict(headDim() - 1, builder.getIndexAttr(0), numKeys);
  slice.restrict(headDim(), tile.kvHeadOffset, tile.kvHeadSize);
  return slice;
}

/// The mask's batch and heads are the query's, or one for all.
TileSlice AttentionCutter::sliceOfMask(OpFoldResult numKeys) {
  TileSlice slice = TileSlice::whole(builder, loc, op.getMask());
  TileSlice queries = sliceOfQueries();
  auto type = cast<ShapedType>(op.getMask().getType());
  if (type.getDimSize(0) != 1)
    slice.restrict(0, queries.offsets[0], queries.sizes[0]);
  if (type.getDimSize(1) != 1)
    slice.restrict(1, queries.offsets[2], queries.sizes[2]);
  slice.restrict(2, queries.offsets[1], queries.sizes[1]);
  slice.restrict(3, builder.getIndexAttr(0), numKeys);
  return slice;
}

TilingResult AttentionCutter::cut() {
  OpFoldResult numKeys = countSeenKeys();
  TileSlice queries = sliceOfQueries();
  SmallVector<Value> operands = {take(op.getQuery(), queries),
                                 take(op.getKeys(), sliceOfKeys(op.getKeys(), numKeys)),
                                 take(op.getValues(), sliceOfKeys(op.getValues(), numKeys))};
  if (op.getMask())
    operands.push_back(take(op.getMask(), sliceOfMask(numKeys)));
  if (Value lengths = op.getKeyLengths()) {
    TileSlice slice = TileSlice::whole(builder, loc, lengths);
    slice.restrict(0, tile.batchOffset, tile.batchSize);
    operands.push_back(take(lengths, slice));
  }
  for (Value lengths : {op.getCuLengths(), op.getCuKeyLengths()})
    if (lengths)
      operands.push_back(lengths);
  if (Value sinks = op.getSinkLogits()) {
    TileSlice slice = TileSlice::whole(builder, loc, sinks);
    slice.restrict(0, queries.offsets[headDim()], queries.sizes[headDim()]);
    operands.push_back(take(sinks, slice));
  }
  Type type = withSizes(cast<RankedTensorType>(op.getOutput().getType()), sliceOfOutput().sizes);
  auto tiled = cast<AttentionOp>(mlir::clone(builder, op, {type}, operands));
  if (std::optional<int64_t> kvHeads = getConstantIntValue(tile.kvHeadSize))
    tiled.setNumHeads(static_cast<uint32_t>(*kvHeads * getGroupSize()));
  return {{tiled}, {tiled.getOutput()}, slices};
}

struct AttentionTiling : public OneResultTiling<AttentionTiling, AttentionOp> {
  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *op) const {
    bool isPadded = getRank(cast<AttentionOp>(op).getQuery()) == 4;
    return SmallVector<utils::IteratorType>(isPadded ? 3 : 1, utils::IteratorType::parallel);
  }

  SmallVector<Range> getIterationDomain(Operation *op, OpBuilder &builder) const {
    auto attention = cast<AttentionOp>(op);
    int64_t rank = getRank(attention.getQuery());
    SmallVector<Range> domain;
    auto addRange = [&](Value value, int64_t dim) {
      domain.push_back({builder.getIndexAttr(0), getSize(builder, op->getLoc(), value, dim),
                        builder.getIndexAttr(1)});
    };
    if (rank == 4) {
      addRange(attention.getQuery(), 0);
      addRange(attention.getQuery(), 1);
    }
    addRange(attention.getKeys(), rank - 2);
    return domain;
  }

  FailureOr<TilingResult> getTiledImplementation(Operation *op, OpBuilder &builder,
                                                 ArrayRef<OpFoldResult> offsets,
                                                 ArrayRef<OpFoldResult> sizes) const {
    AttentionCutter cutter(cast<AttentionOp>(op), builder, offsets, sizes);
    if (!cutter.canCut())
      return failure();
    return cutter.cut();
  }

  LogicalResult getResultTilePosition(Operation *op, OpBuilder &builder, unsigned,
                                      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                      SmallVector<OpFoldResult> &resultOffsets,
                                      SmallVector<OpFoldResult> &resultSizes) const {
    AttentionCutter cutter(cast<AttentionOp>(op), builder, offsets, sizes);
    if (!cutter.canCut())
      return failure();
    TileSlice slice = cutter.sliceOfOutput();
    resultOffsets = std::move(slice.offsets);
    resultSizes = std::move(slice.sizes);
    return success();
  }

  /// Only of all heads and channels.
  LogicalResult
  getIterationDomainTileFromResultTile(Operation *op, OpBuilder &builder, unsigned,
                                       ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                       SmallVectorImpl<OpFoldResult> &domainOffsets,
                                       SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto attention = cast<AttentionOp>(op);
    int64_t rank = getRank(attention.getQuery());
    for (int64_t dim : {rank - 2, rank - 1})
      if (!coversDim(op->getResult(0), dim, offsets[dim], sizes[dim]))
        return failure();
    if (rank == 3 && !coversDim(op->getResult(0), 0, offsets[0], sizes[0]))
      return failure();
    if (rank == 4) {
      domainOffsets.assign({offsets[0], offsets[1]});
      domainSizes.assign({sizes[0], sizes[1]});
    }
    domainOffsets.push_back(builder.getIndexAttr(0));
    domainSizes.push_back(getSize(builder, op->getLoc(), attention.getKeys(), rank - 2));
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Attention to a paged cache
//===----------------------------------------------------------------------===//

struct PagedAttentionTiling : public OneResultTiling<PagedAttentionTiling, PagedAttentionOp> {
  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *) const {
    return {utils::IteratorType::parallel};
  }

  SmallVector<Range> getIterationDomain(Operation *op, OpBuilder &builder) const {
    Value lengths = cast<PagedAttentionOp>(op).getSeqLens();
    return {{builder.getIndexAttr(0), getSize(builder, op->getLoc(), lengths, 0),
             builder.getIndexAttr(1)}};
  }

  /// The tokens of some ragged sequences are known only in the step.
  static bool canCut(Operation *op) {
    return !hasBuffers(op) && getRank(cast<PagedAttentionOp>(op).getQuery()) == 4;
  }

  FailureOr<TilingResult> getTiledImplementation(Operation *op, OpBuilder &builder,
                                                 ArrayRef<OpFoldResult> offsets,
                                                 ArrayRef<OpFoldResult> sizes) const {
    if (!canCut(op))
      return failure();
    auto attention = cast<PagedAttentionOp>(op);
    SmallVector<Operation *> slices;
    SmallVector<Value> operands(op->getOperands());
    for (OpOperand *operand : {&attention.getQueryMutable(), &attention.getBlockTableMutable(),
                               &attention.getSeqLensMutable()}) {
      TileSlice slice = TileSlice::whole(builder, op->getLoc(), operand->get());
      slice.restrict(0, offsets[0], sizes[0]);
      slices.push_back(extractSlice(builder, op->getLoc(), operand->get(), slice));
      operands[operand->getOperandNumber()] = slices.back()->getResult(0);
    }
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = getConstantIntValue(sizes[0]).value_or(ShapedType::kDynamic);
    Operation *tiled = mlir::clone(builder, op, {type.clone(shape)}, operands);
    return TilingResult{{tiled}, {tiled->getResult(0)}, slices};
  }

  LogicalResult getResultTilePosition(Operation *op, OpBuilder &builder, unsigned,
                                      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                      SmallVector<OpFoldResult> &resultOffsets,
                                      SmallVector<OpFoldResult> &resultSizes) const {
    if (!canCut(op))
      return failure();
    auto attention = cast<PagedAttentionOp>(op);
    TileSlice slice = TileSlice::whole(builder, op->getLoc(), attention.getQuery());
    slice.restrict(0, offsets[0], sizes[0]);
    slice.sizes.back() = builder.getIndexAttr(attention.getCache().getType().getValueHeadDim());
    resultOffsets = std::move(slice.offsets);
    resultSizes = std::move(slice.sizes);
    return success();
  }

  /// Only of all tokens, heads and channels of some sequences.
  LogicalResult
  getIterationDomainTileFromResultTile(Operation *op, OpBuilder &, unsigned,
                                       ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                       SmallVectorImpl<OpFoldResult> &domainOffsets,
                                       SmallVectorImpl<OpFoldResult> &domainSizes) const {
    for (int64_t dim = 1; dim < getRank(op->getResult(0)); ++dim)
      if (!coversDim(op->getResult(0), dim, offsets[dim], sizes[dim]))
        return failure();
    domainOffsets.assign({offsets[0]});
    domainSizes.assign({sizes[0]});
    return success();
  }
};

} // namespace

void llm::attachAttentionTiling(MLIRContext *context) {
  AttentionOp::attachInterface<AttentionTiling>(*context);
  PagedAttentionOp::attachInterface<PagedAttentionTiling>(*context);
}
