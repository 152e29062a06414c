// Batch: the layout of ragged inputs, and refusal of every number out of range.

#include "llmir/Engine/Batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace llmir;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {
class BatchTest : public testing::Test {
protected:
  static BatchEntry entry(int32_t sequence, std::span<const int32_t> tokens, int64_t first,
                          LogitsRows rows) {
    return {static_cast<SequenceId>(sequence), tokens, first, rows};
  }

  BatchLimits limits_{8, 3, 4, 100, 16};
  Batch batch_{limits_};
  PagedKVCache cache_{1, 1, 4, 4, 16, ElementType::F32, 8};
  PagedKVCache *caches_[1] = {&cache_};
  std::vector<int32_t> five_ = {1, 2, 3, 4, 5};
  std::vector<int32_t> two_ = {10, 11};
};

template <typename T> std::vector<T> list(const T *data, int64_t count) {
  return {data, data + count};
}
} // namespace

TEST_F(BatchTest, LaysSequencesOutOneAfterAnother) {
  ASSERT_TRUE(batch_.add(entry(0, five_, 0, LogitsRows::Last)).isOk());
  StatusOr<RowRange> rows = batch_.add(entry(1, two_, 0, LogitsRows::All));
  ASSERT_TRUE(rows.isOk());
  EXPECT_EQ(rows->first, 1);
  EXPECT_EQ(rows->count, 2);
  ASSERT_TRUE(batch_.reserve(caches_).isOk());

  llmir_step_args args = batch_.stepArguments();
  EXPECT_EQ(args.struct_size, sizeof(llmir_step_args));
  EXPECT_THAT(list(args.tokens, args.num_tokens), ElementsAre(1, 2, 3, 4, 5, 10, 11));
  EXPECT_THAT(list(args.positions, args.num_tokens), ElementsAre(0, 1, 2, 3, 4, 0, 1));
  EXPECT_THAT(list(args.cu_lengths, args.num_sequences + 1), ElementsAre(0, 5, 7));
  EXPECT_THAT(list(args.context_lengths, args.num_sequences), ElementsAre(5, 2));
  EXPECT_THAT(list(args.rows, args.num_rows), ElementsAre(4, 5, 6));
  ASSERT_EQ(args.num_caches, 1);
  const llmir_cache_view &view = args.caches[0];
  EXPECT_EQ(view.base, cache_.base());
  for (int64_t i = 0; i < 5; ++i)
    EXPECT_EQ(view.slots[i], view.table[i / 4] * 4 + i % 4);
  for (int64_t i = 0; i < 2; ++i)
    EXPECT_EQ(view.slots[5 + i], view.table[view.table_stride] * 4 + i);
}

TEST_F(BatchTest, TheNextStepContinuesTheSequence) {
  ASSERT_TRUE(batch_.add(entry(0, five_, 0, LogitsRows::None)).isOk());
  ASSERT_TRUE(batch_.reserve(caches_).isOk());
  EXPECT_EQ(batch_.stepArguments().num_rows, 0);
  batch_.clear();
  ASSERT_TRUE(batch_.add(entry(0, two_, 5, LogitsRows::Last)).isOk());
  ASSERT_TRUE(batch_.reserve(caches_).isOk());
  llmir_step_args args = batch_.stepArguments();
  EXPECT_THAT(list(args.positions, 2), ElementsAre(5, 6));
  EXPECT_EQ(args.context_lengths[0], 7);
}

TEST_F(BatchTest, RefusesWhatIsOutOfRangeAndStaysAsItWas) {
  auto refuse = [&](const BatchEntry &bad, const char *message) {
    StatusOr<RowRange> rows = batch_.add(bad);
    ASSERT_FALSE(rows.isOk());
    EXPECT_EQ(rows.status().code(), StatusCode::InvalidArgument);
    EXPECT_THAT(rows.status().message(), HasSubstr(message));
  };
  std::vector<int32_t> tooLarge = {100};
  std::vector<int32_t> negative = {-1};
  std::vector<int32_t> nine(9, 1);
  refuse(entry(0, {}, 0, LogitsRows::None), "at least one token");
  refuse(entry(0, tooLarge, 0, LogitsRows::None), "token ids from 0 to 99, but got 100");
  refuse(entry(0, negative, 0, LogitsRows::None), "but got -1");
  refuse(entry(0, nine, 0, LogitsRows::None), "tokens of a step to be at most 8, but got 9");
  refuse(entry(0, five_, 0, LogitsRows::All),
         "rows of logits of a step to be at most 4, but got 5");
  refuse(entry(0, five_, 12, LogitsRows::None), "a context of at most 16, but got 17");
  refuse(entry(0, five_, -1, LogitsRows::None), "a first position of at least 0, but got -1");
  EXPECT_EQ(batch_.numTokens(), 0);
  for (int32_t i = 0; i < 3; ++i)
    ASSERT_TRUE(batch_.add(entry(i, std::span(two_).first(1), 0, LogitsRows::None)).isOk());
  refuse(entry(3, two_, 0, LogitsRows::None), "sequences of a step to be at most 3, but got 4");
}

TEST_F(BatchTest, AFullPoolReservesNothing) {
  PagedKVCache small(1, 1, 4, 4, 16, ElementType::F32, 1);
  PagedKVCache *both[2] = {&cache_, &small};
  ASSERT_TRUE(batch_.add(entry(0, five_, 0, LogitsRows::Last)).isOk());
  Status status = batch_.reserve(both);
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(cache_.pool().numFree(), 8);
  EXPECT_EQ(small.pool().numFree(), 1);
}

TEST_F(BatchTest, RefusesASequenceOfAnotherLength) {
  ASSERT_TRUE(batch_.add(entry(0, five_, 3, LogitsRows::Last)).isOk());
  Status status = batch_.reserve(caches_);
  EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("to have 3 tokens in the cache, but it has 0"));
}
