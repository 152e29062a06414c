// llm-fold-norms: an RMS norm that only matrix ops read becomes their prologue, so that the
// normalised activations never travel through memory.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FOLDNORMSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class FoldNormsPass : public impl::FoldNormsPassBase<FoldNormsPass>, public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

/// Whether `use` is the input of a matrix op that has no norm yet.
static bool canTakeNorm(OpOperand &use) {
  if (auto linear = dyn_cast<LinearOp>(use.getOwner()))
    return use.get() != linear.getResidual() && !linear.getNormWeightAttr();
  if (auto logits = dyn_cast<LogitsOp>(use.getOwner()))
    return !logits.getNormWeightAttr();
  return false;
}

/// Moves `norm` into all of its users, if all can take it.
static bool foldNorm(RMSNormOp norm) {
  Value output = norm.getOutput();
  if (hasBuffers(norm) || output.use_empty() || !llvm::all_of(output.getUses(), canTakeNorm))
    return false;
  for (Operation *user : output.getUsers()) {
    if (auto linear = dyn_cast<LinearOp>(user)) {
      linear.setNormWeightAttr(norm.getWeightAttr());
      linear.setNormEpsilonAttr(norm.getEpsilonAttr());
    } else {
      auto logits = cast<LogitsOp>(user);
      logits.setNormWeightAttr(norm.getWeightAttr());
      logits.setNormEpsilonAttr(norm.getEpsilonAttr());
    }
  }
  output.replaceAllUsesWith(norm.getInput());
  norm->erase();
  return true;
}

void FoldNormsPass::runOnOperation() {
  getOperation()->walk([&](RMSNormOp norm) {
    if (foldNorm(norm))
      count("norms-folded");
  });
}

} // namespace mlir::llm
