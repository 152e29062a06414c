// What the checkpoint tests share: a small cache with recognisable content, a picture of it that
// can be compared, and a prefix tree of records.

#ifndef LLMIR_UNITTESTS_CACHE_CHECKPOINTFIXTURE_H
#define LLMIR_UNITTESTS_CACHE_CHECKPOINTFIXTURE_H

#include "llmir/Cache/CheckpointManager.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace llmir {

#define EXPECT_OK(expression)                                                                      \
  do {                                                                                             \
    ::llmir::Status okStatus = (expression);                                                       \
    EXPECT_TRUE(okStatus.isOk()) << okStatus.message();                                            \
  } while (false)
#define ASSERT_OK(expression)                                                                      \
  do {                                                                                             \
    ::llmir::Status okStatus = (expression);                                                       \
    ASSERT_TRUE(okStatus.isOk()) << okStatus.message();                                            \
  } while (false)

/// Blocks of 4 tokens and 8 KiB in two layers and two heads: holes of a file system's block fit.
struct SmallCache {
  static constexpr int64_t layers = 2, heads = 2, headDim = 64, blockSize = 4, maxSeqLen = 64;
  static PagedKVCache make(int64_t numBlocks = 32) {
    return PagedKVCache(layers, heads, headDim, blockSize, maxSeqLen, ElementType::F32, numBlocks);
  }
};

/// Appends `tokens` tokens to a sequence, whose elements all differ with `seed`, layer and place.
inline Status appendTokens(PagedKVCache &cache, int32_t sequence, int64_t tokens, int32_t seed) {
  const llmir_cache_layout &layout = cache.layout();
  auto count =
      static_cast<size_t>(tokens * layout.num_layers * layout.num_kv_heads * layout.key_head_dim);
  std::vector<float> keys(count), values(count);
  for (size_t i = 0; i < count; ++i) {
    keys[i] = static_cast<float>(seed * 100000 + static_cast<int32_t>(i));
    values[i] = -keys[i];
  }
  return cache.appendKV(keys.data(), values.data(), 1, tokens, &sequence, nullptr);
}

/// All that a user of the cache can see of its sequences.
struct CachePicture {
  struct Sequence {
    int64_t length = 0;
    std::vector<int32_t> shared; ///< Blocks, numbered in the order of their first appearance.
    std::vector<float> keys, values;
    friend bool operator==(const Sequence &, const Sequence &) = default;
  };
  std::map<int32_t, Sequence> sequences;
  friend bool operator==(const CachePicture &, const CachePicture &) = default;
};

inline CachePicture pictureOf(const PagedKVCache &cache) {
  CachePicture picture;
  std::map<int32_t, int32_t> numbers;
  const llmir_cache_layout &layout = cache.layout();
  for (SequenceId id : cache.sequenceIds()) {
    CachePicture::Sequence &sequence = picture.sequences[static_cast<int32_t>(id)];
    sequence.length = *cache.length(id);
    for (BlockId block : *cache.blocks(id)) {
      auto next = static_cast<int32_t>(numbers.size());
      sequence.shared.push_back(numbers.try_emplace(block.index, next).first->second);
    }
    std::vector<int32_t> table;
    for (int64_t t = 0; t < sequence.length; ++t)
      table.push_back(*cache.slot(id, t) / layout.block_size);
    sequence.keys.resize(static_cast<size_t>(sequence.length * layout.num_layers *
                                             layout.num_kv_heads * layout.key_head_dim));
    sequence.values.resize(sequence.keys.size());
    auto length = static_cast<int32_t>(sequence.length);
    EXPECT_OK(
        cache.lookupKV(table.data(), &length, 1, sequence.keys.data(), sequence.values.data()));
  }
  return picture;
}

/// A tree that is nothing but its records; owns its blocks.
class RecordTree : public CheckpointTree {
public:
  explicit RecordTree(PagedKVCache &cache) : cache_(cache) {}
  ~RecordTree() override {
    for (const TreeRecord &record : records)
      (void)cache_.releaseBlock(record.block);
  }

  std::vector<TreeRecord> exportRecords() const override { return records; }
  Status importRecords(std::span<const TreeRecord> added) override {
    for (const TreeRecord &record : added)
      LLMIR_RETURN_IF_ERROR(add(record));
    return Status::ok();
  }
  Status add(TreeRecord record) {
    LLMIR_RETURN_IF_ERROR(cache_.retainBlock(record.block));
    records.push_back(std::move(record));
    return Status::ok();
  }
  std::vector<BlockId> held() const {
    std::vector<BlockId> blocks;
    for (const TreeRecord &record : records)
      blocks.push_back(record.block);
    return blocks;
  }

  std::vector<TreeRecord> records;

private:
  PagedKVCache &cache_;
};

} // namespace llmir

#endif // LLMIR_UNITTESTS_CACHE_CHECKPOINTFIXTURE_H
