// llm-shard-model: tensor parallelism of a step. Starts from attention and gated networks, whose
// heads and features are independent of each other, and divides what gives and reads them. What
// each rank gets of a weight is llm-lower-sharded-linear's matter.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::llm {

#define GEN_PASS_DEF_SHARDMODELPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

/// Divides one step.
class StepSharder {
public:
  StepSharder(func::FuncOp step, int64_t shards) : step(step), shards(shards) {}

  /// Finds what is to be divided, or says at an op why it cannot be.
  LogicalResult plan();
  /// Divides it.
  void apply();

  size_t numProjections() const { return byOutput.size() + byInput.size(); }
  int64_t numCaches() const { return caches; }

private:
  LogicalResult planOp(Operation *op);
  LogicalResult planAttention(PagedAttentionOp op);
  LogicalResult divideProducer(Operation *user, Value value);
  LogicalResult divide(Operation *op, Value value);
  LogicalResult planUse(OpOperand &use);
  LogicalResult checkOutputSplit(LinearOp op);
  LogicalResult checkInputSplit(LinearOp op);
  void divideCaches();
  void replace(LinearOp op, ShardSplit split);

  func::FuncOp step;
  int64_t shards;
  Value context;
  /// Values of which each rank has a part: heads, or features, of dimension 1.
  llvm::SetVector<Value> divided;
  llvm::SetVector<Operation *> byOutput, byInput;
  int64_t caches = 0;
};

class ShardModelPass : public impl::ShardModelPassBase<ShardModelPass>, public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

//===--- What is divided ----------------------------------------------------------------------===//

/// Notes that ranks have parts of `value`, which `op` gives or reads, if they divide it.
LogicalResult StepSharder::divide(Operation *op, Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return op->emitOpError("expected tensors, but got ") << value.getType();
  int64_t size = type.getRank() < 2 ? ShapedType::kDynamic : type.getDimSize(1);
  if (ShapedType::isDynamic(size) || size % shards != 0)
    return op->emitOpError("expected ")
           << shards << " ranks to divide dimension 1 of " << type << " among them";
  divided.insert(value);
  return success();
}

/// Divides a value and what it is made of, down to the projection.
LogicalResult StepSharder::divideProducer(Operation *user, Value value) {
  if (divided.contains(value))
    return success();
  if (failed(divide(user, value)))
    return failure();
  Operation *producer = value.getDefiningOp();
  if (auto rope = dyn_cast_or_null<RopeOp>(producer))
    return divideProducer(rope, rope.getInputs()[cast<OpResult>(value).getResultNumber()]);
  auto linear = dyn_cast_or_null<LinearOp>(producer);
  if (!linear)
    return user->emitOpError("expected its operands to come from projections (llm.linear), which "
                             "can be divided among ")
           << shards << " ranks";
  byOutput.insert(linear);
  return success();
}

LogicalResult StepSharder::planAttention(PagedAttentionOp op) {
  auto cache = cast<PagedKVCacheType>(op.getCache().getType());
  if (cache.getNumKVHeads() % shards != 0)
    return op.emitOpError("expected ") << shards << " ranks to divide the " << cache.getNumKVHeads()
                                       << " KV heads of its cache among them";
  if (op.getSinkLogits() || op.getAlibiSlopes())
    return op.emitOpError("expected no sink logits and no slopes of heads in a step that is "
                          "divided among ranks");
  if (failed(divideProducer(op, op.getQuery())))
    return failure();
  return divide(op, op.getOutput());
}

LogicalResult StepSharder::planOp(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<PagedAttentionOp>([&](auto attention) { return planAttention(attention); })
      .Case<StoreKVOp>([&](auto store) {
        return failure(failed(divideProducer(op, store.getKeys())) ||
                       failed(divideProducer(op, store.getValues())));
      })
      .Case<SwiGLUOp>([&](auto gated) {
        return failure(failed(divideProducer(op, gated.getGate())) ||
                       failed(divideProducer(op, gated.getUp())) ||
                       failed(divide(op, gated.getOutput())));
      })
      .Case<LinearOp>([&](auto linear) {
        if (linear.getEpilogue() == Epilogue::None)
          return success();
        byOutput.insert(op);
        return divide(op, linear.getOutputs().front());
      })
      .Default(success());
}

/// Whether a reader of a divided value can do with a part; projections then add theirs up.
LogicalResult StepSharder::planUse(OpOperand &use) {
  Operation *user = use.getOwner();
  if (auto linear = dyn_cast<LinearOp>(user); linear && use.getOperandNumber() == 0) {
    byInput.insert(user);
    return success();
  }
  bool isPerHead = isa<RopeOp, StoreKVOp, SwiGLUOp>(user) ||
                   (isa<PagedAttentionOp>(user) && use.getOperandNumber() == 0);
  if (isPerHead)
    return success();
  return user->emitOpError("cannot work on a rank's part of ") << use.get().getType();
}

LogicalResult StepSharder::checkOutputSplit(LinearOp op) {
  if (op.getOutputs().size() == 1 && !op.getResidual())
    return success();
  return op.emitOpError("expected a projection of one result and no residual to divide among ")
         << shards << " ranks; shard before projections are fused";
}

LogicalResult StepSharder::checkInputSplit(LinearOp op) {
  if (byOutput.contains(op))
    return op.emitOpError("cannot have both its input and its output divided among ranks");
  if (op.getOutputs().size() != 1 || op.getNormWeightAttr())
    return op.emitOpError("expected a projection of one result and no norm to add up over ranks");
  WeightOp weight = lookupWeight(op, op.getWeightAttr());
  auto type = dyn_cast<QuantizedTensorType>(weight.getType());
  int64_t group = type && type.getAxis() == 1 && type.getGroupSize() > 0 ? type.getGroupSize() : 1;
  int64_t columns = weight.getCols() / shards;
  if (columns % group != 0)
    return op.emitOpError("expected each of ")
           << shards << " ranks to get whole groups of " << group << " of the " << weight.getCols()
           << " columns of " << op.getWeightAttr() << ", but each would get " << columns;
  return success();
}

LogicalResult StepSharder::plan() {
  if (step.getNumArguments() == 0 || !isa<StepContextType>(step.getArgument(0).getType()))
    return step.emitOpError("expected the step's context as its first argument");
  context = step.getArgument(0);
  WalkResult ops = step.walk([&](Operation *op) {
    return failed(planOp(op)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (ops.wasInterrupted())
    return failure();
  for (Value value : divided)
    for (OpOperand &use : value.getUses())
      if (failed(planUse(use)))
        return failure();
  for (Operation *op : byOutput)
    if (failed(checkOutputSplit(cast<LinearOp>(op))))
      return failure();
  for (Operation *op : byInput)
    if (failed(checkInputSplit(cast<LinearOp>(op))))
      return failure();
  return success();
}

//===--- Dividing it --------------------------------------------------------------------------===//

void StepSharder::divideCaches() {
  auto divideCache = [&](Value value) {
    auto type = dyn_cast<PagedKVCacheType>(value.getType());
    if (!type)
      return;
    PagedKVCacheParameters parameters = type.getParameters();
    parameters.numKVHeads /= shards;
    value.setType(PagedKVCacheType::get(type.getContext(), parameters));
  };
  for (BlockArgument argument : step.getArguments()) {
    caches += isa<PagedKVCacheType>(argument.getType());
    divideCache(argument);
  }
  step.walk([&](Operation *op) { llvm::for_each(op->getResults(), divideCache); });
  Operation *terminator = step.front().getTerminator();
  step.setFunctionType(FunctionType::get(step.getContext(), step.front().getArgumentTypes(),
                                         terminator->getOperandTypes()));
}

void StepSharder::replace(LinearOp op, ShardSplit split) {
  OpBuilder builder(op);
  Value result = op.getOutputs().front();
  auto sharded = ShardedLinearOp::create(
      builder, op.getLoc(), result.getType(), op.getInput(), context, op.getResidual(),
      op.getWeightAttr(), ShardSplitAttr::get(builder.getContext(), split),
      builder.getI32IntegerAttr(static_cast<int32_t>(shards)), op.getBiasAttr(),
      op.getNormWeightAttr(), op.getNormEpsilonAttr(), op.getEpilogueAttr(),
      op.getActivationTypeAttr());
  result.replaceAllUsesWith(sharded.getOutput());
  op.erase();
}

void StepSharder::apply() {
  for (Value value : divided) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[1] /= shards;
    value.setType(type.clone(shape));
  }
  step.walk([&](PagedAttentionOp op) {
    op.setNumHeads(static_cast<uint32_t>(op.getNumHeads() / shards));
  });
  divideCaches();
  for (Operation *op : byOutput)
    replace(cast<LinearOp>(op), ShardSplit::Output);
  for (Operation *op : byInput)
    replace(cast<LinearOp>(op), ShardSplit::Input);
}

void ShardModelPass::runOnOperation() {
  if (worldSize == 1)
    return;
  if (worldSize < 1) {
    getOperation().emitError("expected a world of at least one rank, but got ")
        << worldSize.getValue();
    return signalPassFailure();
  }
  for (auto step : getOperation().getOps<func::FuncOp>()) {
    if (!step->hasAttr("llm.step"))
      continue;
    StepSharder sharder(step, worldSize);
    if (failed(sharder.plan()))
      return signalPassFailure();
    sharder.apply();
    count("projections-sharded", static_cast<int64_t>(sharder.numProjections()));
    count("caches-divided", sharder.numCaches());
  }
}

} // namespace mlir::llm
