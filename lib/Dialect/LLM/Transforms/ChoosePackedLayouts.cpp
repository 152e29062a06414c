// llm-choose-packed-layouts: gives every weight its place in the packed weight file, in module
// order, so that a step reads the file as one forward stream and equal layers lie at a constant
// stride.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::llm {

#define GEN_PASS_DEF_CHOOSEPACKEDLAYOUTSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class ChoosePackedLayoutsPass : public impl::ChoosePackedLayoutsPassBase<ChoosePackedLayoutsPass>,
                                public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

void ChoosePackedLayoutsPass::runOnOperation() {
  ModuleOp module = getOperation();
  OpBuilder builder(module.getContext());
  int64_t size = 0;
  for (WeightOp weight : module.getOps<WeightOp>()) {
    FailureOr<WeightLayout> layout = WeightLayout::get(weight);
    if (failed(layout))
      return signalPassFailure();
    weight.setOffsetAttr(builder.getI64IntegerAttr(size));
    size += llvm::alignTo(layout->getTotalBytes(), kWeightAlignment);
    count("weights-placed");
    count("bytes", layout->getTotalBytes());
  }
  module->setAttr("llm.weights_size", builder.getI64IntegerAttr(size));
}

} // namespace mlir::llm
