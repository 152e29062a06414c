// PagedKVCache: construction, reservation and the life of sequences. Copying keys and values in and
// out is in PagedKVCacheCopy.cpp, blocks with owners apart from sequences in
// PagedKVCacheSharing.cpp.

#include "llmir/Cache/PagedKVCache.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace llmir {

namespace {

Status unknownSequence(SequenceId sequence) { return notFound("unknown " + describe(sequence)); }

CacheParameters sameForKeysAndValues(int64_t numLayers, int64_t numHeads, int64_t headDim,
                                     int64_t blockSize, int64_t maxSeqLen, ElementType type) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = type;
  parameters.numLayers = numLayers;
  parameters.numKVHeads = numHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = headDim;
  parameters.blockSize = blockSize;
  parameters.maxSeqLen = maxSeqLen;
  return parameters;
}

} // namespace

std::string describe(SequenceId sequence) {
  return "sequence " + std::to_string(static_cast<int32_t>(sequence));
}

int64_t defaultNumBlocks(const llmir_cache_layout &layout, int64_t blockBytes) {
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE));
  int64_t perSequence = blocksForTokens(layout, layout.max_seq_len);
  int64_t most = std::numeric_limits<int32_t>::max() / layout.block_size;
  return std::min(most, std::max(perSequence, std::min(4 * perSequence, memory / 4 / blockBytes)));
}

PagedKVCache::PagedKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
                           int64_t maxSeqLen, ElementType elementType,
                           std::optional<int64_t> numBlocks)
    : PagedKVCache(
          sameForKeysAndValues(numLayers, numHeads, headDim, blockSize, maxSeqLen, elementType),
          numBlocks) {}

/// The type of arrays of a side that is stored as `storage`.
static ElementType arrayTypeFor(ElementType storage) {
  return isFloatArrayType(storage) ? storage : ElementType::F32;
}

PagedKVCache::PagedKVCache(const CacheParameters &parameters, std::optional<int64_t> numBlocks)
    : keyElementType_(arrayTypeFor(parameters.keyType)),
      valueElementType_(arrayTypeFor(parameters.valueType)) {
  status_ = initialize(parameters, numBlocks).withContext("paged KV cache");
}

PagedKVCache::PagedKVCache(const CacheParameters &parameters, ElementType elementType,
                           std::optional<int64_t> numBlocks)
    : keyElementType_(elementType), valueElementType_(elementType) {
  status_ = initialize(parameters, numBlocks).withContext("paged KV cache");
}

Status PagedKVCache::initialize(const CacheParameters &parameters,
                                std::optional<int64_t> numBlocks) {
  StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters);
  if (!layout)
    return layout.status();
  if (!isFloatArrayType(keyElementType_) || !isFloatArrayType(valueElementType_))
    return invalidArgument("expected the element type of arrays to be f32, f16 or bf16, but got " +
                           elementTypeName(keyElementType_));
  layout_ = *layout;
  float missing = std::numeric_limits<float>::quiet_NaN();
  keyScales_.assign(numConstants(layout_.key_scale_granularity, layout_.num_layers), missing);
  valueScales_.assign(numConstants(layout_.value_scale_granularity, layout_.num_layers), missing);
  keyCodec_ = CacheCodec(layout_, CacheSide::Keys, keyElementType_);
  valueCodec_ = CacheCodec(layout_, CacheSide::Values, valueElementType_);

  int64_t count = numBlocks.value_or(defaultNumBlocks(layout_, layout_.block_stride));
  // A slot is block * block_size + offset in 32 bits; the pool's size fits an int64.
  int64_t most = std::min(std::numeric_limits<int32_t>::max() / int64_t(layout_.block_size),
                          std::numeric_limits<int64_t>::max() / layout_.block_stride);
  if (count < 1 || count > most)
    return invalidArgument("expected 1 to " + std::to_string(most) + " blocks, but got " +
                           std::to_string(count));
  StatusOr<HostMemory> memory =
      HostMemory::allocate(static_cast<size_t>(count) * static_cast<size_t>(layout_.block_stride));
  if (!memory)
    return memory.status().withContext(std::to_string(count) + " blocks of " +
                                       std::to_string(layout_.block_stride) + " bytes");
  memory_ = *std::move(memory);
  pool_ = BlockPool(static_cast<int32_t>(count));
  return pool_.status();
}

void PagedKVCache::fail(Status status) {
  if (status_.isOk())
    status_ = std::move(status);
}

bool PagedKVCache::mustCopyLastBlock(const Sequence &sequence) const {
  if (sequence.length % layout_.block_size == 0)
    return false;
  StatusOr<int32_t> owners = pool_.useCount(sequence.blocks.back());
  return owners.isOk() && *owners > 1;
}

int64_t PagedKVCache::blocksNeeded(SequenceId id, int64_t tokens) const {
  if (!status_.isOk() || tokens <= 0)
    return 0;
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return blocksForTokens(layout_, tokens);
  const Sequence &sequence = found->second;
  return blocksForTokens(layout_, sequence.length + tokens) -
         static_cast<int64_t>(sequence.blocks.size()) + (mustCopyLastBlock(sequence) ? 1 : 0);
}

int64_t PagedKVCache::blocksNeeded(std::span<const AppendRequest> requests) const {
  int64_t blocks = 0;
  for (const AppendRequest &request : requests)
    blocks += blocksNeeded(request.sequence, request.tokens);
  return blocks;
}

Status PagedKVCache::checkRequests(std::span<const AppendRequest> requests) {
  scratchIds_.clear();
  for (const AppendRequest &request : requests) {
    if (request.tokens < 0)
      return invalidArgument("expected 0 or more tokens for " + describe(request.sequence) +
                             ", but got " + std::to_string(request.tokens));
    auto found = sequences_.find(request.sequence);
    int64_t length = found == sequences_.end() ? 0 : found->second.length;
    if (request.tokens > layout_.max_seq_len - length)
      return resourceExhausted(describe(request.sequence) + " is full: has " +
                               std::to_string(length) + " tokens, cannot take " +
                               std::to_string(request.tokens) + " more of at most " +
                               std::to_string(layout_.max_seq_len));
    scratchIds_.push_back(request.sequence);
  }
  std::sort(scratchIds_.begin(), scratchIds_.end());
  auto twice = std::adjacent_find(scratchIds_.begin(), scratchIds_.end());
  if (twice != scratchIds_.end())
    return invalidArgument("expected each sequence once, but got " + describe(*twice) + " twice");
  int64_t needed = blocksNeeded(requests);
  if (needed > pool_.numFree() && reclaimer_)
    needed = reclaimFor(requests, needed);
  return pool_.checkFree(needed);
}

int64_t PagedKVCache::reclaimFor(std::span<const AppendRequest> requests, int64_t needed) {
  // A block that loses its other owner needs no copy any more, so count again each time.
  reclaimer_->reclaim(needed - pool_.numFree());
  needed = blocksNeeded(requests);
  for (const AppendRequest &request : requests) {
    if (needed <= pool_.numFree())
      break;
    auto found = sequences_.find(request.sequence);
    if (request.tokens == 0 || found == sequences_.end() || !mustCopyLastBlock(found->second))
      continue;
    BlockId shared = found->second.blocks.back();
    if (pool_.useCount(shared.index) == 2 && reclaimer_->giveUp(shared))
      needed = blocksNeeded(requests);
  }
  return needed;
}

PagedKVCache::Sequence &PagedKVCache::addSequence(SequenceId id) {
  auto [entry, isNew] = endedSequences_.add(sequences_, id);
  if (isNew) {
    entry->second.blocks.clear();
    entry->second.length = 0;
  }
  return entry->second;
}

Status PagedKVCache::unshareLastBlock(Sequence &sequence) {
  StatusOr<BlockId> copy = pool_.allocate();
  if (!copy)
    return copy.status();
  BlockId &last = sequence.blocks.back();
  std::memcpy(base() + copy->index * layout_.block_stride,
              base() + last.index * layout_.block_stride,
              static_cast<size_t>(layout_.block_stride));
  LLMIR_RETURN_IF_ERROR(pool_.release(last));
  last = *copy;
  return Status::ok();
}

Status PagedKVCache::extend(Sequence &sequence, int64_t tokens) {
  if (tokens == 0)
    return Status::ok();
  if (mustCopyLastBlock(sequence))
    LLMIR_RETURN_IF_ERROR(unshareLastBlock(sequence));
  auto wanted = static_cast<size_t>(blocksForTokens(layout_, sequence.length + tokens));
  while (sequence.blocks.size() < wanted) {
    StatusOr<BlockId> block = pool_.allocate();
    if (!block)
      return block.status();
    sequence.blocks.push_back(*block);
  }
  sequence.length += tokens;
  return Status::ok();
}

Status PagedKVCache::reserve(std::span<const AppendRequest> requests, CacheStepTables &tables) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(checkRequests(requests));
  // From here on nothing can fail: the blocks are there.
  tables.slots.clear();
  size_t stride = 1;
  for (const AppendRequest &request : requests) {
    Sequence &sequence = addSequence(request.sequence);
    int64_t start = sequence.length;
    LLMIR_RETURN_IF_ERROR(extend(sequence, request.tokens));
    for (int64_t position = start; position < sequence.length; ++position) {
      BlockId block = sequence.blocks[static_cast<size_t>(position / layout_.block_size)];
      tables.slots.push_back(block.index * layout_.block_size +
                             static_cast<int32_t>(position % layout_.block_size));
    }
    stride = std::max(stride, sequence.blocks.size());
  }
  tables.tableStride = static_cast<int64_t>(stride);
  tables.table.assign(requests.size() * stride, 0);
  for (size_t row = 0; row < requests.size(); ++row)
    LLMIR_RETURN_IF_ERROR(
        copyBlockTable(requests[row].sequence, {tables.table.data() + row * stride, stride}));
  return Status::ok();
}

Status PagedKVCache::reserveSlots(const int32_t *seqIds, int64_t batchSize, int64_t tokens,
                                  int32_t *slots, int32_t *blocks) {
  LLMIR_RETURN_IF_ERROR(reserveBatch(seqIds, batchSize, tokens));
  std::copy(scratchTables_.slots.begin(), scratchTables_.slots.end(), slots);
  copyBlocks(blocks);
  return Status::ok();
}

Status PagedKVCache::reserveBatch(const int32_t *seqIds, int64_t batchSize, int64_t tokens) {
  scratchRequests_.clear();
  for (int64_t b = 0; b < batchSize; ++b)
    scratchRequests_.push_back({SequenceId{seqIds[b]}, tokens});
  return reserve(scratchRequests_, scratchTables_);
}

void PagedKVCache::releaseFrom(Sequence &sequence, size_t firstBlock) {
  // The last block first: the start of a sequence is what another one may share again, so it
  // should be the last to be handed out.
  while (sequence.blocks.size() > firstBlock) {
    if (size_t count = sequence.blocks.size(); count > firstBlock + BlockPool::lookahead)
      pool_.fetchAhead(sequence.blocks[count - 1 - BlockPool::lookahead]);
    if (Status status = pool_.release(sequence.blocks.back()); !status.isOk())
      fail(status.withContext("block table"));
    sequence.blocks.pop_back();
  }
}

Status PagedKVCache::truncate(SequenceId id, int64_t length) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  Sequence &sequence = found->second;
  if (length < 0 || length > sequence.length)
    return invalidArgument("expected a length of 0 to " + std::to_string(sequence.length) +
                           " for " + describe(id) + ", but got " + std::to_string(length));
  releaseFrom(sequence, static_cast<size_t>(blocksForTokens(layout_, length)));
  sequence.length = length;
  return status_;
}

Status PagedKVCache::freeSequence(SequenceId id) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  releaseFrom(found->second, 0);
  endedSequences_.erase(sequences_, found);
  return status_;
}

Status PagedKVCache::fork(SequenceId parent, SequenceId child) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(parent);
  if (found == sequences_.end())
    return unknownSequence(parent);
  if (contains(child))
    return failedPrecondition("cannot fork into " + describe(child) + ": it exists");
  // References to elements stay valid when others are added.
  const Sequence &original = found->second;
  for (BlockId block : original.blocks)
    LLMIR_RETURN_IF_ERROR(pool_.retain(block));
  addSequence(child) = original;
  return Status::ok();
}

StatusOr<int64_t> PagedKVCache::length(SequenceId id) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  return found->second.length;
}

StatusOr<std::span<const BlockId>> PagedKVCache::blocks(SequenceId id) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  return std::span<const BlockId>(found->second.blocks);
}

StatusOr<int32_t> PagedKVCache::slot(SequenceId id, int64_t position) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  const Sequence &sequence = found->second;
  if (position < 0 || position >= sequence.length)
    return invalidArgument("expected a position below " + std::to_string(sequence.length) + " in " +
                           describe(id) + ", but got " + std::to_string(position));
  BlockId block = sequence.blocks[static_cast<size_t>(position / layout_.block_size)];
  return block.index * layout_.block_size + static_cast<int32_t>(position % layout_.block_size);
}

Status PagedKVCache::copyBlockTable(SequenceId id, std::span<int32_t> row) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  const std::vector<BlockId> &blocks = found->second.blocks;
  if (blocks.size() > row.size())
    return invalidArgument("expected a table row of at least " + std::to_string(blocks.size()) +
                           " blocks for " + describe(id) + ", but got " +
                           std::to_string(row.size()));
  auto rest = std::transform(blocks.begin(), blocks.end(), row.begin(),
                             [](BlockId block) { return block.index; });
  std::fill(rest, row.end(), 0);
  return Status::ok();
}

} // namespace llmir
