// Long contexts of few sequences are split over the workers and merged: the logits of a compiled
// step are the same bytes with any number of workers, and for a sequence alone or in a batch.

#include "llmir/ABI.h"
#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace llmir;

extern "C" void llmir_model_step(const llmir_step_args *args, int32_t worker, int32_t num_workers);

namespace {

constexpr int64_t kBlocks = 700, kVocabulary = 16;

class SplitAttentionTest : public ::testing::Test {
protected:
  void SetUp() override {
    layout.num_layers = 2, layout.num_kv_heads = 3, layout.block_size = 16;
    layout.key_head_dim = layout.value_head_dim = 64, layout.max_seq_len = 4096;
    layout.key_type = layout.value_type = LLMIR_F16;
    layout.window = 3000, layout.num_sinks = 4;
    llmir_cache_layout_init(&layout);
    pool.resize(static_cast<size_t>(kBlocks * layout.block_stride));
    for (size_t at = 0; at < pool.size(); at += 2) {
      auto half = static_cast<uint16_t>(random() & 0xBBFF); // f16 below 1
      std::memcpy(&pool[at], &half, 2);
    }
    weights.resize(size_t(1) << 18);
    std::normal_distribution<float> normal(0, 0.3f);
    for (float &weight : weights)
      weight = normal(random);
  }

  /// Logits of a step in which sequence s has counts[s] tokens and lengths[s] in all.
  std::vector<float> run(int32_t workers, const std::vector<int32_t> &lengths,
                         const std::vector<int32_t> &counts, size_t firstTable = 0) {
    WorkerTeamOptions options;
    options.workers = workers;
    auto team = WorkerTeam::create(options);
    EXPECT_TRUE(team.status().isOk());
    std::vector<int32_t> cu = {0}, tokens, rows;
    for (int32_t count : counts) {
      for (int32_t i = 0; i < count; ++i)
        tokens.push_back((count * 3 + i) % 16);
      cu.push_back(cu.back() + count);
      rows.push_back(cu.back() - 1);
    }
    constexpr int64_t tableStride = 4096 / 16;
    std::vector<int32_t> table;
    for (size_t s = 0; s < lengths.size(); ++s)
      for (int64_t i = 0; i < tableStride; ++i)
        table.push_back(static_cast<int32_t>(((s + firstTable) * 131 + i * 37) % kBlocks));
    llmir_cache_view view = {pool.data(), tokens.data(), table.data(),
                             tableStride, nullptr,       nullptr};
    std::vector<float> logits(rows.size() * kVocabulary);
    std::vector<uint8_t> workspace(size_t(64) << 20);
    llmir_step_args args = {};
    args.struct_size = sizeof(args);
    args.num_tokens = static_cast<int32_t>(tokens.size());
    args.num_sequences = static_cast<int32_t>(lengths.size());
    args.num_rows = static_cast<int32_t>(rows.size());
    args.tokens = args.positions = tokens.data();
    args.cu_lengths = cu.data();
    args.context_lengths = lengths.data();
    args.rows = rows.data();
    args.logits = logits.data();
    args.caches = &view;
    args.num_caches = 1;
    args.weights = reinterpret_cast<const uint8_t *>(weights.data());
    args.workspace = workspace.data() + 64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64;
    args.world_size = 1;
    args.barrier = WorkerTeam::barrierEntry;
    args.team = team->get();
    (*team)->run([&](int32_t worker) { llmir_model_step(&args, worker, workers); });
    return logits;
  }

  std::mt19937 random{5};
  llmir_cache_layout layout{};
  std::vector<uint8_t> pool;
  std::vector<float> weights;
};

} // namespace

TEST_F(SplitAttentionTest, GivesTheSameBytesForAnyNumberOfWorkers) {
  const std::vector<std::pair<std::vector<int32_t>, std::vector<int32_t>>> steps = {
      {{4096}, {1}},
      {{257}, {1}},
      {{256}, {1}},
      {{3333}, {4}},
      {{3333}, {3}},
      {{2000}, {90}},
      {{700, 3, 4000}, {1, 2, 4}},
      {{1000, 1000, 1000, 1000}, {1, 0, 1, 1}},
      {{1500, 1200}, {14, 1}},
      {{4096, 4096, 4096, 4096, 4096}, {1, 1, 1, 1, 1}}};
  for (const auto &[lengths, counts] : steps) {
    std::vector<float> alone = run(1, lengths, counts);
    for (float logit : alone)
      ASSERT_TRUE(std::isfinite(logit));
    for (int32_t workers : {2, 3, 5, 16})
      ASSERT_EQ(run(workers, lengths, counts), alone)
          << workers << " workers, " << lengths.size() << " sequences, the first of " << lengths[0];
  }
}

TEST_F(SplitAttentionTest, GivesTheSameBytesAloneAndInABatch) {
  const std::vector<int32_t> lengths = {3900, 300, 2047}, counts = {1, 1, 1};
  std::vector<float> batch = run(4, lengths, counts);
  for (size_t s = 0; s < lengths.size(); ++s) {
    std::vector<float> alone = run(2, {lengths[s]}, {counts[s]}, s);
    std::vector<float> row(batch.begin() + static_cast<int64_t>(s) * kVocabulary,
                           batch.begin() + static_cast<int64_t>(s + 1) * kVocabulary);
    EXPECT_EQ(alone, row) << "sequence " << s;
  }
}
