// AdaptiveBlockManager: the choice of runs for a sequence, and what is learnt when it ends.

#include "llmir/Cache/AdaptiveBlockManager.h"

#include "RunAllocator.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Device/HostMemory.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

/// The last values, in a ring.
template <typename T> class History {
public:
  explicit History(size_t capacity) : capacity_(std::max<size_t>(capacity, 1)) {}
  void add(T value) {
    if (values_.size() < capacity_)
      values_.push_back(value);
    else
      values_[next_] = value;
    next_ = (next_ + 1) % capacity_;
  }
  std::span<const T> values() const { return values_; }

private:
  size_t capacity_;
  size_t next_ = 0;
  std::vector<T> values_;
};

struct AdaptiveSequence {
  int64_t expectedLength = 0; ///< At first: what the prediction starts from.
  int64_t capacity = 0;
  std::vector<KVBlock *> blocks;
};

} // namespace

struct AdaptiveBlockManager::State {
  State(const BlockSizeConfig &sizes, const AdaptationConfig &config)
      : current(sizes), config(config),
        lengths(static_cast<size_t>(std::max<int64_t>(config.history, 1))),
        growth(static_cast<size_t>(std::max<int64_t>(config.history, 1))),
        explanation("the sizes are as configured: no sequence has ended yet") {}

  Status initialize(const CacheParameters &parameters, const AdaptivePoolOptions &pool);
  int64_t predictLength(int64_t expectedLength) const;
  /// The size of the next block of a sequence that holds `capacity` tokens.
  int64_t nextBlockSize(int64_t capacity, int64_t expectedLength, int64_t predictedLength) const;
  std::vector<int64_t> planBlocks(int64_t capacity, int64_t expectedLength,
                                  int64_t predictedLength) const;
  int64_t poolBlocks(std::span<const int64_t> sizes) const;
  void addBlock(AdaptiveSequence &sequence, int64_t size);
  Status ended(const AdaptiveSequence &sequence, int64_t finalLength);
  void tune();

  Status status;
  BlockSizeConfig current;
  AdaptationConfig config;
  llmir_cache_layout layout{};
  HostMemory memory;
  RunAllocator runs;
  std::vector<KVBlock> blocks; // by first pool block: so pointers stay valid
  std::unordered_map<int32_t, AdaptiveSequence> sequences;
  History<int64_t> lengths;
  History<double> growth; // final length / expected length
  AdaptationStatistics statistics;
  std::string explanation;
};

Status AdaptiveBlockManager::State::initialize(const CacheParameters &parameters,
                                               const AdaptivePoolOptions &pool) {
  LLMIR_RETURN_IF_ERROR(checkBlockSizes(current));
  if (config.minBlockSize < 1 || !std::has_single_bit(uint64_t(config.minBlockSize)) ||
      !std::has_single_bit(uint64_t(config.maxBlockSize)) ||
      config.maxBlockSize < config.minBlockSize || config.maxBlockSize > (1 << 20))
    return invalidArgument("expected sizes to recommend between two powers of two, but got " +
                           std::to_string(config.minBlockSize) + " and " +
                           std::to_string(config.maxBlockSize));
  if (config.tuningInterval < 1 || config.history < 1 || !(config.tokensPerBlock >= 0))
    return invalidArgument("expected a positive tuning interval and history and a block worth 0 "
                           "or more tokens, but got " +
                           std::to_string(config.tuningInterval) + ", " +
                           std::to_string(config.history) + " and " +
                           std::to_string(config.tokensPerBlock));
  StatusOr<llmir_cache_layout> made = makeCacheLayout(parameters);
  if (!made)
    return made.status();
  layout = *made;
  int64_t count = pool.numTokens ? *pool.numTokens / layout.block_size
                                 : defaultNumBlocks(layout, layout.block_stride);
  int64_t most = (int64_t(1) << 30) / layout.block_size;
  if (count < 1 || count > most)
    return invalidArgument("expected a pool of " + std::to_string(layout.block_size) + " to " +
                           std::to_string(most * layout.block_size) + " tokens, but got " +
                           std::to_string(pool.numTokens.value_or(0)));
  StatusOr<HostMemory> allocated =
      HostMemory::allocate(static_cast<size_t>(count) * static_cast<size_t>(layout.block_stride));
  if (!allocated)
    return allocated.status();
  memory = *std::move(allocated);
  runs = RunAllocator(static_cast<int32_t>(count));
  blocks.resize(static_cast<size_t>(count));
  return Status::ok();
}

/// What a sequence of which `expectedLength` tokens are expected will have in the end, by the
/// median of what became of earlier ones.
int64_t AdaptiveBlockManager::State::predictLength(int64_t expectedLength) const {
  if (config.policy != AdaptationPolicy::PREDICTIVE || growth.values().empty())
    return expectedLength;
  std::vector<double> ratios(growth.values().begin(), growth.values().end());
  auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  double predicted = double(expectedLength) * std::max(*middle, 1.0);
  return static_cast<int64_t>(std::min(predicted, double(layout.max_seq_len)));
}

int64_t AdaptiveBlockManager::State::nextBlockSize(int64_t capacity, int64_t expectedLength,
                                                   int64_t predictedLength) const {
  if (config.policy == AdaptationPolicy::STATIC)
    return current.primaryBlockSize;
  int64_t rest = std::max(predictedLength, expectedLength) - capacity;
  return rest >= current.largeBlockSize     ? current.largeBlockSize
         : rest >= current.primaryBlockSize ? current.primaryBlockSize
                                            : current.smallBlockSize;
}

/// Sizes of the blocks that a sequence which holds `capacity` tokens needs besides.
std::vector<int64_t> AdaptiveBlockManager::State::planBlocks(int64_t capacity,
                                                             int64_t expectedLength,
                                                             int64_t predictedLength) const {
  std::vector<int64_t> sizes;
  for (; capacity < expectedLength; capacity += sizes.back())
    sizes.push_back(nextBlockSize(capacity, expectedLength, predictedLength));
  return sizes;
}

int64_t AdaptiveBlockManager::State::poolBlocks(std::span<const int64_t> sizes) const {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(0)) / layout.block_size;
}

/// Adds a block of `size` tokens, or smaller ones of as many tokens where no such run is free.
void AdaptiveBlockManager::State::addBlock(AdaptiveSequence &sequence, int64_t size) {
  int32_t order = std::bit_width(static_cast<uint64_t>(size / layout.block_size)) - 1;
  std::optional<int32_t> first = runs.allocate(order);
  if (!first) {
    addBlock(sequence, size / 2);
    addBlock(sequence, size / 2);
    return;
  }
  KVBlock &block = blocks[static_cast<size_t>(*first)];
  block = {*first, int32_t(1) << order, sequence.capacity, size,
           memory.data() + *first * layout.block_stride};
  sequence.blocks.push_back(&block);
  sequence.capacity += size;
}

Status AdaptiveBlockManager::State::ended(const AdaptiveSequence &sequence, int64_t finalLength) {
  for (const KVBlock *block : sequence.blocks)
    if (!runs.release(block->firstPoolBlock,
                      std::bit_width(static_cast<uint32_t>(block->numPoolBlocks)) - 1))
      return internalError("pool block " + std::to_string(block->firstPoolBlock) +
                           " is not in use");
  ++statistics.sequences;
  statistics.usedTokens += std::min(finalLength, sequence.capacity);
  statistics.heldTokens += sequence.capacity;
  statistics.blocks += static_cast<int64_t>(sequence.blocks.size());
  lengths.add(finalLength);
  if (sequence.expectedLength > 0)
    growth.add(double(finalLength) / double(sequence.expectedLength));
  if (config.enableAutoTuning && statistics.sequences % config.tuningInterval == 0)
    tune();
  return Status::ok();
}

/// Adopts the recommended sizes, as far as the pool's blocks can form them.
void AdaptiveBlockManager::State::tune() {
  AdaptationConfig possible = config;
  possible.minBlockSize = layout.block_size;
  auto times = static_cast<uint64_t>(config.maxBlockSize / layout.block_size);
  possible.maxBlockSize =
      layout.block_size * static_cast<int64_t>(std::bit_floor(std::max<uint64_t>(times, 1)));
  BlockSizeAdvice advice = adviseBlockSizes(lengths.values(), current, possible, layout.block_size);
  explanation = advice.reason;
  if (advice.sizes == current)
    return;
  current = advice.sizes;
  ++statistics.adaptations;
}

AdaptiveBlockManager::AdaptiveBlockManager(int64_t numLayers, int64_t numHeads, int64_t headDim,
                                           const BlockSizeConfig &blockConfig,
                                           const AdaptationConfig &adaptConfig,
                                           const AdaptivePoolOptions &pool)
    : state_(std::make_unique<State>(blockConfig, adaptConfig)) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = pool.elementType;
  parameters.numLayers = numLayers;
  parameters.numKVHeads = numHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = headDim;
  parameters.blockSize = blockConfig.smallBlockSize;
  parameters.maxSeqLen = pool.maxSeqLen;
  state_->status = state_->initialize(parameters, pool).withContext("adaptive block manager");
}

AdaptiveBlockManager::AdaptiveBlockManager(AdaptiveBlockManager &&) noexcept = default;
AdaptiveBlockManager &AdaptiveBlockManager::operator=(AdaptiveBlockManager &&) noexcept = default;
AdaptiveBlockManager::~AdaptiveBlockManager() = default;

const Status &AdaptiveBlockManager::status() const { return state_->status; }
const llmir_cache_layout &AdaptiveBlockManager::layout() const { return state_->layout; }
uint8_t *AdaptiveBlockManager::base() const { return state_->memory.data(); }
const BlockSizeConfig &AdaptiveBlockManager::currentConfig() const { return state_->current; }
const std::string &AdaptiveBlockManager::explanation() const { return state_->explanation; }
const AdaptationStatistics &AdaptiveBlockManager::statistics() const { return state_->statistics; }
int32_t AdaptiveBlockManager::numFreePoolBlocks() const { return state_->runs.numFree(); }

Status AdaptiveBlockManager::allocateBlocksForSequence(int32_t sequenceId, int64_t expectedLength,
                                                       std::vector<KVBlock *> &blocks) {
  State &state = *state_;
  LLMIR_RETURN_IF_ERROR(state.status);
  if (expectedLength < 0 || expectedLength > state.layout.max_seq_len)
    return resourceExhausted("expected sequence " + std::to_string(sequenceId) + " to have 0 to " +
                             std::to_string(state.layout.max_seq_len) + " tokens, but got " +
                             std::to_string(expectedLength));
  auto found = state.sequences.find(sequenceId);
  bool isNew = found == state.sequences.end();
  int64_t capacity = isNew ? 0 : found->second.capacity;
  // A sequence that grows comes up to what was predicted for it at first.
  int64_t predicted = state.predictLength(isNew ? expectedLength : found->second.expectedLength);
  std::vector<int64_t> sizes = state.planBlocks(capacity, expectedLength, predicted);
  int64_t needed = state.poolBlocks(sizes);
  if (needed > state.runs.numFree()) {
    // Not as it would be best, but as it is possible.
    sizes = state.planBlocks(capacity, expectedLength, expectedLength);
    needed = state.poolBlocks(sizes);
  }
  if (needed > state.runs.numFree())
    return resourceExhausted("pool exhausted: sequence " + std::to_string(sequenceId) + " needs " +
                             std::to_string(needed) + " more pool blocks of " +
                             std::to_string(state.layout.block_size) + " tokens, " +
                             std::to_string(state.runs.numFree()) + " free of " +
                             std::to_string(state.runs.numUnits()));
  AdaptiveSequence &sequence = state.sequences[sequenceId];
  if (isNew)
    sequence.expectedLength = expectedLength;
  for (int64_t size : sizes)
    state.addBlock(sequence, size);
  blocks = sequence.blocks;
  return Status::ok();
}

Status AdaptiveBlockManager::recordSequenceComplete(int32_t sequenceId, int64_t finalLength) {
  State &state = *state_;
  LLMIR_RETURN_IF_ERROR(state.status);
  auto found = state.sequences.find(sequenceId);
  if (found == state.sequences.end())
    return notFound("unknown sequence " + std::to_string(sequenceId));
  if (finalLength < 0 || finalLength > state.layout.max_seq_len)
    return invalidArgument("expected a final length of 0 to " +
                           std::to_string(state.layout.max_seq_len) + ", but got " +
                           std::to_string(finalLength));
  AdaptiveSequence sequence = std::move(found->second);
  state.sequences.erase(found);
  return state.ended(sequence, finalLength);
}

Status AdaptiveBlockManager::copyBlockTable(int32_t sequenceId, std::span<int32_t> row) const {
  LLMIR_RETURN_IF_ERROR(state_->status);
  auto found = state_->sequences.find(sequenceId);
  if (found == state_->sequences.end())
    return notFound("unknown sequence " + std::to_string(sequenceId));
  int64_t needed = found->second.capacity / state_->layout.block_size;
  if (needed > static_cast<int64_t>(row.size()))
    return invalidArgument("expected a table row of at least " + std::to_string(needed) +
                           " blocks for sequence " + std::to_string(sequenceId) + ", but got " +
                           std::to_string(row.size()));
  auto next = row.begin();
  for (const KVBlock *block : found->second.blocks)
    for (int32_t i = 0; i < block->numPoolBlocks; ++i)
      *next++ = block->firstPoolBlock + i;
  std::fill(next, row.end(), 0);
  return Status::ok();
}

BlockSizeAdvice AdaptiveBlockManager::advise() const {
  if (!state_->status.isOk())
    return {state_->current, {}, state_->status.message()};
  return adviseBlockSizes(state_->lengths.values(), state_->current, state_->config);
}

BlockSizeConfig AdaptiveBlockManager::getRecommendedConfig() const { return advise().sizes; }

} // namespace llmir
