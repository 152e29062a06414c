// SCENARIOS, Checkpoints: a checkpoint of another model, dtype, block size or layout is refused by
// its fingerprint, with the first field that differs.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>

using namespace llmir;
using testing::HasSubstr;

namespace {

CacheParameters parameters() {
  CacheParameters p;
  p.keyType = p.valueType = ElementType::F16;
  p.numLayers = 2;
  p.numKVHeads = 2;
  p.keyHeadDim = p.valueHeadDim = 32;
  p.blockSize = 4;
  p.maxSeqLen = 64;
  return p;
}

class CheckpointFingerprintTest : public testing::Test {
protected:
  void SetUp() override {
    PagedKVCache cache(parameters(), 8);
    CacheStepTables tables;
    AppendRequest request{SequenceId{1}, 5};
    ASSERT_OK(cache.reserve({&request, 1}, tables));
    ASSERT_OK(manager.createCheckpoint(cache, "a"));
  }

  /// That a cache which differs in one thing refuses the checkpoint and names it.
  void expectRefused(const CacheParameters &other, const std::string &field) {
    PagedKVCache cache(other, 8);
    ASSERT_OK(cache.status());
    Status status = manager.loadCheckpoint(cache, "a");
    EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("'" + field + "'"));
    EXPECT_EQ(cache.numSequences(), 0u);
  }

  FaultyFileSystem files;
  CheckpointManager manager{"folder", {.model = "model-1"}, files};
};

TEST_F(CheckpointFingerprintTest, Scenario_Checkpoints_AnotherModelIsRefused) {
  PagedKVCache cache(parameters(), 8);
  CheckpointManager other("folder", {.model = "model-2"}, files);
  Status status = other.loadCheckpoint(cache, "a");
  EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("expected a checkpoint with 'model' model-2, but it has "
                                          "model-1"));
  EXPECT_OK(manager.loadCheckpoint(cache, "a"));
  CheckpointManager any("folder", {}, files);
  EXPECT_OK(any.loadCheckpoint(cache, "a"));
}

TEST_F(CheckpointFingerprintTest, Scenario_Checkpoints_AnotherDtypeIsRefused) {
  CacheParameters p = parameters();
  p.keyType = ElementType::BF16;
  expectRefused(p, "key_type");
  p = parameters();
  p.valueType = ElementType::F32;
  expectRefused(p, "value_type");
}

TEST_F(CheckpointFingerprintTest, Scenario_Checkpoints_AnotherBlockSizeIsRefused) {
  CacheParameters p = parameters();
  p.blockSize = 8;
  expectRefused(p, "block_size");
}

TEST_F(CheckpointFingerprintTest, Scenario_Checkpoints_AnotherLayoutIsRefused) {
  CacheParameters p = parameters();
  p.arrangement = CacheArrangement::TokenMajorKeys;
  expectRefused(p, "arrangement");
  p = parameters();
  p.numLayers = 3;
  expectRefused(p, "num_layers");
  p = parameters();
  p.numKVHeads = 1;
  expectRefused(p, "num_kv_heads");
  p = parameters();
  p.keyHeadDim = 64;
  expectRefused(p, "key_head_dim");
  p = parameters();
  p.valueHeadDim = 64;
  expectRefused(p, "value_head_dim");
  p = parameters();
  p.maxSeqLen = 65;
  expectRefused(p, "max_seq_len");
  p = parameters();
  p.window = 16;
  expectRefused(p, "window");
}

} // namespace
