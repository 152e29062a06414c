// What belongs to op interfaces and traits: what a single block shows about a consumed cache, and
// the two forms, on tensors and on buffers, of cache and attention ops.

#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
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

LogicalResult llm::verifyOneForm(Operation *op) {
  // (BUF-1)
  Type tensor, buffer;
  auto record = [&](TypeRange types) {
    for (Type type : types) {
      if (isa<TensorType>(type))
        tensor = type;
      else if (isa<BaseMemRefType>(type))
        buffer = type;
    }
  };
  record(op->getOperandTypes());
  record(op->getResultTypes());
  if (tensor && buffer)
    return op->emitOpError("expected tensors or buffers, not both, but got ")
           << tensor << " and " << buffer;
  return success();
}

void llm::addCacheOpEffects(
    Operation *op, SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  auto consumer = dyn_cast<CacheConsumerOpInterface>(op);
  OpOperand *consumed = consumer ? &consumer.getConsumedCache() : nullptr;
  for (OpOperand &operand : op->getOpOperands()) {
    // Drivers ask ops about their effects while they erase them.
    if (!operand.get())
      continue;
    if (isa<BaseMemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
    if (!isa<PagedKVCacheType>(operand.get().getType()))
      continue;
    // A store overwrites slots without a look at anything.
    if (!isa<RopeStoreKVOp, StoreKVOp>(op))
      effects.emplace_back(MemoryEffects::Read::get(), &operand, KVCacheResource::get());
    if (&operand == consumed)
      effects.emplace_back(MemoryEffects::Write::get(), &operand, KVCacheResource::get());
  }
  // A buffer that is only allocated could be dropped, and the op with it.
  for (OpResult result : op->getResults()) {
    if (!isa<BaseMemRefType>(result.getType()))
      continue;
    effects.emplace_back(MemoryEffects::Allocate::get(), result);
    effects.emplace_back(MemoryEffects::Write::get(), result);
  }
}
