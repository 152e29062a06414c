// llm-report-costs: remarks on what each op costs, and the sums for a step of given sizes.

#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::llm {
#define GEN_PASS_DEF_REPORTCOSTSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"
} // namespace mlir::llm

using namespace mlir;
using namespace mlir::llm;

namespace {

struct ReportCostsPass : public llm::impl::ReportCostsPassBase<ReportCostsPass>,
                         public CountingPass {
  using Base::Base;
  void runOnOperation() override;

private:
  StepSizes getSizes() const;
};

} // namespace

/// A step in which every sequence has as many new tokens, the last ones of its context.
StepSizes ReportCostsPass::getSizes() const {
  StepSizes sizes;
  sizes.tokens = tokens;
  sizes.sequences = sequences;
  sizes.rows = sequences;
  sizes.contextTokens = sequences * context;
  int64_t each = tokens / sequences;
  // Token i of a sequence sees context - each + i + 1 tokens.
  sizes.pairs = sequences * (each * (context - each) + each * (each + 1) / 2);
  return sizes;
}

static std::string describe(const OpCost &cost) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "reads ";
  cost.bytesRead.print(os);
  os << " bytes, writes ";
  cost.bytesWritten.print(os);
  os << " bytes, computes ";
  cost.flops.print(os);
  os << " flops";
  if (cost.bytesExchanged == AffineCount())
    return text;
  os << ", sends ";
  cost.bytesExchanged.print(os);
  os << " bytes";
  return text;
}

void ReportCostsPass::runOnOperation() {
  if (sequences > 0 && (tokens % sequences != 0 || tokens > sequences * context)) {
    getOperation()->emitError("expected as many of 'tokens' for each of ")
        << sequences.getValue() << " sequences, at most 'context' = " << context.getValue()
        << " each, but got " << tokens.getValue();
    return signalPassFailure();
  }
  OpCost sum;
  getOperation()->walk([&](CostOpInterface op) {
    OpCost cost = op.getCost();
    sum += cost;
    op.emitRemark(describe(cost));
    count("ops-with-costs");
  });
  markAllAnalysesPreserved();
  if (sequences <= 0)
    return;
  StepSizes sizes = getSizes();
  getOperation()->emitRemark("all ops read ")
      << sum.bytesRead.evaluate(sizes) << " bytes, write " << sum.bytesWritten.evaluate(sizes)
      << " bytes, compute " << sum.flops.evaluate(sizes) << " flops, send "
      << sum.bytesExchanged.evaluate(sizes) << " bytes";
}
