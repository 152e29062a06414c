// Dense attention in a compiled step: the logits of a step that attends to its own keys and values
// are those of one that stores them in a cache and attends to that, with any number of workers.

#include "llmir/ABI.h"
#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

using namespace llmir;

extern "C" void dense_step(const llmir_step_args *args, int32_t worker, int32_t num_workers);
extern "C" void paged_step(const llmir_step_args *args, int32_t worker, int32_t num_workers);

namespace {

constexpr int64_t kVocabulary = 16, kBlocksEach = 32;

class DenseAttentionStepTest : public ::testing::Test {
protected:
  void SetUp() override {
    layout.num_layers = 1, layout.num_kv_heads = 2, layout.block_size = 16;
    layout.key_head_dim = layout.value_head_dim = 32, layout.max_seq_len = 512;
    layout.key_type = layout.value_type = LLMIR_F32;
    layout.window = 40, layout.num_sinks = 2;
    llmir_cache_layout_init(&layout);
    weights.resize(size_t(1) << 17);
    std::normal_distribution<float> normal(0, 0.2f);
    for (float &weight : weights)
      weight = normal(random);
  }

  /// Logits of all tokens of sequences that begin in this step.
  std::vector<float> run(llmir_step_fn step, int32_t workers, const std::vector<int32_t> &lengths) {
    WorkerTeamOptions options;
    options.workers = workers;
    auto team = WorkerTeam::create(options);
    EXPECT_TRUE(team.status().isOk());
    std::vector<int32_t> cu = {0}, tokens, positions, slots, table;
    for (size_t s = 0; s < lengths.size(); ++s) {
      auto firstBlock = static_cast<int32_t>(s * kBlocksEach);
      for (int32_t i = 0; i < lengths[s]; ++i) {
        tokens.push_back((i * 7 + lengths[s]) % 16);
        positions.push_back(i);
        slots.push_back(firstBlock * 16 + i);
      }
      for (int32_t block = 0; block < kBlocksEach; ++block)
        table.push_back(firstBlock + block);
      cu.push_back(cu.back() + lengths[s]);
    }
    std::vector<int32_t> rows(tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<uint8_t> pool(lengths.size() * kBlocksEach *
                              static_cast<size_t>(layout.block_stride));
    llmir_cache_view view = {pool.data(), slots.data(), table.data(),
                             kBlocksEach, nullptr,      nullptr};
    std::vector<float> logits(rows.size() * kVocabulary);
    std::vector<uint8_t> workspace(size_t(64) << 20);
    llmir_step_args args = {};
    args.struct_size = sizeof(args);
    args.num_tokens = args.num_rows = static_cast<int32_t>(tokens.size());
    args.num_sequences = static_cast<int32_t>(lengths.size());
    args.tokens = tokens.data();
    args.positions = positions.data();
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
    (*team)->run([&](int32_t worker) { step(&args, worker, workers); });
    return logits;
  }

  std::mt19937 random{5};
  llmir_cache_layout layout{};
  std::vector<float> weights;
};

} // namespace

TEST_F(DenseAttentionStepTest, GivesTheLogitsOfAStepOverACache) {
  for (const std::vector<int32_t> &lengths :
       std::vector<std::vector<int32_t>>{{1}, {150}, {3, 1, 77, 0, 200}}) {
    std::vector<float> expected = run(paged_step, 1, lengths);
    std::vector<float> actual = run(dense_step, 1, lengths);
    ASSERT_EQ(actual.size(), expected.size());
    float largest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      // Both sum in f32, in other orders.
      ASSERT_NEAR(actual[i], expected[i], 1e-4) << "logit " << i;
      largest = std::max(largest, std::abs(expected[i]));
    }
    EXPECT_GT(largest, 0.1f) << "the logits say nothing";
    for (int32_t workers : {2, 3, 5})
      ASSERT_EQ(run(dense_step, workers, lengths), actual) << workers << " workers";
  }
}
