// llm-check-cache-uses: no KV cache is used after it was consumed, on any path. What a single block
// shows is checked by the verifier of CacheConsumerOpInterface.

#include "llmir/Dialect/LLM/Analysis/CacheLifetimes.h"
#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

namespace mlir::llm {
#define GEN_PASS_DEF_CHECKCACHEUSESPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"
} // namespace mlir::llm

using namespace mlir;
using namespace mlir::llm;

namespace {

struct CheckCacheUsesPass : public llm::impl::CheckCacheUsesPassBase<CheckCacheUsesPass>,
                            public CountingPass {
  void runOnOperation() override;
};

} // namespace

/// Whether `use` is an operand that its op consumes.
static bool isConsumed(OpOperand &use) {
  auto consumer = dyn_cast<CacheConsumerOpInterface>(use.getOwner());
  return consumer && &consumer.getConsumedCache() == &use;
}

static void emitViolation(const CacheUseViolation &violation) {
  Operation *user = violation.use->getOwner();
  // (USE-4) Across blocks and regions. (USE-5) Again, by going around a loop.
  bool again = user == violation.consumer;
  InFlightDiagnostic diagnostic =
      user->emitOpError(again                        ? "consumes a cache again in a loop"
                        : isConsumed(*violation.use) ? "consumes a cache that was consumed before"
                                                     : "uses a cache after it was consumed");
  diagnostic.attachNote(violation.consumer->getLoc())
      << (again ? "consumed here, in an earlier iteration" : "consumed here");
}

void CheckCacheUsesPass::runOnOperation() {
  getOperation()->walk([&](CacheConsumerOpInterface) { count("cache-consumers"); });
  SmallVector<CacheUseViolation> violations = CacheLifetimes(getOperation()).findViolations();
  for (const CacheUseViolation &violation : violations)
    emitViolation(violation);
  if (!violations.empty())
    return signalPassFailure();
  markAllAnalysesPreserved();
}
