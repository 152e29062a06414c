// Checks of functions over a cache: see CacheFunctionChecks.h.

#include "CacheFunctionChecks.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::llm {

bool isStep(func::FuncOp function) { return function->hasAttr("llm.step"); }

LogicalResult checkOpForm(Operation *op) {
  for (Type type : llvm::concat<Type>(op->getOperandTypes(), op->getResultTypes()))
    if (isa<BaseMemRefType>(type))
      return op->emitOpError("expected tensors, since it is lowered before bufferisation, but got ")
             << type;
  // Heads and channels are the last two dimensions of what has them.
  for (auto [number, type] : llvm::enumerate(op->getOperandTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getRank() < 3 || !isa<FloatType>(tensor.getElementType()))
      continue;
    if (llvm::any_of(tensor.getShape().take_back(2), ShapedType::isDynamic))
      return op->emitOpError("expected operand ")
             << number << " with a known number of heads and a known head size, but got " << type;
  }
  return success();
}

/// A type that conversion changes, or that no target has.
static bool isConverted(Type type) {
  return isa<TensorType>(type) || isa<LLMDialect>(type.getDialect());
}

/// Signatures: tensors and caches alone are converted.
static LogicalResult checkFunction(func::FuncOp function) {
  if (!function.isExternal() && !llvm::hasSingleElement(function.getBody()))
    return function.emitOpError("over a cache is expected to have one block, with scf for "
                                "control flow, but it has ")
           << function.getBlocks().size();
  for (Type type :
       llvm::concat<const Type>(function.getArgumentTypes(), function.getResultTypes())) {
    bool isKnown = isa<PagedKVCacheType, RankedTensorType>(type) || !isConverted(type);
    if (!isKnown)
      return function.emitOpError("expected ranked tensors, caches and plain types in the "
                                  "signature of a function over a cache, but got ")
             << type;
  }
  return success();
}

static LogicalResult checkOtherOp(Operation *op) {
  if (isa<func::CallOp, func::ReturnOp, scf::ForOp, scf::IfOp, scf::WhileOp, scf::IndexSwitchOp,
          scf::YieldOp, scf::ConditionOp>(op))
    return success();
  if (auto dim = dyn_cast<tensor::DimOp>(op);
      dim && isa<RankedTensorType>(dim.getSource().getType()))
    return success();
  auto check = [&](TypeRange types) -> LogicalResult {
    for (Type type : types)
      if (isConverted(type))
        return op->emitOpError("expected scalars or buffers, as scf, func and llm ops alone take "
                               "tensors and caches in a function over a cache, but got ")
               << type;
    return success();
  };
  if (failed(check(op->getOperandTypes())) || failed(check(op->getResultTypes())))
    return failure();
  for (Region &region : op->getRegions())
    for (Block &block : region)
      if (failed(check(block.getArgumentTypes())))
        return failure();
  return success();
}

LogicalResult checkCacheFunctions(ArrayRef<func::FuncOp> functions,
                                  llvm::function_ref<LogicalResult(Operation *)> checkOp) {
  for (func::FuncOp function : functions) {
    if (failed(checkFunction(function)))
      return failure();
    // In the order of the text, so that the first op at fault is named.
    WalkResult walked = function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op == function)
        return WalkResult::advance();
      LogicalResult checked =
          isa_and_nonnull<LLMDialect>(op->getDialect()) ? checkOp(op) : checkOtherOp(op);
      return failed(checked) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return failure();
  }
  return success();
}

} // namespace mlir::llm
