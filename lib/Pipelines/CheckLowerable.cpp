// llm-check-lowerable: some target has code for every function that uses the dialect. See
// Passes.td.

#include "llmir/Pipelines/Passes.h"

#include "../Conversion/LLMToCPU/CPUOpChecks.h"
#include "../Conversion/LLMToCPU/CacheFunctions.h"
#include "../Conversion/LLMToGPU/GPUOpChecks.h"

#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"

namespace mlir::llm {
#define GEN_PASS_DEF_CHECKLOWERABLEPASS
#include "llmir/Pipelines/Passes.h.inc"

namespace {
class CheckLowerablePass : public impl::CheckLowerablePassBase<CheckLowerablePass>,
                           public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    SmallVector<func::FuncOp> functions = findCacheFunctions(getOperation());
    count("functions-checked", static_cast<int64_t>(functions.size()));
    for (func::FuncOp function : functions)
      if (failed(check(function)))
        return signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  LogicalResult check(func::FuncOp function) {
    if (isStep(function))
      return checkStepForCPU(function);
    bool hasCode;
    {
      // What a target says against a function matters only if no other takes it.
      ScopedDiagnosticHandler ignored(&getContext(), [](Diagnostic &) { return success(); });
      hasCode = succeeded(checkFunctionsForCPU(function)) ||
                succeeded(checkFunctionsForGPU(function, GPUTarget{}));
    }
    return hasCode ? success() : checkFunctionsForCPU(function);
  }
};
} // namespace

} // namespace mlir::llm
