// PagedKVCache against a model that keeps every sequence's tokens in a plain vector: a seeded run
// of appends, truncations, forks and frees on a small pool, so that blocks scatter, are shared,
// copied and run out.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t blockSize = 4, maxSeqLen = 30, numBlocks = 24;

class RandomRun {
public:
  explicit RandomRun(uint32_t seed)
      : random_(seed), cache_(1, 1, 1, blockSize, maxSeqLen, ElementType::F32, numBlocks) {}

  void step() {
    uint32_t action = random_() % 10;
    SequenceId sequence = pick();
    if (action < 5)
      append();
    else if (action < 7)
      truncate(sequence);
    else if (action < 8)
      fork(sequence, pick());
    else
      free(sequence);
  }

  void check() {
    ASSERT_EQ(cache_.numSequences(), model_.size());
    std::set<int32_t> used;
    for (const auto &[id, tokens] : model_) {
      ASSERT_EQ(*cache_.length(id), static_cast<int64_t>(tokens.size()));
      std::vector<int32_t> table;
      for (size_t t = 0; t < tokens.size(); ++t)
        table.push_back(*cache_.slot(id, static_cast<int64_t>(t)) / int32_t(blockSize));
      used.insert(table.begin(), table.end());
      auto length = static_cast<int32_t>(tokens.size());
      std::vector<float> keys(tokens.size()), values(tokens.size());
      Status status = cache_.lookupKV(table.data(), &length, 1, keys.data(), values.data());
      ASSERT_TRUE(status.isOk()) << status.message();
      ASSERT_EQ(keys, tokens);
    }
    ASSERT_EQ(static_cast<int64_t>(used.size()), numBlocks - cache_.pool().numFree());
  }

  int64_t exhausted() const { return exhausted_; }
  int64_t forks() const { return forks_; }

private:
  SequenceId pick() { return SequenceId{static_cast<int32_t>(random_() % 9)}; }

  void append() {
    std::set<SequenceId> chosen;
    for (uint32_t i = 0, count = 1 + random_() % 4; i < count; ++i)
      chosen.insert(pick());
    int64_t tokens = 1 + random_() % 6, needed = 0;
    bool fits = true;
    std::vector<int32_t> ids;
    std::vector<float> data;
    for (SequenceId id : chosen) {
      ids.push_back(static_cast<int32_t>(id));
      needed += cache_.blocksNeeded(id, tokens);
      auto found = model_.find(id);
      auto length = found == model_.end() ? 0 : static_cast<int64_t>(found->second.size());
      fits = fits && length + tokens <= maxSeqLen;
      for (int64_t t = 0; t < tokens; ++t)
        data.push_back(next_++);
    }
    std::vector<int32_t> blocks(data.size());
    bool expected = fits && needed <= cache_.pool().numFree();
    Status status = cache_.appendKV(data.data(), data.data(), static_cast<int64_t>(ids.size()),
                                    tokens, ids.data(), blocks.data());
    ASSERT_EQ(status.isOk(), expected) << status.message();
    if (!expected) {
      ASSERT_EQ(status.code(), StatusCode::ResourceExhausted);
      ++exhausted_;
      return;
    }
    size_t begin = 0;
    for (SequenceId id : chosen) {
      auto &of = model_[id];
      of.insert(of.end(), data.begin() + static_cast<int64_t>(begin),
                data.begin() + static_cast<int64_t>(begin) + tokens);
      begin += static_cast<size_t>(tokens);
    }
  }

  void truncate(SequenceId id) {
    auto found = model_.find(id);
    size_t length = found == model_.end() ? 0 : random_() % (found->second.size() + 1);
    ASSERT_EQ(cache_.truncate(id, static_cast<int64_t>(length)).isOk(), found != model_.end());
    if (found != model_.end())
      found->second.resize(length);
  }

  void fork(SequenceId parent, SequenceId child) {
    bool expected = model_.count(parent) && !model_.count(child);
    ASSERT_EQ(cache_.fork(parent, child).isOk(), expected);
    if (expected) {
      model_[child] = std::vector<float>(model_[parent]);
      ++forks_;
    }
  }

  void free(SequenceId id) { ASSERT_EQ(cache_.freeSequence(id).isOk(), model_.erase(id) == 1); }

  std::mt19937 random_;
  PagedKVCache cache_;
  std::map<SequenceId, std::vector<float>> model_;
  float next_ = 1;
  int64_t exhausted_ = 0, forks_ = 0;
};

} // namespace

TEST(PagedKVCacheRandomTest, FollowsTheModel) {
  RandomRun run(424242);
  for (int step = 0; step < 10000; ++step) {
    ASSERT_NO_FATAL_FAILURE(run.step()) << "step " << step;
    ASSERT_NO_FATAL_FAILURE(run.check()) << "step " << step;
  }
  // The run met what it is for.
  EXPECT_GT(run.exhausted(), 100);
  EXPECT_GT(run.forks(), 100);
}
