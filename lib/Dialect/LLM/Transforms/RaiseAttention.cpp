// llm-raise-attention: attention that is written as products and a softmax becomes `llm.attention`.
// Recognising it is AttentionPattern's work; this file makes the op.

#include "AttentionPattern.h"
#include "TensorViews.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::llm {

#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class RaiseAttentionPattern : public OpInterfaceRewritePattern<linalg::LinalgOp> {
public:
  RaiseAttentionPattern(MLIRContext *context, llvm::function_ref<void()> onRaise)
      : OpInterfaceRewritePattern(context), onRaise(onRaise) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override;

private:
  llvm::function_ref<void()> onRaise;
};

class RaiseAttentionPass : public impl::RaiseAttentionPassBase<RaiseAttentionPass>,
                           public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

/// The element type of all operands and the result, where they have one that the op takes.
static Type getCommonElementType(const AttentionPattern &pattern) {
  Type element = getElementTypeOrSelf(pattern.query.tensor);
  for (const TensorView *view : {&pattern.key, &pattern.value, &pattern.result})
    if (getElementTypeOrSelf(view->tensor) != element)
      return {};
  return element.isF32() || element.isF16() || element.isBF16() ? element : Type();
}

/// `booleans` negated.
static Value invert(OpBuilder &builder, Location loc, Value booleans) {
  int64_t rank = cast<RankedTensorType>(booleans.getType()).getRank();
  Value init = tensor::EmptyOp::create(builder, loc, tensor::getMixedSizes(builder, loc, booleans),
                                       builder.getI1Type());
  SmallVector<AffineMap> maps(2, builder.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto negate = [](OpBuilder &body, Location bodyLoc, ValueRange arguments) {
    Value isTrue = arith::ConstantIntOp::create(body, bodyLoc, 1, 1);
    Value result = arith::XOrIOp::create(body, bodyLoc, arguments[0], isTrue);
    linalg::YieldOp::create(body, bodyLoc, result);
  };
  return linalg::GenericOp::create(builder, loc, init.getType(), booleans, init, maps, loops,
                                   negate)
      .getResult(0);
}

/// A mask of booleans or f32, [batch or 1, heads or 1, queries, keys]; null without one.
static Value makeMask(OpBuilder &builder, Location loc, const AttentionPattern &pattern,
                      const AtomList &heads) {
  if (!pattern.mask)
    return {};
  auto readsAny = [&](ArrayRef<int> atoms) {
    return llvm::any_of(pattern.mask->dims, [&](const AtomList &dim) {
      return llvm::any_of(pattern.space.resolve(dim),
                          [&](int atom) { return llvm::is_contained(atoms, atom); });
    });
  };
  AtomList none;
  Value mask = materializeView(builder, loc, pattern.space, *pattern.mask,
                               {readsAny(pattern.batch) ? pattern.batch : none,
                                readsAny(heads) ? heads : none, pattern.queries, pattern.keys});
  auto type = cast<RankedTensorType>(mask.getType());
  if (pattern.maskIsInverted)
    return invert(builder, loc, mask);
  if (isa<FloatType>(type.getElementType()) && !type.getElementType().isF32())
    return arith::ExtFOp::create(builder, loc, type.clone(builder.getF32Type()), mask);
  return mask;
}

/// Whether the op can have the mask: of booleans or of floats up to f32, and with known sizes where
/// it has to be repeated.
static bool hasRaisableMask(const AttentionPattern &pattern) {
  if (!pattern.mask)
    return true;
  Type element = getElementTypeOrSelf(pattern.mask->tensor);
  if (!element.isInteger(1) && !element.isF32() && !element.isF16() && !element.isBF16())
    return false;
  AtomList present, needed = pattern.queries;
  for (const AtomList &dim : pattern.mask->dims)
    present.append(pattern.space.resolve(dim));
  needed.append(pattern.keys);
  needed.append(pattern.batch);
  needed.append(pattern.head);
  needed.append(pattern.group);
  return llvm::all_of(needed, [&](int atom) {
    return llvm::is_contained(present, atom) || !ShapedType::isDynamic(pattern.space.getSize(atom));
  });
}

static Value makeAttention(OpBuilder &builder, Location loc, const AttentionPattern &pattern) {
  const IterationSpace &space = pattern.space;
  AtomList heads = pattern.head;
  heads.append(pattern.group);
  Value query = materializeView(builder, loc, space, pattern.query,
                                {pattern.batch, pattern.queries, heads, pattern.headDim});
  Value keys = materializeView(builder, loc, space, pattern.key,
                               {pattern.batch, pattern.keys, pattern.head, pattern.headDim});
  Value values = materializeView(builder, loc, space, pattern.value,
                                 {pattern.batch, pattern.keys, pattern.head, pattern.valueDim});
  Value mask = makeMask(builder, loc, pattern, heads);
  auto queryType = cast<RankedTensorType>(query.getType());
  SmallVector<int64_t> shape(queryType.getShape());
  shape.back() = cast<RankedTensorType>(values.getType()).getShape().back();
  auto integer = [&](std::optional<int64_t> value) {
    return value ? builder.getI32IntegerAttr(static_cast<int32_t>(*value)) : IntegerAttr();
  };
  return AttentionOp::create(
             builder, loc, queryType.clone(shape), query, keys, values, mask,
             /*key_lengths=*/Value(), /*cu_lengths=*/Value(), /*cu_key_lengths=*/Value(),
             /*sink_logits=*/Value(), integer(shape[2]),
             builder.getF32FloatAttr(static_cast<float>(pattern.scale)),
             pattern.causal ? builder.getUnitAttr() : UnitAttr(), integer(pattern.window),
             /*num_sinks=*/IntegerAttr(),
             pattern.softCap ? builder.getF32FloatAttr(static_cast<float>(*pattern.softCap))
                             : FloatAttr(),
             /*alibi_slopes=*/DenseF32ArrayAttr())
      .getOutput();
}

LogicalResult RaiseAttentionPattern::matchAndRewrite(linalg::LinalgOp op,
                                                     PatternRewriter &rewriter) const {
  FailureOr<AttentionPattern> pattern = matchAttention(op, [&](StringRef reason) {
    (void)rewriter.notifyMatchFailure(op, [&](Diagnostic &diagnostic) { diagnostic << reason; });
  });
  if (failed(pattern))
    return failure();
  if (!getCommonElementType(*pattern))
    return rewriter.notifyMatchFailure(op, "expected operands and result of one type, f32, f16 or "
                                           "bf16");
  AtomList heads = pattern->head;
  heads.append(pattern->group);
  if (llvm::any_of(heads,
                   [&](int atom) { return ShapedType::isDynamic(pattern->space.getSize(atom)); }))
    return rewriter.notifyMatchFailure(op, "expected the number of heads to be known");
  if (!hasRaisableMask(*pattern))
    return rewriter.notifyMatchFailure(op, "expected a mask of booleans or floats, of known sizes "
                                           "where it is repeated");
  Location loc = op.getLoc();
  TensorView output{makeAttention(rewriter, loc, *pattern),
                    {pattern->batch, pattern->queries, heads, pattern->valueDim}};
  Value result = materializeView(rewriter, loc, pattern->space, output, pattern->result.dims);
  if (result.getType() != op->getResult(0).getType())
    result = tensor::CastOp::create(rewriter, loc, op->getResult(0).getType(), result);
  rewriter.replaceOp(op, result);
  onRaise();
  return success();
}

void RaiseAttentionPass::runOnOperation() {
  RewritePatternSet patterns(&getContext());
  // Kept here: a pattern refers to it.
  auto countOne = [this] { count("attentions-raised"); };
  patterns.add<RaiseAttentionPattern>(&getContext(), countOne);
  GreedyRewriteConfig config;
  config.enableFolding(false).setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
    signalPassFailure();
}

} // namespace mlir::llm
