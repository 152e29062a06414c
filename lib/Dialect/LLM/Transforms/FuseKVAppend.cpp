// llm-fuse-kv-append: what rotates queries and keys and what stores keys and values, as one op.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FUSEKVAPPENDPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class FuseKVAppendPass : public impl::FuseKVAppendPassBase<FuseKVAppendPass>, public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

/// Whether `op` reads nothing but what `rope_store_kv` has an operand for.
static bool canFuse(StoreKVOp store) {
  auto isHeads = [](Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.getRank() == 3 && type.getElementType().isF32();
  };
  return !store.getLayerIndex() && isHeads(store.getKeys()) && isHeads(store.getValues());
}

/// The rotation of the keys that `store` stores, if it can move down to the store.
static RopeOp findRotation(StoreKVOp store) {
  auto rope = store.getKeys().getDefiningOp<RopeOp>();
  if (!rope || rope->getBlock() != store->getBlock() || !store.getKeys().hasOneUse() ||
      llvm::is_contained(rope.getOutputs(), store.getValues()))
    return RopeOp();
  for (Operation *user : rope->getUsers()) {
    Operation *inBlock = store->getBlock()->findAncestorOpInBlock(*user);
    if (user != store && (!inBlock || inBlock->isBeforeInBlock(store)))
      return RopeOp();
  }
  return rope;
}

static void fuse(RopeOp rope, StoreKVOp store) {
  unsigned keys = cast<OpResult>(store.getKeys()).getResultNumber();
  SmallVector<Value> queries, rotated;
  SmallVector<Type> types = {store.getNewCache().getType()};
  for (auto [index, input] : llvm::enumerate(rope.getInputs())) {
    if (index == keys)
      continue;
    queries.push_back(input);
    rotated.push_back(rope.getOutputs()[index]);
    types.push_back(input.getType());
  }
  OpBuilder builder(store);
  auto fused = RopeStoreKVOp::create(
      builder, store.getLoc(), types, store.getCache(), rope.getInputs()[keys], store.getValues(),
      store.getSlots(), queries, rope.getPositions(), rope.getThetaAttr(), rope.getRotaryDimAttr(),
      rope.getStyleAttr(), rope.getFrequencyFactorsAttr(), rope.getScalingAttr(),
      store.getLayerAttr());
  store.getNewCache().replaceAllUsesWith(fused.getNewCache());
  for (auto [before, after] : llvm::zip_equal(rotated, fused.getRotated()))
    before.replaceAllUsesWith(after);
  store.erase();
  rope.erase();
}

void FuseKVAppendPass::runOnOperation() {
  SmallVector<StoreKVOp> stores;
  getOperation()->walk([&](StoreKVOp store) { stores.push_back(store); });
  for (StoreKVOp store : stores) {
    if (!canFuse(store))
      continue;
    if (RopeOp rope = findRotation(store)) {
      fuse(rope, store);
      count("stores-fused");
    }
  }
}

} // namespace mlir::llm
