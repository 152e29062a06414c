// Batch: the ragged inputs of one step, laid out as compiled code reads them (llmir_step_args) in
// buffers that are allocated once. It checks what the ABI makes its caller's duty; which sequences
// are in a step is decided elsewhere (StepPlanner).

#ifndef LLMIR_ENGINE_BATCH_H
#define LLMIR_ENGINE_BATCH_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/PagedKVCache.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// What a step may hold at most, and the ranges of the numbers in it.
struct BatchLimits {
  int64_t maxTokens = 0;
  int64_t maxSequences = 0;
  int64_t maxRows = 0;
  int64_t vocabularySize = 0;
  int64_t maxSequenceLength = 0;
};

/// Which tokens of a sequence's share of a step get a row of logits.
enum class LogitsRows {
  None,
  Last,
  All,
};

/// A sequence's share of a step.
struct BatchEntry {
  SequenceId sequence{};
  std::span<const int32_t> tokens; ///< The tokens to compute, in order; at least one.
  int64_t firstPosition = 0;       ///< Of tokens[0]: how many tokens of the sequence come before.
  LogitsRows rows = LogitsRows::None;
};

/// Where an entry's rows of logits are.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// The inputs of one step. After the first reservation nothing is allocated. One thread at a
/// time.
class Batch {
public:
  explicit Batch(const BatchLimits &limits);

  // The views point into the buffers.
  Batch(const Batch &) = delete;
  Batch &operator=(const Batch &) = delete;

  /// Empties the batch. What was reserved in caches stays.
  void clear();

  /// Appends a sequence's share and says which rows of logits are its. An entry that does not fit
  /// or has a token or position out of range is an InvalidArgument, and the batch is unchanged.
  StatusOr<RowRange> add(const BatchEntry &entry);

  /// Makes room for the batch's tokens in every cache, or in none: ResourceExhausted with the
  /// numbers when blocks run out; InvalidArgument when a sequence is not as long as its first
  /// position says.
  Status reserve(std::span<PagedKVCache *const> caches);
  /// Gives back what reserve() took: for a step that did not happen.
  Status unreserve(std::span<PagedKVCache *const> caches);

  const BatchLimits &limits() const { return limits_; }
  int64_t numTokens() const { return numTokens_; }
  int64_t numSequences() const { return static_cast<int64_t>(requests_.size()); }
  int64_t numRows() const { return numRows_; }

  /// The step's arguments but for logits, weights, workspace and workers, which are zero. The
  /// pointers are valid until the batch changes. The batch must be reserved and not empty.
  llmir_step_args stepArguments() const;

private:
  Status check(const BatchEntry &entry) const;
  void reserveTables(std::span<PagedKVCache *const> caches);
  Status checkLengths(const PagedKVCache &cache) const;

  BatchLimits limits_;
  int64_t numTokens_ = 0;
  int64_t numRows_ = 0;
  std::vector<int32_t> tokens_;         // [maxTokens]
  std::vector<int32_t> positions_;      // [maxTokens]
  std::vector<int32_t> cuLengths_;      // [maxSequences + 1]
  std::vector<int32_t> contextLengths_; // [maxSequences]
  std::vector<int32_t> rows_;           // [maxRows]
  std::vector<AppendRequest> requests_; // one a sequence
  std::vector<CacheStepTables> tables_; // one a cache
  std::vector<llmir_cache_view> views_; // one a cache
};

} // namespace llmir

#endif // LLMIR_ENGINE_BATCH_H
