// llm-lower-sharded-linear: what one rank computes of products that are split over ranks. Turns
// whole weights into the rank's parts of them; knows nothing of models.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/IR/SymbolTable.h"

#include <map>

namespace mlir::llm {

#define GEN_PASS_DEF_LOWERSHARDEDLINEARPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class LowerShardedLinearPass : public impl::LowerShardedLinearPassBase<LowerShardedLinearPass>,
                               public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  LogicalResult lower(ShardedLinearOp op);
  FailureOr<FlatSymbolRefAttr> takePart(Operation *op, FlatSymbolRefAttr name, int64_t dim);
  FailureOr<Type> getPartType(Operation *op, WeightOp weight, int64_t dim) const;

  SymbolTable *symbols = nullptr;
  /// Users of each weight: what only one op uses is divided in place.
  DenseMap<StringAttr, unsigned> uses;
  /// Parts by weight and dimension.
  std::map<std::pair<const void *, int64_t>, FlatSymbolRefAttr> parts;
};

} // namespace

FailureOr<Type> LowerShardedLinearPass::getPartType(Operation *op, WeightOp weight,
                                                    int64_t dim) const {
  SmallVector<int64_t> shape(weight.getShape());
  int64_t unit = 1;
  auto quantized = dyn_cast<QuantizedTensorType>(weight.getType());
  if (quantized && quantized.getAxis() == dim && quantized.getGroupSize() > 0)
    unit = quantized.getGroupSize();
  if (weight.getShard())
    return op->emitOpError("expected the whole weight ")
           << weight.getSymNameAttr() << ", but got a shard of it";
  if (shape[dim] % (worldSize * unit) != 0)
    return op->emitOpError("expected ")
           << worldSize.getValue() << " ranks to divide the " << shape[dim] << " "
           << (dim == 0 ? "rows" : "columns") << " of " << weight.getSymNameAttr()
           << " in whole groups of " << unit;
  for (int64_t rows : weight.getSourceRows().value_or(ArrayRef<int64_t>()))
    if (dim == 0 && rows % worldSize != 0)
      return op->emitOpError("expected ") << worldSize.getValue() << " ranks to divide the " << rows
                                          << " rows of a source of " << weight.getSymNameAttr();
  shape[dim] /= worldSize;
  return getWeightTypeWithShape(weight.getType(), shape);
}

/// The rank's part of a weight along `dim`: the weight itself, changed, when `op` alone uses it.
FailureOr<FlatSymbolRefAttr> LowerShardedLinearPass::takePart(Operation *op, FlatSymbolRefAttr name,
                                                              int64_t dim) {
  FlatSymbolRefAttr &known = parts[{name.getAttr().getAsOpaquePointer(), dim}];
  if (known)
    return known;
  auto weight = symbols->lookup<WeightOp>(name.getAttr());
  if (!weight)
    return op->emitOpError("expected an llm.weight called ") << name;
  FailureOr<Type> type = getPartType(op, weight, dim);
  if (failed(type))
    return failure();
  OpBuilder builder(weight);
  WeightOp part = weight;
  if (uses.lookup(name.getAttr()) > 1) {
    builder.setInsertionPointAfter(weight);
    part = cast<WeightOp>(builder.clone(*weight));
    if (!part.getSources())
      part.setSourcesAttr(builder.getStrArrayAttr({weight.getSymName()}));
    part.setSymName((weight.getSymName() + ".part").str());
    symbols->insert(part);
  }
  part.setType(*type);
  part.setShardAttr(WeightShardAttr::get(builder.getContext(), dim, worldSize, rank));
  if (std::optional<ArrayRef<int64_t>> rows = part.getSourceRows(); rows && dim == 0) {
    SmallVector<int64_t> fewer(*rows);
    for (int64_t &count : fewer)
      count /= worldSize;
    part.setSourceRowsAttr(builder.getDenseI64ArrayAttr(fewer));
  }
  return known = FlatSymbolRefAttr::get(part.getSymNameAttr());
}

LogicalResult LowerShardedLinearPass::lower(ShardedLinearOp op) {
  if (hasBuffers(op))
    return op.emitOpError("expected tensors, but got ") << op.getInput().getType();
  int64_t shards = static_cast<int32_t>(op.getShards());
  if (shards != worldSize)
    return op.emitOpError("expected as many shards as ranks, ")
           << worldSize.getValue() << ", but got " << shards;
  bool splitsInput = op.getSplit() == ShardSplit::Input;
  FailureOr<FlatSymbolRefAttr> weight = takePart(op, op.getWeightAttr(), splitsInput ? 1 : 0);
  if (failed(weight))
    return failure();
  FlatSymbolRefAttr bias = op.getBiasAttr();
  if (bias && splitsInput && rank != 0)
    bias = {};
  if (bias && !splitsInput) {
    FailureOr<FlatSymbolRefAttr> part = takePart(op, bias, 0);
    if (failed(part))
      return failure();
    bias = *part;
  }
  OpBuilder builder(op);
  Value residual = splitsInput ? Value() : op.getResidual();
  auto linear =
      LinearOp::create(builder, op.getLoc(), op.getOutput().getType(), op.getInput(), residual,
                       *weight, bias, op.getNormWeightAttr(), op.getNormEpsilonAttr(),
                       op.getEpilogueAttr(), op.getActivationTypeAttr());
  Value result = linear.getOutputs().front();
  if (splitsInput) {
    result = AllReduceOp::create(builder, op.getLoc(), result.getType(), result,
                                 op.getStepContext(), op.getShardsAttr());
    count("all-reduces");
    if (op.getResidual())
      result = arith::AddFOp::create(builder, op.getLoc(), op.getResidual(), result);
  }
  op.getOutput().replaceAllUsesWith(result);
  op.erase();
  count("products-lowered");
  return success();
}

void LowerShardedLinearPass::runOnOperation() {
  ModuleOp module = getOperation();
  if (worldSize < 1 || rank < 0 || rank >= worldSize) {
    module.emitError("expected a rank below the size of its world, but got rank ")
        << rank.getValue() << " of " << worldSize.getValue();
    return signalPassFailure();
  }
  SymbolTable table(module);
  symbols = &table;
  uses.clear();
  parts.clear();
  auto symbolUses = SymbolTable::getSymbolUses(&module.getBodyRegion());
  if (!symbolUses) {
    module.emitError("expected the symbol uses of the module to be known");
    return signalPassFailure();
  }
  for (const SymbolTable::SymbolUse &use : *symbolUses)
    ++uses[use.getSymbolRef().getRootReference()];
  SmallVector<ShardedLinearOp> ops;
  module.walk([&](ShardedLinearOp op) { ops.push_back(op); });
  for (ShardedLinearOp op : ops)
    if (failed(lower(op)))
      return signalPassFailure();
}

} // namespace mlir::llm
