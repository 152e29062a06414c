// Verification that belongs to op interfaces: what a single block shows about a consumed cache.

#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/LoopLikeInterface.h"

using namespace mlir;
using namespace mlir::llm;

#include "llmir/Dialect/LLM/IR/LLMInterfaces.cpp.inc"

Operation *llm::findLoopBetween(Value value, Operation *op) {
  Region *definition = value.getParentRegion();
  for (Region *region = op->getParentRegion(); region && region != definition;
       region = region->getParentRegion()) {
    Operation *parent = region->getParentOp();
    if (isa_and_nonnull<LoopLikeOpInterface>(parent))
      return parent;
    if (auto branch = dyn_cast_or_null<RegionBranchOpInterface>(parent))
      if (branch.isRepetitiveRegion(region->getRegionNumber()))
        return parent;
  }
  return nullptr;
}

LogicalResult llm::verifyCacheConsumer(Operation *op) {
  OpOperand &consumed = cast<CacheConsumerOpInterface>(op).getConsumedCache();
  Value cache = consumed.get();

  // (USE-3)
  if (Operation *loop = findLoopBetween(cache, op)) {
    InFlightDiagnostic diagnostic =
        op->emitOpError("consumes in a loop a cache that is defined outside it");
    diagnostic.attachNote(loop->getLoc()) << "the loop is here; carry the cache through it";
    return diagnostic;
  }

  for (OpOperand &use : cache.getUses()) {
    if (&use == &consumed)
      continue;
    Operation *user = op->getBlock()->findAncestorOpInBlock(*use.getOwner());
    if (!user || (user != op && user->isBeforeInBlock(op)))
      continue;
    // (USE-1) Two consumers in one block. (USE-2) Any later use in the block.
    auto other = dyn_cast<CacheConsumerOpInterface>(use.getOwner());
    bool consumesToo = other && &other.getConsumedCache() == &use;
    InFlightDiagnostic diagnostic =
        use.getOwner()->emitOpError(consumesToo ? "consumes a cache that was consumed before"
                                                : "uses a cache after it was consumed");
    diagnostic.attachNote(op->getLoc()) << "consumed here";
    return diagnostic;
  }
  return success();
}
