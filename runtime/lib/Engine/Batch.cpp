// Lays ragged step inputs out and checks every number that compiled code uses as an index.

#include "llmir/Engine/Batch.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <string>

namespace llmir {

static int64_t rowsOf(const BatchEntry &entry) {
  switch (entry.rows) {
  case LogitsRows::None:
    return 0;
  case LogitsRows::Last:
    return 1;
  case LogitsRows::All:
    return static_cast<int64_t>(entry.tokens.size());
  }
  return 0;
}

Batch::Batch(const BatchLimits &limits)
    : limits_(limits), tokens_(static_cast<size_t>(limits.maxTokens)),
      positions_(static_cast<size_t>(limits.maxTokens)),
      cuLengths_(static_cast<size_t>(limits.maxSequences) + 1),
      contextLengths_(static_cast<size_t>(limits.maxSequences)),
      rows_(static_cast<size_t>(limits.maxRows)) {
  requests_.reserve(static_cast<size_t>(limits.maxSequences));
}

void Batch::clear() {
  numTokens_ = 0;
  numRows_ = 0;
  requests_.clear();
  views_.clear();
}

/// `expected what limit, but got value`.
static Status outOfRange(const char *what, int64_t limit, int64_t value) {
  return invalidArgument(std::string("expected ") + what + " " + std::to_string(limit) +
                         ", but got " + std::to_string(value));
}

Status Batch::check(const BatchEntry &entry) const {
  auto numTokens = static_cast<int64_t>(entry.tokens.size());
  if (numTokens == 0)
    return invalidArgument("expected at least one token of each sequence in a step");
  if (numTokens_ + numTokens > limits_.maxTokens)
    return outOfRange("tokens of a step to be at most", limits_.maxTokens, numTokens_ + numTokens);
  if (numSequences() == limits_.maxSequences)
    return outOfRange("sequences of a step to be at most", limits_.maxSequences,
                      numSequences() + 1);
  if (numRows_ + rowsOf(entry) > limits_.maxRows)
    return outOfRange("rows of logits of a step to be at most", limits_.maxRows,
                      numRows_ + rowsOf(entry));
  if (entry.firstPosition < 0)
    return outOfRange("a first position of at least", 0, entry.firstPosition);
  if (entry.firstPosition + numTokens > limits_.maxSequenceLength)
    return outOfRange("a context of at most", limits_.maxSequenceLength,
                      entry.firstPosition + numTokens);
  for (int32_t token : entry.tokens)
    if (token < 0 || token >= limits_.vocabularySize)
      return outOfRange("token ids from 0 to", limits_.vocabularySize - 1, token);
  return Status::ok();
}

StatusOr<RowRange> Batch::add(const BatchEntry &entry) {
  LLMIR_RETURN_IF_ERROR(check(entry));
  auto numTokens = static_cast<int64_t>(entry.tokens.size());
  std::copy(entry.tokens.begin(), entry.tokens.end(), tokens_.begin() + numTokens_);
  std::iota(positions_.begin() + numTokens_, positions_.begin() + numTokens_ + numTokens,
            static_cast<int32_t>(entry.firstPosition));
  RowRange range{numRows_, rowsOf(entry)};
  std::iota(rows_.begin() + numRows_, rows_.begin() + numRows_ + range.count,
            static_cast<int32_t>(numTokens_ + numTokens - range.count));
  contextLengths_[requests_.size()] = static_cast<int32_t>(entry.firstPosition + numTokens);
  requests_.push_back({entry.sequence, numTokens});
  numTokens_ += numTokens;
  numRows_ += range.count;
  cuLengths_[requests_.size()] = static_cast<int32_t>(numTokens_);
  return range;
}

Status Batch::checkLengths(const PagedKVCache &cache) const {
  for (size_t i = 0; i < requests_.size(); ++i) {
    SequenceId sequence = requests_[i].sequence;
    int64_t expected = contextLengths_[i] - requests_[i].tokens;
    int64_t length = cache.contains(sequence) ? *cache.length(sequence) : 0;
    if (length != expected)
      return invalidArgument("expected sequence " + std::to_string(static_cast<int32_t>(sequence)) +
                             " to have " + std::to_string(expected) +
                             " tokens in the cache, but it has " + std::to_string(length));
  }
  return Status::ok();
}

/// Makes room for the largest tables, so that growing sequences allocate nothing.
void Batch::reserveTables(std::span<PagedKVCache *const> caches) {
  tables_.resize(caches.size());
  views_.reserve(caches.size());
  for (size_t i = 0; i < caches.size(); ++i) {
    int64_t longest =
        std::min<int64_t>(blocksForTokens(caches[i]->layout(), limits_.maxSequenceLength),
                          caches[i]->pool().numBlocks());
    tables_[i].slots.reserve(static_cast<size_t>(limits_.maxTokens));
    tables_[i].table.reserve(static_cast<size_t>(limits_.maxSequences * longest));
  }
}

Status Batch::unreserve(std::span<PagedKVCache *const> caches) {
  views_.clear();
  for (PagedKVCache *cache : caches)
    for (size_t sequence = 0; sequence < requests_.size(); ++sequence)
      LLMIR_RETURN_IF_ERROR(cache->truncate(
          requests_[sequence].sequence, contextLengths_[sequence] - requests_[sequence].tokens));
  return Status::ok();
}

Status Batch::reserve(std::span<PagedKVCache *const> caches) {
  for (const PagedKVCache *cache : caches)
    LLMIR_RETURN_IF_ERROR(checkLengths(*cache));
  if (tables_.size() != caches.size())
    reserveTables(caches);
  views_.clear();
  for (size_t i = 0; i < caches.size(); ++i) {
    if (Status status = caches[i]->reserve(requests_, tables_[i]); !status) {
      LLMIR_RETURN_IF_ERROR(unreserve(caches.first(i)));
      return status;
    }
    views_.push_back(caches[i]->view(tables_[i]));
  }
  return Status::ok();
}

llmir_step_args Batch::stepArguments() const {
  assert(numTokens_ > 0 && "a step has tokens");
  llmir_step_args args = {};
  args.struct_size = sizeof(llmir_step_args);
  args.num_tokens = static_cast<int32_t>(numTokens_);
  args.num_sequences = static_cast<int32_t>(numSequences());
  args.num_rows = static_cast<int32_t>(numRows_);
  args.tokens = tokens_.data();
  args.positions = positions_.data();
  args.cu_lengths = cuLengths_.data();
  args.context_lengths = contextLengths_.data();
  args.rows = rows_.data();
  args.caches = views_.data();
  args.num_caches = static_cast<int64_t>(views_.size());
  args.world_size = 1;
  return args;
}

} // namespace llmir
