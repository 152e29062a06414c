// llm-verify-lowered: no op that a target does not have, and no type of the llm dialect, is left at
// the end of a pipeline. See Passes.td.

#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/StringExtras.h"

namespace mlir::llm {
#define GEN_PASS_DEF_VERIFYLOWEREDPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {
class VerifyLoweredPass : public impl::VerifyLoweredPassBase<VerifyLoweredPass>,
                          public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    WalkResult walked = module.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op == module)
        return WalkResult::advance();
      count("ops-verified");
      return failed(verify(op)) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  LogicalResult verify(Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    if (dialects.empty() && dialect == LLMDialect::getDialectNamespace())
      return op->emitOpError("expected to be lowered, but got an op of the llm dialect");
    if (!dialects.empty() && !llvm::is_contained(dialects, dialect))
      return op->emitOpError("expected to be lowered to ops of ")
             << llvm::join(dialects, ", ") << ", but got one of " << dialect;
    if (failed(verify(op, op->getOperandTypes())) || failed(verify(op, op->getResultTypes())))
      return failure();
    if (auto function = dyn_cast<FunctionOpInterface>(op))
      if (failed(verify(op, function.getArgumentTypes())) ||
          failed(verify(op, function.getResultTypes())))
        return failure();
    for (Region &region : op->getRegions())
      for (Block &block : region)
        if (failed(verify(op, block.getArgumentTypes())))
          return failure();
    return success();
  }

  /// Tensors are of every dialect; no target has them, but one that takes their ops.
  LogicalResult verify(Operation *op, TypeRange types) {
    bool hasTensors = dialects.empty() || llvm::is_contained(dialects, "tensor");
    for (Type type : types)
      if (isa<LLMDialect>(type.getDialect()) || (!hasTensors && isa<TensorType>(type)))
        return op->emitOpError("expected types that are lowered, but got ") << type;
    return success();
  }
};
} // namespace

} // namespace mlir::llm
