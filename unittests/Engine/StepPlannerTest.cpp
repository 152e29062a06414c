// StepPlanner: decode first, prompts share the budget, bounds hold.

#include "llmir/Engine/StepPlanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace llmir;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

static std::vector<std::pair<size_t, int64_t>> plan(const std::vector<SequenceProgress> &sequences,
                                                    const StepBudget &budget) {
  std::vector<StepShare> shares;
  planStep(sequences, budget, shares);
  std::vector<std::pair<size_t, int64_t>> pairs;
  for (const StepShare &share : shares)
    pairs.emplace_back(share.sequence, share.tokens);
  return pairs;
}

static SequenceProgress prompt(size_t sequence, int64_t pending) {
  return {sequence, SequencePhase::Prompt, pending};
}
static SequenceProgress decode(size_t sequence) { return {sequence, SequencePhase::Decode, 1}; }

TEST(StepPlannerTest, NothingRunsNothingPlanned) { EXPECT_THAT(plan({}, {512, 8}), IsEmpty()); }

TEST(StepPlannerTest, DecodingComesFirst) {
  EXPECT_THAT(plan({prompt(0, 10), decode(1), prompt(2, 3), decode(3)}, {8, 8}),
              ElementsAre(Pair(1, 1), Pair(3, 1), Pair(0, 5), Pair(2, 3)));
}

TEST(StepPlannerTest, PromptsShareTheBudgetEvenly) {
  EXPECT_THAT(plan({prompt(0, 100), prompt(1, 100), prompt(2, 100)}, {8, 8}),
              ElementsAre(Pair(0, 3), Pair(1, 3), Pair(2, 2)));
  EXPECT_THAT(plan({prompt(0, 100), prompt(1, 100)}, {1, 8}), ElementsAre(Pair(0, 1)));
}

TEST(StepPlannerTest, WhatShortPromptsLeaveGoesToOthers) {
  EXPECT_THAT(plan({prompt(0, 100), prompt(1, 1), prompt(2, 1)}, {30, 8}),
              ElementsAre(Pair(0, 28), Pair(1, 1), Pair(2, 1)));
}

TEST(StepPlannerTest, SequencesAreBounded) {
  EXPECT_THAT(plan({decode(0), prompt(1, 5), prompt(2, 5)}, {10, 2}),
              ElementsAre(Pair(0, 1), Pair(1, 5)));
}

TEST(StepPlannerTest, RandomPlansSpendTheBudgetAndNotMore) {
  std::mt19937 random(7);
  auto draw = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<SequenceProgress> sequences;
    auto count = static_cast<size_t>(draw(0, 12));
    int64_t pending = 0;
    size_t decoding = 0;
    for (size_t i = 0; i < count; ++i) {
      sequences.push_back(draw(0, 1) ? decode(i) : prompt(i, draw(1, 40)));
      if (sequences.back().phase == SequencePhase::Decode)
        ++decoding;
      else
        pending += sequences.back().pendingTokens;
    }
    StepBudget budget{draw(1, 64), 12};
    std::vector<StepShare> shares;
    planStep(sequences, budget, shares);
    int64_t promptTokens = 0;
    size_t planned = 0;
    for (const StepShare &share : shares) {
      ASSERT_GE(share.tokens, 1);
      ASSERT_LE(share.tokens, sequences[share.sequence].pendingTokens);
      if (share.phase == SequencePhase::Decode)
        ++planned;
      else
        promptTokens += share.tokens;
    }
    EXPECT_EQ(planned, decoding);
    EXPECT_EQ(promptTokens, std::min(pending, budget.promptTokens));
  }
}
