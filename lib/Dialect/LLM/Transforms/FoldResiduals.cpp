// llm-fold-residuals: the addition of a residual stream to a projection becomes the projection's
// epilogue.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Dominance.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FOLDRESIDUALSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class FoldResidualsPass : public impl::FoldResidualsPassBase<FoldResidualsPass>,
                          public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

/// Adds `residual` in the projection that computes `projected`, in place of `add`, if nothing else
/// reads the projection and the residual is there when it runs.
static bool foldInto(arith::AddFOp add, Value projected, Value residual, DominanceInfo &dominance) {
  auto linear = projected.getDefiningOp<LinearOp>();
  if (!linear || linear.getOutputs().size() != 1 || linear.getResidual() ||
      !projected.hasOneUse() || linear->getBlock() != add->getBlock() ||
      !dominance.properlyDominates(residual, linear))
    return false;
  linear.getResidualMutable().assign(residual);
  add.getResult().replaceAllUsesWith(projected);
  add->erase();
  return true;
}

void FoldResidualsPass::runOnOperation() {
  auto &dominance = getAnalysis<DominanceInfo>();
  getOperation()->walk([&](arith::AddFOp add) {
    if (foldInto(add, add.getRhs(), add.getLhs(), dominance) ||
        foldInto(add, add.getLhs(), add.getRhs(), dominance))
      count("residuals-folded");
  });
}

} // namespace mlir::llm
