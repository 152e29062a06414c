// llm-separate-kv-allocation: the host's part of an append (finding blocks) apart from the device's
// (writing keys and values).

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llmir/Dialect/LLM/Transforms/Patterns.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::llm {

#define GEN_PASS_DEF_SEPARATEKVALLOCATIONPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

struct SeparateAppend : OpRewritePattern<AppendKVOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AppendKVOp op, PatternRewriter &rewriter) const override;
};

class SeparateKVAllocationPass
    : public impl::SeparateKVAllocationPassBase<SeparateKVAllocationPass>,
      public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

/// How many tokens each sequence gets: known, or a value.
static OpFoldResult getTokens(AppendKVOp op, PatternRewriter &rewriter) {
  auto keys = cast<ShapedType>(op.getKeys().getType());
  int64_t tokens = keys.getRank() == 4 ? keys.getDimSize(1) : 1;
  if (!ShapedType::isDynamic(tokens))
    return rewriter.getI32IntegerAttr(static_cast<int32_t>(tokens));
  Value dim = arith::ConstantIndexOp::create(rewriter, op.getLoc(), 1);
  if (isa<MemRefType>(keys))
    return memref::DimOp::create(rewriter, op.getLoc(), op.getKeys(), dim).getResult();
  return tensor::DimOp::create(rewriter, op.getLoc(), op.getKeys(), dim).getResult();
}

/// The type of the slots of a batch whose blocks have type `blocks`.
static Type getSlotsType(ShapedType blocks) {
  int64_t slots = blocks.hasStaticShape() ? blocks.getNumElements() : int64_t(ShapedType::kDynamic);
  if (isa<MemRefType>(blocks))
    return MemRefType::get({slots}, blocks.getElementType());
  return RankedTensorType::get({slots}, blocks.getElementType());
}

LogicalResult SeparateAppend::matchAndRewrite(AppendKVOp op, PatternRewriter &rewriter) const {
  OpFoldResult tokens = getTokens(op, rewriter);
  auto blocks = cast<ShapedType>(op.getBlockIndices().getType());
  Type types[] = {op.getNewCache().getType(), getSlotsType(blocks), blocks};
  auto reserve = ReserveKVOp::create(rewriter, op.getLoc(), types, op.getCache(), op.getSeqIds(),
                                     dyn_cast<Value>(tokens),
                                     dyn_cast_or_null<IntegerAttr>(dyn_cast<Attribute>(tokens)));
  auto store =
      StoreKVOp::create(rewriter, op.getLoc(), types[0], reserve.getNewCache(), op.getKeys(),
                        op.getValues(), reserve.getSlots(), op.getLayerIndex(), op.getLayer());
  if (isa<MemRefType>(blocks))
    memref::DeallocOp::create(rewriter, op.getLoc(), reserve.getSlots());
  rewriter.replaceOp(op, {store.getNewCache(), reserve.getBlockIndices()});
  return success();
}

void populateSeparateKVAllocationPatterns(RewritePatternSet &patterns) {
  patterns.add<SeparateAppend>(patterns.getContext());
}

void SeparateKVAllocationPass::runOnOperation() {
  getOperation()->walk([&](AppendKVOp) { count("appends-separated"); });
  RewritePatternSet patterns(&getContext());
  populateSeparateKVAllocationPatterns(patterns);
  walkAndApplyPatterns(getOperation(), std::move(patterns));
}

} // namespace mlir::llm
