// llm-remove-redundant-kv: reads of caches that repeat earlier ones or give what was just written,
// and writes that nobody sees. Everything is decided along the chain of one cache within a block.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

namespace mlir::llm {

#define GEN_PASS_DEF_REMOVEREDUNDANTKVPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class RemoveRedundantKVPass : public impl::RemoveRedundantKVPassBase<RemoveRedundantKVPass>,
                              public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  bool removeEmptyAppend(Operation *op);
  bool removeRepeatedRead(Operation *op);
  bool forwardLookup(LookupKVOp op);
  void removeOverwrittenStores(StoreKVOp op);
};

} // namespace

//===----------------------------------------------------------------------===//
// What ops look at
//===----------------------------------------------------------------------===//

static bool isOnTensors(Operation *op) {
  return llvm::none_of(op->getOperandTypes(), llvm::IsaPred<BaseMemRefType>) &&
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<BaseMemRefType>);
}

/// The layer of an op, if it is an attribute.
template <typename OpTy> static std::optional<int64_t> getKnownLayer(OpTy op) {
  if (op.getLayerIndex())
    return std::nullopt;
  return static_cast<int64_t>(op.getLayer());
}

/// Whether `op`, a user of a cache, may look at what tokens hold in `layer`.
static bool mayReadLayer(Operation *op, int64_t layer) {
  if (isa<BlockTableOp, SequenceLengthsOp>(op))
    return false;
  std::optional<int64_t> known;
  if (auto lookup = dyn_cast<LookupKVOp>(op))
    known = getKnownLayer(lookup);
  else if (auto attention = dyn_cast<PagedAttentionOp>(op))
    known = getKnownLayer(attention);
  return !known || *known == layer;
}

/// The cache that `read` reads, if it is an op that could be a repetition.
static Value getReadCache(Operation *read) {
  if (!isa<BlockTableOp, LookupKVOp, SequenceLengthsOp>(read) || !isOnTensors(read))
    return Value();
  return read->getOperand(0);
}

/// Whether a store leaves what `read` gives as it was.
static bool keeps(StoreKVOp store, Operation *read) {
  auto lookup = dyn_cast<LookupKVOp>(read);
  if (!lookup)
    return true;
  std::optional<int64_t> written = getKnownLayer(store), seen = getKnownLayer(lookup);
  return written && seen && *written != *seen;
}

/// Whether two reads differ in nothing but the cache.
static bool areAlike(Operation *first, Operation *second) {
  return first->getName() == second->getName() &&
         first->getResultTypes() == second->getResultTypes() &&
         llvm::equal(first->getOperands().drop_front(), second->getOperands().drop_front()) &&
         first->getAttrDictionary() == second->getAttrDictionary();
}

//===----------------------------------------------------------------------===//
// Reads
//===----------------------------------------------------------------------===//

/// Looks back along the chain for the read that `op` repeats.
bool RemoveRedundantKVPass::removeRepeatedRead(Operation *op) {
  for (Value cache = getReadCache(op); cache;) {
    for (Operation *user : cache.getUsers()) {
      if (user == op || user->getBlock() != op->getBlock() || !user->isBeforeInBlock(op) ||
          !areAlike(user, op))
        continue;
      op->replaceAllUsesWith(user);
      op->erase();
      count("reads-removed");
      return true;
    }
    auto store = cache.getDefiningOp<StoreKVOp>();
    if (!store || store->getBlock() != op->getBlock() || !keeps(store, op))
      return false;
    cache = store.getCache();
  }
  return false;
}

/// Whether sequences of these ids are different ones: there is one, or they are known.
static bool areDistinct(Value ids) {
  if (cast<ShapedType>(ids.getType()).getDimSize(0) == 1)
    return true;
  DenseIntElementsAttr known;
  if (!matchPattern(ids, m_Constant(&known)))
    return false;
  llvm::SmallDenseSet<int64_t> seen;
  return llvm::all_of(known.getValues<APInt>(),
                      [&](const APInt &id) { return seen.insert(id.getSExtValue()).second; });
}

/// Whether `lengths` are those of the sequences `ids` of `cache`, which all have `tokens` tokens.
static bool areLengths(Value lengths, Value cache, Value ids, int64_t tokens) {
  if (auto op = lengths.getDefiningOp<SequenceLengthsOp>())
    return op.getCache() == cache && op.getSeqIds() == ids;
  DenseIntElementsAttr known;
  return matchPattern(lengths, m_Constant(&known)) && known.isSplat() &&
         known.getSplatValue<APInt>() == tokens;
}

/// A lookup of all that sequences have, after one append to a new cache.
bool RemoveRedundantKVPass::forwardLookup(LookupKVOp op) {
  auto append = op.getCache().getDefiningOp<AppendKVOp>();
  if (!append || !isOnTensors(op) || !isOnTensors(append) ||
      !append.getCache().getDefiningOp<CreateKVCacheOp>() || !areDistinct(append.getSeqIds()))
    return false;
  std::optional<int64_t> written = getKnownLayer(append), seen = getKnownLayer(op);
  PagedKVCacheType cache = op.getCache().getType();
  // Keys and values go in and come out as they are, and have the types of the results.
  if (!written || written != seen || cache.getKeyStorage() != cache.getElementType() ||
      cache.getValueStorage() != cache.getElementType() ||
      append.getKeys().getType() != op.getKeys().getType() ||
      append.getValues().getType() != op.getValues().getType())
    return false;
  int64_t tokens = cast<ShapedType>(append.getKeys().getType()).getDimSize(1);
  auto table = op.getBlockTable().getDefiningOp<BlockTableOp>();
  if (ShapedType::isDynamic(tokens) || !table || table.getCache() != op.getCache() ||
      table.getSeqIds() != append.getSeqIds() ||
      !areLengths(op.getSeqLens(), op.getCache(), append.getSeqIds(), tokens))
    return false;
  op.getKeys().replaceAllUsesWith(append.getKeys());
  op.getValues().replaceAllUsesWith(append.getValues());
  op.erase();
  count("lookups-forwarded");
  return true;
}

//===----------------------------------------------------------------------===//
// Writes
//===----------------------------------------------------------------------===//

/// Removes the stores before `op` whose slots it writes again before anything reads them.
void RemoveRedundantKVPass::removeOverwrittenStores(StoreKVOp op) {
  std::optional<int64_t> layer = getKnownLayer(op);
  if (!layer || !isOnTensors(op))
    return;
  Operation *consumer = op;
  while (true) {
    Value cache = cast<CacheConsumerOpInterface>(consumer).getConsumedCache().get();
    // Whatever is not in this block may run at any time.
    if (llvm::any_of(cache.getUsers(), [&](Operation *user) {
          return user != consumer &&
                 (user->getBlock() != op->getBlock() || mayReadLayer(user, *layer));
        }))
      return;
    auto store = cache.getDefiningOp<StoreKVOp>();
    if (!store || store->getBlock() != op->getBlock())
      return;
    if (getKnownLayer(store) == layer && store.getSlots() == op.getSlots()) {
      store.getNewCache().replaceAllUsesWith(store.getCache());
      store.erase();
      count("stores-removed");
      continue;
    }
    consumer = store;
  }
}

/// Tokens of each sequence of keys [batch, tokens, ..] or [batch, ..].
static int64_t getTokens(ShapedType keys) { return keys.getRank() == 4 ? keys.getDimSize(1) : 1; }

/// What a batch of no sequences gives, or null if the type is not that of an empty tensor.
static Value makeEmpty(OpBuilder &builder, Value result) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!type || !type.hasStaticShape() || type.getNumElements() != 0)
    return Value();
  return arith::ConstantOp::create(builder, result.getLoc(),
                                   DenseIntElementsAttr::get(type, ArrayRef<int32_t>()));
}

bool RemoveRedundantKVPass::removeEmptyAppend(Operation *op) {
  if (!isa<AppendKVOp, ReserveKVOp, StoreKVOp>(op) || !isOnTensors(op))
    return false;
  OpBuilder builder(op);
  SmallVector<Value> results = {cast<CacheConsumerOpInterface>(op).getConsumedCache().get()};
  if (auto store = dyn_cast<StoreKVOp>(op)) {
    auto keys = cast<ShapedType>(store.getKeys().getType());
    if (keys.getDimSize(0) != 0 && getTokens(keys) != 0)
      return false;
  } else if (cast<ShapedType>(op->getOperand(isa<AppendKVOp>(op) ? 3 : 1).getType())
                 .getDimSize(0) == 0) {
    for (Value result : op->getResults().drop_front())
      results.push_back(makeEmpty(builder, result));
    if (llvm::is_contained(results, Value()))
      return false;
  } else if (auto append = dyn_cast<AppendKVOp>(op);
             append && getTokens(cast<ShapedType>(append.getKeys().getType())) == 0) {
    // Sequences start even if they get no token, so there is still something to reserve.
    auto blocks = cast<RankedTensorType>(append.getBlockIndices().getType());
    Type slots = RankedTensorType::get({0}, blocks.getElementType());
    auto reserve = ReserveKVOp::create(
        builder, op->getLoc(), TypeRange{append.getNewCache().getType(), slots, blocks},
        append.getCache(), append.getSeqIds(), Value(), builder.getI32IntegerAttr(0));
    results = {reserve.getNewCache(), reserve.getBlockIndices()};
  } else {
    return false;
  }
  op->replaceAllUsesWith(results);
  op->erase();
  count("empty-appends-removed");
  return true;
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

void RemoveRedundantKVPass::runOnOperation() {
  SmallVector<Operation *> ops;
  getOperation()->walk([&](Operation *op) { ops.push_back(op); });
  // An op removes itself, or stores before it, whose turn is over.
  for (Operation *op : ops) {
    if (removeEmptyAppend(op) || removeRepeatedRead(op))
      continue;
    if (auto lookup = dyn_cast<LookupKVOp>(op))
      forwardLookup(lookup);
    else if (auto store = dyn_cast<StoreKVOp>(op))
      removeOverwrittenStores(store);
  }
}

} // namespace mlir::llm
