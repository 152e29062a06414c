// llm-quantize-activations: decides the type in which each matrix op multiplies its activations.
// The choice is by weight type alone, never by the number of tokens, so that a request's result
// does not depend on its batch.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/IR/SymbolTable.h"

namespace mlir::llm {

#define GEN_PASS_DEF_QUANTIZEACTIVATIONSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class QuantizeActivationsPass : public impl::QuantizeActivationsPassBase<QuantizeActivationsPass>,
                                public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  template <typename OpTy> void quantize(OpTy op, SymbolTable &symbols);
};

} // namespace

/// The activation type as an attribute; f32 is the default and has none.
static TypeAttr getActivationTypeAttr(MLIRContext *context, ActivationType type) {
  switch (type) {
  case ActivationType::F32:
    return TypeAttr();
  case ActivationType::BF16:
    return TypeAttr::get(BFloat16Type::get(context));
  case ActivationType::I8:
    return TypeAttr::get(IntegerType::get(context, 8));
  }
  return TypeAttr();
}

template <typename OpTy> void QuantizeActivationsPass::quantize(OpTy op, SymbolTable &symbols) {
  auto weight = symbols.lookup<WeightOp>(op.getWeightAttr().getAttr());
  std::optional<::llmir::PackedFormat> format =
      weight ? getPackedFormat(weight.getType()) : std::nullopt;
  bool quantized = format && ::llmir::PackedLayout{*format, 0, 0}.isQuantized();
  if (type == ActivationType::I8 && !quantized) {
    count("ops-left");
    op.emitRemark("keeps f32 activations: int8 activations need a weight quantised in groups of ")
        << ::llmir::kGroupSize << ", but '" << op.getWeight() << "' is not";
    op.removeActivationTypeAttr();
    return;
  }
  if (TypeAttr attribute = getActivationTypeAttr(op.getContext(), type)) {
    op.setActivationTypeAttr(attribute);
    count("ops-quantized");
  } else {
    op.removeActivationTypeAttr();
  }
}

void QuantizeActivationsPass::runOnOperation() {
  SymbolTable symbols(getOperation());
  getOperation().walk([&](Operation *op) {
    if (auto linear = dyn_cast<LinearOp>(op))
      quantize(linear, symbols);
    else if (auto logits = dyn_cast<LogitsOp>(op))
      quantize(logits, symbols);
  });
}

} // namespace mlir::llm
