// Evaluation of the ops that make, extend, read and shorten caches. A cache that was consumed may
// not be used again: its version is over.

#include "Rotation.h"

#include "llmir/Cache/StoredTokenCopy.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/CacheState.h"
#include "llmir/Validation/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::llm;
using ::llmir::AppendRequest;
using ::llmir::SequenceId;

/// The cache of an operand, or null after a message.
static CacheState *getCache(Operation *op, Value value, Interpreter &in) {
  const auto &cache = std::get<CacheValue>(in.get(value));
  if (cache.version != cache.state->version) {
    in.fail(op, "expected a cache that is not consumed yet");
    return nullptr;
  }
  return cache.state.get();
}

/// Ends the value of `before` and sets that of `after`.
static Evaluated consume(Value before, Value after, Interpreter &in) {
  CacheValue cache = std::get<CacheValue>(in.get(before));
  cache.version = ++cache.state->version;
  if (after)
    in.set(after, cache);
  return Evaluated::Done;
}

/// The layer that an op names, or std::nullopt after a message.
template <typename Op> static std::optional<int64_t> getLayer(Op op, Interpreter &in) {
  int64_t layer = op.getLayerIndex() ? in.integer(op.getLayerIndex()) : op.getLayer();
  int64_t layers = cast<PagedKVCacheType>(op.getCache().getType()).getNumLayers();
  if (layer >= 0 && layer < layers)
    return layer;
  in.fail(op, "expected a layer below " + Twine(layers) + ", but got " + Twine(layer));
  return std::nullopt;
}

static SequenceId sequence(int64_t id) { return SequenceId{static_cast<int32_t>(id)}; }

static Evaluated check(Operation *op, const ::llmir::Status &status, Interpreter &in) {
  return status.isOk() ? Evaluated::Done : in.fail(op, status.message());
}

/// Stores token t of `keys` and `values` at slots[t], if that is one.
static Evaluated storeTokens(Operation *op, CacheState &cache, int64_t layer,
                             ArrayRef<int64_t> slots, const TensorValue &keys,
                             const TensorValue &values, Interpreter &in) {
  auto keyWidth = static_cast<int64_t>(cache.layout().num_kv_heads) * cache.layout().key_head_dim;
  auto valueWidth =
      static_cast<int64_t>(cache.layout().num_kv_heads) * cache.layout().value_head_dim;
  auto count = static_cast<int64_t>(slots.size());
  if (keys.size() != count * keyWidth || values.size() != count * valueWidth)
    return in.fail(op, "expected keys and values of " + Twine(count) + " tokens");
  std::vector<double> key(static_cast<size_t>(keyWidth)), value(static_cast<size_t>(valueWidth));
  for (int64_t t = 0; t < count; ++t) {
    int64_t slot = slots[static_cast<size_t>(t)];
    if (slot < 0)
      continue;
    if (slot >= cache.numSlots())
      return in.fail(op, "expected a slot below " + Twine(cache.numSlots()) + ", but got " +
                             Twine(slot));
    for (int64_t i = 0; i < keyWidth; ++i)
      key[static_cast<size_t>(i)] = keys.real(t * keyWidth + i);
    for (int64_t i = 0; i < valueWidth; ++i)
      value[static_cast<size_t>(i)] = values.real(t * valueWidth + i);
    cache.store(layer, slot, key, value);
  }
  return Evaluated::Done;
}

static Evaluated evaluate(AppendKVOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  std::optional<int64_t> layer = cache ? getLayer(op, in) : std::nullopt;
  if (!layer)
    return Evaluated::Failed;
  const TensorValue &keys = in.tensor(op.getKeys());
  int64_t batch = keys.dim(0), tokens = keys.rank() == 4 ? keys.dim(1) : 1;
  SmallVector<int64_t> ids = in.integers(op.getSeqIds());
  std::vector<AppendRequest> requests;
  for (int64_t id : ids)
    requests.push_back({sequence(id), tokens});
  if (static_cast<int64_t>(ids.size()) != batch)
    return in.fail(op, "expected " + Twine(batch) + " sequence ids, but got " + Twine(ids.size()));
  ::llmir::CacheStepTables tables;
  ::llmir::Status status = cache->cache().reserve(requests, tables);
  if (!status.isOk())
    return in.fail(op, status.message());
  SmallVector<int64_t> slots(tables.slots.begin(), tables.slots.end());
  if (storeTokens(op, *cache, *layer, slots, keys, in.tensor(op.getValues()), in) ==
      Evaluated::Failed)
    return Evaluated::Failed;
  TensorValue blocks = Interpreter::makeTensorFor(op.getBlockIndices(), {batch, tokens});
  for (auto [i, slot] : llvm::enumerate(slots))
    blocks.setInteger(static_cast<int64_t>(i), slot / cache->layout().block_size);
  if (in.setTensor(op.getBlockIndices(), std::move(blocks)) == Evaluated::Failed)
    return Evaluated::Failed;
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(StoreKVOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  std::optional<int64_t> layer = cache ? getLayer(op, in) : std::nullopt;
  if (!layer || storeTokens(op, *cache, *layer, in.integers(op.getSlots()), in.tensor(op.getKeys()),
                            in.tensor(op.getValues()), in) == Evaluated::Failed)
    return Evaluated::Failed;
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(ReserveKVOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  int64_t tokens = op.getTokenCount() ? in.integer(op.getTokenCount())
                                      : static_cast<int64_t>(op.getTokens().value_or(0));
  SmallVector<int64_t> ids = in.integers(op.getSeqIds());
  std::vector<AppendRequest> requests;
  for (int64_t id : ids)
    requests.push_back({sequence(id), tokens});
  ::llmir::CacheStepTables tables;
  ::llmir::Status status = cache->cache().reserve(requests, tables);
  if (!status.isOk())
    return in.fail(op, status.message());
  auto batch = static_cast<int64_t>(ids.size());
  TensorValue slots = Interpreter::makeTensorFor(op.getSlots(), {batch * tokens});
  TensorValue blocks = Interpreter::makeTensorFor(op.getBlockIndices(), {batch, tokens});
  for (auto [i, slot] : llvm::enumerate(tables.slots)) {
    slots.setInteger(static_cast<int64_t>(i), slot);
    blocks.setInteger(static_cast<int64_t>(i), slot / cache->layout().block_size);
  }
  if (in.setTensor(op.getSlots(), std::move(slots)) == Evaluated::Failed ||
      in.setTensor(op.getBlockIndices(), std::move(blocks)) == Evaluated::Failed)
    return Evaluated::Failed;
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(RopeStoreKVOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  SmallVector<int64_t> positions = in.integers(op.getPositions());
  Rotation rotation = getRotation(op, in);
  TensorValue keys = in.tensor(op.getKeys());
  if (keys.dim(0) != static_cast<int64_t>(positions.size()))
    return in.fail(op, "expected a position for each of " + Twine(keys.dim(0)) + " tokens");
  rotate(keys, positions, rotation);
  if (storeTokens(op, *cache, op.getLayer(), in.integers(op.getSlots()), keys,
                  in.tensor(op.getValues()), in) == Evaluated::Failed)
    return Evaluated::Failed;
  for (auto [query, rotated] : llvm::zip_equal(op.getQueries(), op.getRotated())) {
    TensorValue result = in.tensor(query);
    if (result.dim(0) != static_cast<int64_t>(positions.size()))
      return in.fail(op, "expected a position for each of " + Twine(result.dim(0)) + " tokens");
    rotate(result, positions, rotation);
    if (in.setTensor(rotated, std::move(result)) == Evaluated::Failed)
      return Evaluated::Failed;
  }
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(LookupKVOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  std::optional<int64_t> layer = cache ? getLayer(op, in) : std::nullopt;
  if (!layer)
    return Evaluated::Failed;
  const llmir_cache_layout &layout = cache->layout();
  const TensorValue &table = in.tensor(op.getBlockTable());
  SmallVector<int64_t> lengths = in.integers(op.getSeqLens());
  auto type = cast<RankedTensorType>(op.getKeys().getType());
  int64_t tokens = type.getDimSize(1);
  if (type.isDynamicDim(1))
    tokens = lengths.empty() ? 0 : *llvm::max_element(lengths);
  auto batch = static_cast<int64_t>(lengths.size());
  TensorValue keys = Interpreter::makeTensorFor(
      op.getKeys(), {batch, tokens, layout.num_kv_heads, layout.key_head_dim});
  TensorValue values = Interpreter::makeTensorFor(
      op.getValues(), {batch, tokens, layout.num_kv_heads, layout.value_head_dim});
  int64_t nextKey = 0, nextValue = 0;
  for (int64_t s = 0; s < batch; ++s)
    for (int64_t t = 0; t < tokens; ++t) {
      bool inside = t < lengths[static_cast<size_t>(s)];
      int64_t column = t / layout.block_size;
      if (inside && column >= table.dim(1))
        return in.fail(op,
                       "expected a block table of more than " + Twine(table.dim(1)) + " columns");
      int64_t slot = inside ? table.integer(s * table.dim(1) + column) * layout.block_size +
                                  t % layout.block_size
                            : 0;
      if (slot < 0 || slot >= cache->numSlots())
        return in.fail(op, "expected blocks of the cache in the table");
      for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
        for (int64_t c = 0; c < layout.key_head_dim; ++c, ++nextKey)
          if (inside)
            keys.setReal(nextKey, cache->key(*layer, slot, head, c));
        for (int64_t c = 0; c < layout.value_head_dim; ++c, ++nextValue)
          if (inside)
            values.setReal(nextValue, cache->value(*layer, slot, head, c));
      }
    }
  if (in.setTensor(op.getKeys(), std::move(keys)) == Evaluated::Failed)
    return Evaluated::Failed;
  return in.setTensor(op.getValues(), std::move(values));
}

static Evaluated evaluate(BlockTableOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  SmallVector<int64_t> ids = in.integers(op.getSeqIds());
  auto type = cast<RankedTensorType>(op.getTable().getType());
  int64_t columns =
      type.isDynamicDim(1) ? cache->type().getMaxBlocksPerSequence() : type.getDimSize(1);
  TensorValue table =
      Interpreter::makeTensorFor(op.getTable(), {static_cast<int64_t>(ids.size()), columns});
  std::vector<int32_t> row(static_cast<size_t>(columns));
  for (auto [s, id] : llvm::enumerate(ids)) {
    if (!cache->cache().contains(sequence(id)))
      return in.fail(op, "expected a sequence of the cache, but got " + Twine(id));
    ::llmir::Status status = cache->cache().copyBlockTable(sequence(id), row);
    if (!status.isOk())
      return in.fail(op, status.message());
    for (int64_t i = 0; i < columns; ++i)
      table.setInteger(static_cast<int64_t>(s) * columns + i, row[static_cast<size_t>(i)]);
  }
  return in.setTensor(op.getTable(), std::move(table));
}

static Evaluated evaluate(SequenceLengthsOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  SmallVector<int64_t> ids = in.integers(op.getSeqIds());
  TensorValue lengths =
      Interpreter::makeTensorFor(op.getLengths(), {static_cast<int64_t>(ids.size())});
  for (auto [s, id] : llvm::enumerate(ids))
    if (cache->cache().contains(sequence(id)))
      lengths.setInteger(static_cast<int64_t>(s), *cache->cache().length(sequence(id)));
  return in.setTensor(op.getLengths(), std::move(lengths));
}

static Evaluated evaluate(FreeSequencesOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  for (int64_t id : in.integers(op.getSeqIds()))
    if (check(op, cache->cache().freeSequence(sequence(id)), in) == Evaluated::Failed)
      return Evaluated::Failed;
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(ForkOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  for (auto [parent, child] :
       llvm::zip_equal(in.integers(op.getParents()), in.integers(op.getChildren())))
    if (check(op, cache->cache().fork(sequence(parent), sequence(child)), in) == Evaluated::Failed)
      return Evaluated::Failed;
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(RollbackOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  for (auto [id, length] :
       llvm::zip_equal(in.integers(op.getSeqIds()), in.integers(op.getLengths()))) {
    auto now = cache->cache().length(sequence(id));
    if (now.isOk() && length >= *now)
      continue;
    if (check(op, cache->cache().truncate(sequence(id), length), in) == Evaluated::Failed)
      return Evaluated::Failed;
  }
  return consume(op.getCache(), op.getNewCache(), in);
}

/// Moves the accepted tokens of a tree behind one another.
static Evaluated followPath(CommitOp op, CacheState &cache, SequenceId id, int64_t first,
                            int64_t drafted, ArrayRef<int64_t> path, Interpreter &in) {
  for (auto [i, token] : llvm::enumerate(path)) {
    auto target = static_cast<int64_t>(i);
    if (token < target || token >= drafted)
      return in.fail(op, "expected a rising path of drafted tokens");
    auto from = cache.cache().slot(id, first + token), to = cache.cache().slot(id, first + target);
    if (!from.isOk() || !to.isOk())
      return in.fail(op, "expected drafted tokens that the sequence has");
    if (*from != *to)
      ::llmir::copyStoredToken(cache.layout(), cache.cache().base(), *from, *to);
  }
  return Evaluated::Done;
}

static Evaluated evaluate(CommitOp op, Interpreter &in) {
  CacheState *cache = getCache(op, op.getCache(), in);
  if (!cache)
    return Evaluated::Failed;
  SmallVector<int64_t> ids = in.integers(op.getSeqIds()), drafted = in.integers(op.getDrafted());
  SmallVector<int64_t> accepted = in.integers(op.getAccepted());
  SmallVector<int64_t> paths = op.getPath() ? in.integers(op.getPath()) : SmallVector<int64_t>();
  for (size_t s = 0; s < ids.size(); ++s) {
    auto length = cache->cache().length(sequence(ids[s]));
    if (!length.isOk())
      return in.fail(op, length.status().message());
    int64_t first = *length - drafted[s];
    if (first < 0 || accepted[s] < 0 || accepted[s] > drafted[s])
      return in.fail(op, "expected at most as many accepted tokens as were drafted");
    if (op.getPath()) {
      size_t width = paths.size() / ids.size();
      if (static_cast<size_t>(accepted[s]) > width)
        return in.fail(op, "expected a path of the accepted tokens");
      ArrayRef<int64_t> path = ArrayRef(paths).slice(s * width, static_cast<size_t>(accepted[s]));
      if (followPath(op, *cache, sequence(ids[s]), first, drafted[s], path, in) ==
          Evaluated::Failed)
        return Evaluated::Failed;
    }
    if (check(op, cache->cache().truncate(sequence(ids[s]), first + accepted[s]), in) ==
        Evaluated::Failed)
      return Evaluated::Failed;
  }
  return consume(op.getCache(), op.getNewCache(), in);
}

static Evaluated evaluate(CreateKVCacheOp op, Interpreter &in) {
  int64_t blocks = in.integer(op.getNumBlocks());
  if (blocks < 1)
    return in.fail(op, "expected at least one block, but got " + Twine(blocks));
  auto state = std::make_shared<CacheState>(cast<PagedKVCacheType>(op.getType()), blocks);
  if (!state->cache().status().isOk())
    return in.fail(op, state->cache().status().message());
  in.set(op, CacheValue{state, state->version});
  return Evaluated::Done;
}

Evaluated llm::evaluateCache(Operation *op, Interpreter &in) {
  return llvm::TypeSwitch<Operation *, Evaluated>(op)
      .Case<CreateKVCacheOp, AppendKVOp, ReserveKVOp, StoreKVOp, RopeStoreKVOp, LookupKVOp,
            BlockTableOp, SequenceLengthsOp, FreeSequencesOp, ForkOp, RollbackOp, CommitOp>(
          [&](auto typed) { return evaluate(typed, in); })
      .Case([&](FreeKVCacheOp free) {
        return getCache(op, free.getCache(), in) ? consume(free.getCache(), Value(), in)
                                                 : Evaluated::Failed;
      })
      .Default([](Operation *) { return Evaluated::Unknown; });
}
