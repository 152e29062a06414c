// Forms the parallel step: plans it, emits it, and publishes its memory contract.

#include "StepEmitter.h"
#include "StepPlanner.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/TargetParser/Host.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FORMPARALLELSTEPPASS
#define GEN_PASS_DEF_ERASEWEIGHTSPASS
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

/// The features of this machine that LLVM sees.
static std::vector<std::string> hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    if (feature.second)
      features.push_back(feature.first().str());
  return features;
}

namespace {
struct FormParallelStepPass : impl::FormParallelStepPassBase<FormParallelStepPass> {
  using FormParallelStepPassBase::FormParallelStepPassBase;

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
    std::vector<std::string> allowed(features.begin(), features.end());
    if (allowed.empty())
      allowed = hostFeatures();
    std::string missing;
    FailureOr<CPUTarget> target = CPUTarget::fromFeatures(allowed, missing);
    if (failed(target))
      return step.emitError("expected a target with the feature '") << missing << "'";

    KernelLibrary library(module, *target);
    StepPlanner planner(step, library);
    FailureOr<StepPlan> plan = planner.plan();
    if (failed(plan))
      return failure();
    step.erase();
    numCalls += plan->calls.size();
    numLoops += StepEmitter(module, library, *plan).emit();
    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPrivate())
        ++numFunctions;

    Builder builder(module.getContext());
    auto entry = [&](StringRef name, int64_t bytes) {
      return builder.getNamedAttr(name, builder.getI64IntegerAttr(bytes));
    };
    module->setAttr("llm.workspace",
                    builder.getDictionaryAttr(
                        {entry("fixed", 0), entry("per_token", plan->workspace.perToken),
                         entry("per_sequence", 0), entry("per_row", plan->workspace.perRow),
                         entry("per_worker", plan->workspace.perWorker)}));
    module->setAttr("llm.bytes_per_token", builder.getI64IntegerAttr(planner.bytesPerToken()));
    return success();
  }
};

struct EraseWeightsPass : impl::EraseWeightsPassBase<EraseWeightsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>())) {
      if (!SymbolTable::symbolKnownUseEmpty(weight, module)) {
        weight.emitError("expected no use of weight '") << weight.getSymName() << "'";
        return signalPassFailure();
      }
      weight.erase();
      ++numErased;
    }
  }
};
} // namespace

} // namespace mlir::llm
