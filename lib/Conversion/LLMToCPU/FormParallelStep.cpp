// Forms the parallel step: plans it, emits it, and publishes its memory contract.

#include "HostFeatures.h"
#include "StepEmitter.h"
#include "StepPlanner.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FORMPARALLELSTEPPASS
#define GEN_PASS_DEF_ERASEWEIGHTSPASS
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

namespace {
class FormParallelStepPass : public impl::FormParallelStepPassBase<FormParallelStepPass>,
                             public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> steps;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr("llm.step"))
        steps.push_back(function);
    if (steps.empty())
      return;
    if (steps.size() > 1) {
      steps[1].emitError("expected one function with 'llm.step' in a module, but got ")
          << steps.size();
      return signalPassFailure();
    }
    if (failed(form(module, steps.front())))
      signalPassFailure();
  }

private:
  LogicalResult form(ModuleOp module, func::FuncOp step) {
    FailureOr<CPUTarget> target = targetFromOption(step, features, emulate);
    if (failed(target))
      return failure();

    KernelLibrary library(module, *target);
    StepPlanner planner(step, library);
    FailureOr<StepPlan> plan = planner.plan();
    if (failed(plan))
      return failure();
    step.erase();
    count("calls", static_cast<int64_t>(plan->calls.size()));
    count("layer-loops", StepEmitter(module, library, *plan).emit());
    if (profile)
      StepEmitter(module, library, *plan).emitProfile();
    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPrivate())
        count("tile-functions");

    Builder builder(module.getContext());
    auto entry = [&](StringRef name, int64_t bytes) {
      return builder.getNamedAttr(name, builder.getI64IntegerAttr(bytes));
    };
    module->setAttr("llm.workspace",
                    builder.getDictionaryAttr({entry("fixed", plan->workspace.fixed),
                                               entry("per_token", plan->workspace.perToken),
                                               entry("per_sequence", 0),
                                               entry("per_row", plan->workspace.perRow),
                                               entry("per_worker", plan->workspace.perWorker)}));
    module->setAttr("llm.bytes_per_token", builder.getI64IntegerAttr(planner.bytesPerToken()));
    return success();
  }
};

class EraseWeightsPass : public impl::EraseWeightsPassBase<EraseWeightsPass>, public CountingPass {
public:
  void runOnOperation() override {
    ModuleOp module = getOperation();
    // One walk for all weights: asking for each of them would walk all code each time.
    SymbolTableCollection tables;
    SymbolUserMap users(tables, module);
    for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>())) {
      if (!users.useEmpty(weight)) {
        weight.emitError("expected no use of weight '") << weight.getSymName() << "'";
        return signalPassFailure();
      }
      weight.erase();
      count("weights-erased");
    }
  }
};
} // namespace

} // namespace mlir::llm
