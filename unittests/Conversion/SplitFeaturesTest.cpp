// What a merge of split sequences must not lose: learned sinks, soft caps and distance penalties,
// windows with sinks, trees with positions, constant and stored scales. The logits of a compiled
// step are the same bytes with any number of workers, and change when the feature's input does.

#include "llmir/ABI.h"
#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <random>
#include <string>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t kBlocks = 600, kVocabulary = 16, kTableStride = 4096 / 16;

struct StepFeature {
  const char *name;
  uint32_t type, keyScales, valueScales, scaleType;
  int32_t valueGroup, window, sinks;
};
void PrintTo(const StepFeature &feature, std::ostream *stream) { *stream << feature.name; }

const StepFeature kFeatures[] = {
    {"scores", LLMIR_F16, 0, 0, LLMIR_F32, 0, 0, 0},
    {"tree", LLMIR_F16, 0, 0, LLMIR_F32, 0, 600, 300},
    {"constants", LLMIR_I8, LLMIR_SCALE_HEAD, LLMIR_SCALE_TENSOR, LLMIR_F32, 0, 0, 0},
    {"narrow", LLMIR_I4, LLMIR_SCALE_TOKEN, LLMIR_SCALE_GROUP, LLMIR_F16, 32, 0, 0}};

/// Lengths of the sequences of a step and how many tokens of each it has.
struct Batch {
  std::vector<int32_t> lengths, counts;
};

class SplitFeaturesTest : public ::testing::TestWithParam<StepFeature> {
protected:
  void SetUp() override {
    const StepFeature &f = GetParam();
    std::string path = std::string(LLMIR_STEP_FEATURES) + f.name + ".so";
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    step = reinterpret_cast<llmir_step_fn>(dlsym(library, LLMIR_MODEL_STEP_SYMBOL));
    ASSERT_NE(step, nullptr);
    layout.num_layers = 1, layout.num_kv_heads = 3, layout.block_size = 16;
    layout.key_head_dim = layout.value_head_dim = 64, layout.max_seq_len = 4096;
    layout.key_type = layout.value_type = f.type;
    layout.key_scale_granularity = f.keyScales, layout.value_scale_granularity = f.valueScales;
    layout.scale_type = f.scaleType, layout.value_scale_group = f.valueGroup;
    layout.window = f.window, layout.num_sinks = f.sinks;
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

  std::vector<float> run(int32_t workers, const Batch &batch, uint64_t treeBits = 0x5555) {
    WorkerTeamOptions options;
    options.workers = workers;
    auto team = WorkerTeam::create(options);
    EXPECT_TRUE(team.status().isOk());
    std::vector<int32_t> cu = {0}, tokens, rows, positions, table;
    std::vector<uint64_t> tree;
    for (size_t s = 0; s < batch.counts.size(); ++s) {
      for (int32_t i = 0; i < batch.counts[s]; ++i) {
        tokens.push_back((static_cast<int32_t>(s) * 3 + i) % 16);
        positions.push_back(batch.lengths[s] - batch.counts[s] + (i + 1) / 2);
        tree.push_back((treeBits & ((uint64_t(1) << i) - 1)) | uint64_t(1) << i);
      }
      cu.push_back(cu.back() + batch.counts[s]);
      rows.push_back(cu.back() - 1);
      for (int64_t i = 0; i < kTableStride; ++i)
        table.push_back(static_cast<int32_t>((static_cast<int64_t>(s) * 131 + i * 37) % kBlocks));
    }
    llmir_cache_view view = {pool.data(),  tokens.data(), table.data(),
                             kTableStride, scales.data(), scales.data()};
    std::vector<float> logits(rows.size() * kVocabulary);
    static std::vector<uint8_t> workspace(size_t(64) << 20); // Clearing it takes longest.
    llmir_step_args args = {};
    args.struct_size = sizeof(args);
    args.num_tokens = static_cast<int32_t>(tokens.size());
    args.num_sequences = static_cast<int32_t>(batch.lengths.size());
    args.num_rows = static_cast<int32_t>(rows.size());
    args.tokens = tokens.data();
    args.positions = positions.data();
    args.cu_lengths = cu.data();
    args.context_lengths = batch.lengths.data();
    args.rows = rows.data();
    args.logits = logits.data();
    args.caches = &view;
    args.num_caches = 1;
    args.tree_mask = tree.data();
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
  llmir_step_fn step = nullptr;
  std::vector<uint8_t> pool;
  std::vector<float> weights, scales = {0.01f, 0.02f, 0.03f};
};

const std::vector<Batch> kBatches = {{{4096}, {1}},
                                     {{257}, {1}},
                                     {{3333}, {4}},
                                     {{2900}, {13}},
                                     {{700, 3, 4000}, {1, 2, 4}},
                                     {{1000, 1000, 0, 1000}, {1, 0, 0, 3}}};

} // namespace

TEST_P(SplitFeaturesTest, GivesTheSameBytesForAnyNumberOfWorkers) {
  for (const Batch &batch : kBatches) {
    std::vector<float> alone = run(1, batch);
    bool isFinite = true;
    for (size_t s = 0; s < batch.counts.size(); ++s)
      for (int64_t i = 0; batch.counts[s] > 0 && i < kVocabulary; ++i)
        isFinite = isFinite && std::isfinite(alone[s * kVocabulary + static_cast<size_t>(i)]);
    EXPECT_TRUE(isFinite) << "first of " << batch.lengths[0];
    for (int32_t workers : {2, 3, 5})
      ASSERT_EQ(run(workers, batch), alone) << workers << " workers, " << batch.lengths.size()
                                            << " sequences, the first of " << batch.lengths[0];
  }
}

// The merge path has the feature at all.
TEST_P(SplitFeaturesTest, DependsOnItsInput) {
  const Batch batch = {{3333}, {4}};
  std::vector<float> before = run(2, batch);
  if (std::string(GetParam().name) == "tree") {
    EXPECT_NE(run(2, batch, 0x3333), before);
    return;
  }
  if (std::string(GetParam().name) == "constants") {
    scales[1] *= 2;
    EXPECT_NE(run(2, batch), before);
    return;
  }
  // Other numbers in the pool's last bytes of each block: scales, or values.
  for (int64_t block = 0; block < kBlocks; ++block)
    pool[static_cast<size_t>((block + 1) * layout.block_stride - 64)] ^= 0x10;
  EXPECT_NE(run(2, batch), before);
}

INSTANTIATE_TEST_SUITE_P(Features, SplitFeaturesTest, ::testing::ValuesIn(kFeatures),
                         [](const auto &info) { return std::string(info.param.name); });
