// llm.rope_store_kv in a compiled step: the bytes in the cache and the logits are those of
// llm.rope and llm.store_kv apart, for any number of workers, and rotated keys are those of the
// naive kernel.

#include "llmir/ABI.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Reference/TransformerKernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace llmir;

#define ROPE_STORE_CASE(name, type, headDim, rotaryDim, style, scales, group)                      \
  extern "C" void rope_store_##name##_fused(const llmir_step_args *, int32_t, int32_t);            \
  extern "C" void rope_store_##name##_apart(const llmir_step_args *, int32_t, int32_t);
#include "RopeStoreKVCases.inc"
#undef ROPE_STORE_CASE

namespace {

constexpr llmir_element_type f32 = LLMIR_F32, f16 = LLMIR_F16, i8 = LLMIR_I8, i4 = LLMIR_I4;
constexpr auto none = LLMIR_SCALE_NONE, token = LLMIR_SCALE_TOKEN, group = LLMIR_SCALE_GROUP;
constexpr auto interleaved = reference::RopeStyle::Interleaved, half = reference::RopeStyle::Half;

struct Case {
  const char *name;
  llmir_element_type type;
  int32_t headDim, rotaryDim;
  reference::RopeStyle style;
  llmir_scale_granularity scales;
  int32_t group;
  llmir_step_fn fused, apart;
};
#define ROPE_STORE_CASE(name, type, headDim, rotaryDim, style, scales, group)                      \
  {#name,                                                                                          \
   type,                                                                                           \
   headDim,                                                                                        \
   rotaryDim,                                                                                      \
   style,                                                                                          \
   scales,                                                                                         \
   group,                                                                                          \
   rope_store_##name##_fused,                                                                      \
   rope_store_##name##_apart},
const Case kCases[] = {
#include "RopeStoreKVCases.inc"
};
#undef ROPE_STORE_CASE

constexpr int64_t kBlocks = 40, kVocabulary = 16, kHeads = 2;

/// What a step leaves behind.
struct Outcome {
  std::vector<float> logits;
  std::vector<uint8_t> pool;
};

class RopeStoreKVTest : public ::testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    layout.num_layers = 2, layout.num_kv_heads = kHeads, layout.block_size = 16;
    layout.key_head_dim = layout.value_head_dim = c.headDim, layout.max_seq_len = 512;
    layout.key_type = layout.value_type = c.type;
    layout.key_scale_granularity = layout.value_scale_granularity = c.scales;
    layout.scale_type = c.scales == none ? LLMIR_F32 : LLMIR_F16;
    layout.key_scale_group = layout.value_scale_group = c.group;
    llmir_cache_layout_init(&layout);
    weights.resize(size_t(1) << 17);
    std::normal_distribution<float> normal(0, 0.3f);
    for (float &weight : weights)
      weight = normal(random);
  }

  /// A step on an empty pool in which sequence s has counts[s] tokens; token 1 has no slot.
  Outcome run(llmir_step_fn step, int32_t workers, const std::vector<int32_t> &counts,
              bool isRotated = true) {
    WorkerTeamOptions options;
    options.workers = workers;
    auto team = WorkerTeam::create(options);
    EXPECT_TRUE(team.status().isOk());
    std::vector<int32_t> cu = {0}, tokens, positions, rows, slots, table;
    constexpr int64_t tableStride = 512 / 16;
    for (size_t s = 0; s < counts.size(); ++s) {
      for (int64_t i = 0; i < tableStride; ++i)
        table.push_back(static_cast<int32_t>((s * 13 + i * 7) % kBlocks));
      for (int32_t i = 0; i < counts[s]; ++i) {
        slots.push_back(table[s * tableStride + i / 16] * 16 + i % 16);
        tokens.push_back((counts[s] * 3 + i) % 16);
        positions.push_back(isRotated ? i * 11 : 0);
        rows.push_back(static_cast<int32_t>(rows.size()));
      }
      cu.push_back(static_cast<int32_t>(tokens.size()));
    }
    if (slots.size() > 1)
      slots[1] = -1;
    Outcome outcome;
    outcome.pool.resize(static_cast<size_t>(kBlocks * layout.block_stride));
    llmir_cache_view view = {outcome.pool.data(), slots.data(), table.data(),
                             tableStride,         nullptr,      nullptr};
    outcome.logits.resize(rows.size() * kVocabulary);
    std::vector<uint8_t> workspace(size_t(8) << 20);
    llmir_step_args args = {};
    args.struct_size = sizeof(args);
    args.num_tokens = args.num_rows = static_cast<int32_t>(tokens.size());
    args.num_sequences = static_cast<int32_t>(counts.size());
    args.tokens = tokens.data();
    args.positions = positions.data();
    args.cu_lengths = cu.data();
    args.context_lengths = counts.data();
    args.rows = rows.data();
    args.logits = outcome.logits.data();
    args.caches = &view;
    args.num_caches = 1;
    args.weights = reinterpret_cast<const uint8_t *>(weights.data());
    args.workspace = workspace.data() + 64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64;
    args.world_size = 1;
    args.barrier = WorkerTeam::barrierEntry;
    args.team = team->get();
    (*team)->run([&](int32_t worker) { step(&args, worker, workers); });
    return outcome;
  }

  /// Token t of head `head` of layer 0, of the first `count` tokens in blocks of one sequence.
  reference::Matrix keysOf(const Outcome &outcome, int64_t count, bool isKey) const {
    reference::Matrix matrix(count, kHeads * c.headDim);
    for (int64_t t = 0; t < count; ++t)
      for (int64_t column = 0; column < kHeads * c.headDim; ++column) {
        int64_t head = column / c.headDim, channel = column % c.headDim;
        int64_t block = t / 16 * 7 % kBlocks, inBlock = t % 16;
        int64_t at = block * layout.block_stride + head * layout.head_stride;
        at += isKey ? inBlock * layout.key_token_stride + channel * layout.key_channel_stride
                    : layout.value_offset + inBlock * layout.value_token_stride +
                          channel * layout.value_channel_stride;
        float element;
        std::memcpy(&element, outcome.pool.data() + at, sizeof(element));
        matrix.at(t, column) = element;
      }
    return matrix;
  }

  const Case &c = GetParam();
  std::mt19937 random{5};
  llmir_cache_layout layout{};
  std::vector<float> weights;
};

} // namespace

TEST_P(RopeStoreKVTest, GivesTheBytesOfRotationAndStoreApart) {
  const std::vector<std::vector<int32_t>> batches = {{1},       {4},           {5}, {37},
                                                     {1, 1, 1}, {3, 0, 20, 1}, {0}};
  for (const auto &counts : batches) {
    Outcome apart = run(c.apart, 1, counts);
    for (float logit : apart.logits)
      ASSERT_TRUE(std::isfinite(logit));
    for (int32_t workers : {1, 2, 3}) {
      Outcome fused = run(c.fused, workers, counts);
      EXPECT_EQ(fused.pool, apart.pool) << workers << " workers, " << counts.size() << " sequences";
      EXPECT_EQ(fused.logits, apart.logits)
          << workers << " workers, " << counts.size() << " sequences";
    }
  }
}

/// With a cache of f32 a step in which all positions are 0 stores keys as they were.
TEST_P(RopeStoreKVTest, RotatesAsTheNaiveKernel) {
  if (c.type != LLMIR_F32)
    GTEST_SKIP() << "the cache rounds";
  constexpr int64_t count = 37;
  Outcome plain = run(c.fused, 2, {count}, /*isRotated=*/false), rotated = run(c.fused, 2, {count});
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < count; ++i)
    positions.push_back(i * 11);
  reference::RopeParameters parameters;
  parameters.headDim = c.headDim;
  parameters.rotaryDim = c.rotaryDim;
  parameters.theta = 1e4;
  parameters.style = c.style;
  reference::Matrix keys = keysOf(plain, count, /*isKey=*/true);
  reference::Matrix expected = reference::rope(keys, positions, parameters);
  for (int64_t column = 0; column < kHeads * c.headDim; ++column)
    expected.at(1, column) = 0; // It has no slot.
  // Angles are rounded once to f32, as are three operations: 4 units of 2^-24 at magnitudes
  // below 4.
  EXPECT_LE(reference::largestDifference(keysOf(rotated, count, /*isKey=*/true), expected), 2e-6);
  EXPECT_EQ(reference::largestDifference(keysOf(rotated, count, /*isKey=*/false),
                                         keysOf(plain, count, /*isKey=*/false)),
            0.0);
  double largest = 0;
  for (int64_t column = 0; column < kHeads * c.headDim; ++column)
    largest = std::max(largest, std::abs(keys.at(5, column)));
  EXPECT_GT(largest, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Cases, RopeStoreKVTest, ::testing::ValuesIn(kCases),
                         [](const auto &info) { return info.param.name; });
