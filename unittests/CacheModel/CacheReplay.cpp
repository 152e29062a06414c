// CacheReplay: the same operations on the model and on the real cache, and the comparison.

#include "CacheReplay.h"

#include <algorithm>

namespace llmir::model {

using Kind = CacheOperation::Kind;

namespace {

BlockId toBlockId(Ticket ticket) {
  return {ticket.block, static_cast<uint32_t>(ticket.generation)};
}

Outcome toOutcome(const Status &status) {
  switch (status.code()) {
  case StatusCode::Ok:
    return Outcome::Done;
  case StatusCode::NotFound:
    return Outcome::NotFound;
  case StatusCode::ResourceExhausted:
    return Outcome::Exhausted;
  case StatusCode::FailedPrecondition:
    return Outcome::Precondition;
  default:
    return Outcome::Invalid;
  }
}

CacheParameters withSizes(CacheParameters parameters, const CacheSizes &sizes) {
  parameters.blockSize = sizes.blockSize;
  parameters.maxSeqLen = sizes.maxSeqLen;
  return parameters;
}

std::string name(int sequence) { return "s" + std::to_string(sequence); }

} // namespace

CacheStorage smallStorage() {
  CacheStorage storage;
  storage.parameters.keyType = storage.parameters.valueType = ElementType::F32;
  storage.parameters.numLayers = storage.parameters.numKVHeads = 1;
  storage.parameters.keyHeadDim = storage.parameters.valueHeadDim = 16;
  return storage;
}

void giveConstantScales(PagedKVCache &cache) {
  auto scales = [&cache](uint32_t granularity) {
    bool isConstant = granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
    size_t count = size_t(cache.layout().num_layers) * size_t(cache.layout().num_kv_heads);
    return std::vector<float>(isConstant ? count : 0, 0.25f);
  };
  if (cache.hasConstantScales())
    (void)cache.setConstantScales(scales(cache.layout().key_scale_granularity),
                                  scales(cache.layout().value_scale_granularity));
}

CacheReplay::CacheReplay(const CacheSizes &sizes, const CacheStorage &storage)
    : model_(sizes), elementType_(storage.elementType),
      cache_(withSizes(storage.parameters, sizes), storage.elementType, sizes.numBlocks) {
  giveConstantScales(cache_);
}

Status CacheReplay::append(const CacheOperation &operation) {
  // Refused appends have no tags; what they would write is anything.
  std::vector<Tag> tags(operation.sequences.size() * static_cast<size_t>(operation.tokens), 99);
  if (model_.written().size() == tags.size())
    tags = model_.written();
  EncodedTags encoded = encodeTags(cache_.layout(), elementType_, tags);
  std::vector<int32_t> blocks(tags.size() + 1);
  return cache_.appendKV(encoded.keys.data(), encoded.values.data(),
                         static_cast<int64_t>(operation.sequences.size()), operation.tokens,
                         operation.sequences.data(), blocks.data());
}

Status CacheReplay::perform(const CacheOperation &operation, Ticket firstHeld) {
  std::vector<SequenceId> ids;
  for (int id : operation.sequences)
    ids.push_back(SequenceId{id});
  switch (operation.kind) {
  case Kind::Append:
    return append(operation);
  case Kind::Truncate:
    return cache_.truncate(ids[0], operation.tokens);
  case Kind::Free:
    return cache_.freeSequence(ids[0]);
  case Kind::Fork:
    return cache_.fork(ids[0], ids[1]);
  case Kind::Hold:
    return cache_.retainBlock((*cache_.blocks(ids[0]))[static_cast<size_t>(operation.tokens)]);
  case Kind::Unhold:
    return cache_.releaseBlock(toBlockId(firstHeld));
  case Kind::Attach: {
    std::span<const BlockId> source = *cache_.blocks(ids[1]);
    std::vector<BlockId> blocks(
        source.begin(), source.begin() + blocksForTokens(cache_.layout(), operation.tokens));
    return cache_.attach(ids[0], blocks, operation.tokens);
  }
  }
  return Status::ok();
}

std::string CacheReplay::step(const CacheOperation &operation) {
  Ticket firstHeld = model_.held.empty() ? Ticket{} : model_.held.front();
  Outcome expected = model_.perform(operation);
  Status status = perform(operation, firstHeld);
  if (toOutcome(status) == expected)
    return "";
  return describe(operation) + " ended as " + std::to_string(int(toOutcome(status))) +
         " instead of " + std::to_string(int(expected)) + ": " + status.message();
}

std::string CacheReplay::compare() {
  std::vector<BlockId> held;
  for (Ticket block : model_.held)
    held.push_back(toBlockId(block));
  if (Status status = cache_.checkInvariants(held); !status.isOk())
    return status.message();
  for (const std::string &problem :
       {model_.check(), comparePool(), compareSequences(), compareContents(), compareStaleIds()})
    if (!problem.empty())
      return problem;
  return "";
}

std::string CacheReplay::comparePool() const {
  const BlockPool &pool = cache_.pool();
  if (pool.numFree() != int(model_.pool.free.size()))
    return std::to_string(pool.numFree()) + " blocks are free instead of " +
           std::to_string(model_.pool.free.size());
  for (int block = 0; block < model_.sizes.numBlocks; ++block) {
    int owners = model_.pool.blocks[static_cast<size_t>(block)].owners;
    if (pool.useCount(block) != owners || pool.isIndexInUse(block) != (owners > 0) ||
        pool.isLive(toBlockId(model_.pool.current(block))) != (owners > 0))
      return "block " + std::to_string(block) + " has " + std::to_string(pool.useCount(block)) +
             " owners instead of " + std::to_string(owners);
  }
  return "";
}

/// Earlier, later and free ids of a block are refused by everything that takes an id.
std::string CacheReplay::compareStaleIds() {
  // All blocks of a small pool; of a large one a few, others each time.
  for (int i = 0; i < std::min(4, model_.sizes.numBlocks); ++i) {
    int block = nextStaleBlock_++ % model_.sizes.numBlocks;
    Ticket now = model_.pool.current(block);
    for (int generation : {now.generation, now.generation - 1, 1, 0, now.generation + 1}) {
      if (generation < 0 || model_.pool.isLive({block, generation}))
        continue;
      BlockId id = toBlockId({block, generation});
      if (cache_.retainBlock(id).isOk() || cache_.releaseBlock(id).isOk() ||
          cache_.blockBytes(id).isOk() || cache_.attach(SequenceId{1 << 20}, {&id, 1}, 1).isOk() ||
          cache_.pool().isLive(id))
        return "block " + std::to_string(block) + " was accepted by generation " +
               std::to_string(generation) + ", which is stale";
    }
  }
  return "";
}

std::string CacheReplay::compareSequences() const {
  if (cache_.numSequences() != model_.sequences.size())
    return std::to_string(cache_.numSequences()) + " sequences instead of " +
           std::to_string(model_.sequences.size());
  for (const auto &[id, sequence] : model_.sequences) {
    StatusOr<int64_t> length = cache_.length(SequenceId{id});
    if (!length || *length != int64_t(sequence.tokens.size()))
      return name(id) + " has the wrong length";
    std::span<const BlockId> blocks = *cache_.blocks(SequenceId{id});
    if (!std::equal(blocks.begin(), blocks.end(), sequence.table.begin(), sequence.table.end(),
                    [](BlockId real, Ticket ticket) { return real == toBlockId(ticket); }))
      return name(id) + " has other blocks";
    std::vector<int32_t> row(static_cast<size_t>(model_.sizes.numBlocks) + 1, -1);
    if (!cache_.copyBlockTable(SequenceId{id}, row).isOk())
      return name(id) + " has no block table";
    for (size_t i = 0; i < row.size(); ++i)
      if (row[i] != (i < sequence.table.size() ? sequence.table[i].block : 0))
        return name(id) + " has another block table";
    if (cache_.slot(SequenceId{id}, *length).isOk())
      return name(id) + " has a slot past its end";
  }
  return "";
}

std::string CacheReplay::compareContents() const {
  for (const auto &[id, sequence] : model_.sequences)
    if (std::string problem = checkTags(cache_, elementType_, SequenceId{id}, sequence.tokens);
        !problem.empty())
      return problem;
  return "";
}

std::string CacheReplay::drain() {
  std::vector<BlockId> all;
  while (!model_.pool.free.empty()) {
    Ticket expected = *model_.pool.allocate();
    StatusOr<BlockId> block = cache_.allocateBlock();
    if (!block || *block != toBlockId(expected))
      return "block " + std::to_string(block ? block->index : -1) + " is handed out instead of " +
             std::to_string(expected.block);
    all.push_back(*block);
  }
  if (cache_.allocateBlock().isOk())
    return "a full pool hands out a block";
  for (BlockId block : all) {
    model_.pool.release({block.index, int(block.generation)});
    if (!cache_.releaseBlock(block).isOk())
      return "a block cannot be given back";
  }
  return "";
}

std::string CacheReplay::clear() {
  for (const auto &[id, sequence] : model_.sequences)
    if (!cache_.freeSequence(SequenceId{id}).isOk())
      return name(id) + " cannot be freed";
  for (Ticket block : model_.held)
    if (!cache_.releaseBlock(toBlockId(block)).isOk())
      return "a held block cannot be given back";
  model_.clear();
  return "";
}

} // namespace llmir::model
