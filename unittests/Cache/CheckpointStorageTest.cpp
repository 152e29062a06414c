// Checkpoints of every way to store a cache: element types, scales, arrangements. What is restored
// reads the same, and what lies behind the end of a sequence is not saved. Caches of several parts
// are one checkpoint.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>
#include <random>

using namespace llmir;
using testing::HasSubstr;

namespace {

constexpr int64_t layers = 2, heads = 2, headDim = 32, maxSeqLen = 64;

CacheParameters makeParameters(ElementType type, ScaleGranularity scales,
                               CacheArrangement arrangement) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = type;
  parameters.numLayers = layers;
  parameters.numKVHeads = heads;
  parameters.keyHeadDim = parameters.valueHeadDim = headDim;
  parameters.blockSize = 4;
  parameters.maxSeqLen = maxSeqLen;
  parameters.arrangement = arrangement;
  parameters.keyScales = parameters.valueScales = scales;
  if (scales == ScaleGranularity::Group)
    parameters.keyScaleGroup = parameters.valueScaleGroup = 16;
  return parameters;
}

/// Every combination that a cache can have.
std::vector<CacheParameters> allParameters() {
  std::vector<CacheParameters> result;
  for (uint32_t type = LLMIR_F32; type <= LLMIR_I4; ++type)
    for (uint32_t scales = LLMIR_SCALE_NONE; scales <= LLMIR_SCALE_GROUP; ++scales)
      for (uint32_t arrangement = 0; arrangement <= LLMIR_PAIRS; ++arrangement) {
        CacheParameters parameters = makeParameters(ElementType{type}, ScaleGranularity{scales},
                                                    CacheArrangement{arrangement});
        if (makeCacheLayout(parameters).isOk())
          result.push_back(parameters);
      }
  return result;
}

std::string describe(const CacheParameters &parameters) {
  return elementTypeName(parameters.keyType) + ", scales by " +
         scaleGranularityName(parameters.keyScales) + ", " +
         cacheArrangementName(parameters.arrangement);
}

/// What the cache stores of the first `tokens` positions of a sequence, read element by element:
/// the block's bytes with all else cleared, so that nothing is converted.
std::vector<uint8_t> storedBytes(const PagedKVCache &cache) {
  std::vector<uint8_t> result;
  for (SequenceId id : cache.sequenceIds())
    for (BlockId block : *cache.blocks(id)) {
      std::span<uint8_t> bytes = *cache.blockBytes(block);
      result.insert(result.end(), bytes.begin(), bytes.end());
    }
  return result;
}

/// A cache in which every byte of every block is noise, constants given where they are needed.
PagedKVCache makeNoisy(const CacheParameters &parameters, uint32_t seed) {
  PagedKVCache cache(parameters, 12);
  EXPECT_OK(cache.status());
  if (cache.hasConstantScales()) {
    std::vector<float> scales(layers * heads, 0.5f);
    EXPECT_OK(cache.setConstantScales(scales, scales));
  }
  std::mt19937 random(seed);
  for (size_t i = 0; i < cache.sizeInBytes(); ++i)
    cache.base()[i] = static_cast<uint8_t>(random());
  return cache;
}

void reserve(PagedKVCache &cache, int32_t sequence, int64_t tokens) {
  CacheStepTables tables;
  AppendRequest request{SequenceId{sequence}, tokens};
  ASSERT_OK(cache.reserve({&request, 1}, tables));
}

/// Copies what belongs to the first `tokens` tokens of block `block` from one cache to another.
void copyTokens(const PagedKVCache &from, PagedKVCache &to, BlockId block, int64_t tokens) {
  const llmir_cache_layout &layout = from.layout();
  auto copy = [&](int64_t offset, int64_t bytes) {
    std::memcpy(to.base() + offset, from.base() + offset, static_cast<size_t>(bytes));
  };
  auto units = [](uint32_t type) { return llmir_element_bits(type) < 8 ? headDim / 2 : headDim; };
  auto size = [](uint32_t type) { return std::max<int64_t>(1, llmir_element_bits(type) / 8); };
  int64_t keyBytes = size(layout.key_type), valueBytes = size(layout.value_type);
  int64_t scaleBytes = llmir_element_size(layout.scale_type);
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t t = 0; t < tokens; ++t) {
        int64_t start = headOffset(layout, block.index, layer, head);
        for (int64_t c = 0; c < units(layout.key_type); ++c)
          copy(start + t * layout.key_token_stride +
                   c / layout.key_interleave * layout.key_channel_stride +
                   c % layout.key_interleave * keyBytes,
               keyBytes);
        for (int64_t c = 0; c < units(layout.value_type); ++c)
          copy(start + layout.value_offset +
                   t / layout.value_interleave * layout.value_token_stride +
                   t % layout.value_interleave * valueBytes + c * layout.value_channel_stride,
               valueBytes);
        for (int64_t g = 0; layout.key_scale_stride != 0 && g < headDim / 16; ++g)
          if (g < llmir_stored_scale_groups(layout.key_scale_granularity, headDim, 16))
            copy(start + layout.key_scale_offset + g * layout.key_scale_stride + t * scaleBytes,
                 scaleBytes);
        for (int64_t g = 0; layout.value_scale_stride != 0 && g < headDim / 16; ++g)
          if (g < llmir_stored_scale_groups(layout.value_scale_granularity, headDim, 16))
            copy(start + layout.value_scale_offset + g * layout.value_scale_stride + t * scaleBytes,
                 scaleBytes);
      }
}

TEST(CheckpointStorageTest, EveryStorageComesBack) {
  std::vector<CacheParameters> all = allParameters();
  EXPECT_GE(all.size(), 30u);
  for (const CacheParameters &parameters : all) {
    SCOPED_TRACE(describe(parameters));
    FaultyFileSystem files;
    CheckpointManager manager("f", {}, files);
    PagedKVCache cache = makeNoisy(parameters, 1);
    reserve(cache, 1, 7);
    ASSERT_OK(manager.createCheckpoint(cache, "a"));
    PagedKVCache loaded(parameters, 12);
    ASSERT_OK(manager.loadCheckpoint(loaded, "a"));
    EXPECT_TRUE(std::equal(cache.constantKeyScales().begin(), cache.constantKeyScales().end(),
                           loaded.constantKeyScales().begin(), loaded.constantKeyScales().end()));
    // Exactly the first block and three tokens of the second, and zeros.
    PagedKVCache expected(parameters, 12);
    reserve(expected, 1, 7);
    std::span<const BlockId> blocks = *cache.blocks(SequenceId{1});
    std::memcpy((*expected.blockBytes(blocks[0])).data(), (*cache.blockBytes(blocks[0])).data(),
                static_cast<size_t>(cache.layout().block_stride));
    copyTokens(cache, expected, blocks[1], 3);
    EXPECT_EQ(storedBytes(loaded), storedBytes(expected));
  }
}

TEST(CheckpointStorageTest, EqualTokensMakeEqualPagesWhateverIsBehindThem) {
  for (const CacheParameters &parameters : allParameters()) {
    SCOPED_TRACE(describe(parameters));
    FaultyFileSystem files;
    CheckpointManager manager("f", {}, files);
    PagedKVCache cache = makeNoisy(parameters, 1), other = makeNoisy(parameters, 2);
    reserve(cache, 1, 3);
    reserve(other, 1, 3);
    copyTokens(cache, other, (*cache.blocks(SequenceId{1}))[0], 3);
    ASSERT_NE(storedBytes(cache), storedBytes(other));
    ASSERT_OK(manager.createCheckpoint(cache, "a"));
    ASSERT_OK(manager.createCheckpoint(other, "b"));
    EXPECT_EQ(manager.lastSave().pagesWritten, 0);
  }
}

TEST(CheckpointStorageTest, OtherConstantScalesAreRefused) {
  CacheParameters parameters =
      makeParameters(ElementType::I8, ScaleGranularity::Head, CacheArrangement::ChannelMajorKeys);
  FaultyFileSystem files;
  CheckpointManager manager("f", {}, files);
  PagedKVCache cache = makeNoisy(parameters, 1), other(parameters, 12);
  reserve(cache, 1, 7);
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  std::vector<float> scales(layers * heads, 0.25f);
  ASSERT_OK(other.setConstantScales(scales, scales));
  EXPECT_EQ(manager.loadCheckpoint(other, "a").code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(other.numSequences(), 0u);
  EXPECT_OK(other.checkInvariants());
}

/// Layers 0 and 1 in f32 and i8: two caches, as a model that mixes storages has.
class CheckpointPartsTest : public testing::Test {
protected:
  static std::vector<PagedKVCache> make(int64_t numBlocks = 12) {
    std::vector<PagedKVCache> caches;
    caches.emplace_back(makeParameters(ElementType::F32, ScaleGranularity::None,
                                       CacheArrangement::ChannelMajorKeys),
                        numBlocks);
    caches.emplace_back(makeParameters(ElementType::I8, ScaleGranularity::Token,
                                       CacheArrangement::ChannelMajorKeys),
                        numBlocks);
    return caches;
  }
  static std::vector<PagedKVCache *> pointers(std::vector<PagedKVCache> &caches) {
    return {&caches[0], &caches[1]};
  }
  static std::vector<const PagedKVCache *> constPointers(const std::vector<PagedKVCache> &caches) {
    return {&caches[0], &caches[1]};
  }
  /// Fills the blocks of a new sequence in both caches.
  static void append(std::vector<PagedKVCache> &caches, int32_t sequence, int64_t tokens) {
    for (PagedKVCache &cache : caches) {
      reserve(cache, sequence, tokens);
      for (BlockId block : *cache.blocks(SequenceId{sequence})) {
        std::span<uint8_t> bytes = *cache.blockBytes(block);
        std::fill(bytes.begin(), bytes.end(), static_cast<uint8_t>(sequence * 16 + block.index));
      }
    }
  }
  static std::vector<uint8_t> bytesOf(const std::vector<PagedKVCache> &caches) {
    std::vector<uint8_t> bytes = storedBytes(caches[0]), more = storedBytes(caches[1]);
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  }

  FaultyFileSystem files;
  CheckpointManager manager{"f", {}, files};
  std::vector<PagedKVCache> caches = make();
};

TEST_F(CheckpointPartsTest, ComeBackTogether) {
  append(caches, 1, 8);
  ASSERT_OK(manager.createCheckpoint(constPointers(caches), "a"));
  append(caches, 2, 12);
  ASSERT_OK(manager.createCheckpoint(constPointers(caches), "b"));
  EXPECT_EQ(manager.lastSave().pagesReused, 4);
  EXPECT_EQ(manager.listCheckpoints()->size(), 2u);
  EXPECT_EQ(manager.listCheckpoints()->at(1).numParts, 2u);
  EXPECT_OK(manager.verifyCheckpoint("b"));
  std::vector<PagedKVCache> loaded = make();
  ASSERT_OK(manager.loadCheckpoint(pointers(loaded), "b"));
  EXPECT_EQ(bytesOf(loaded), bytesOf(caches));
  EXPECT_EQ(manager.readManifest("b", 1)->part, 1u);
  EXPECT_EQ(manager.readManifest("b", 2).status().code(), StatusCode::InvalidArgument);
  files.setContent("f/catalog", {});
  ASSERT_OK(manager.repairCatalog());
  ASSERT_OK(manager.cleanupCheckpoints(1));
  EXPECT_EQ(manager.listCheckpoints()->size(), 1u);
  ASSERT_OK(manager.loadCheckpoint(pointers(loaded), "b"));
  EXPECT_EQ(bytesOf(loaded), bytesOf(caches));
}

TEST_F(CheckpointPartsTest, AreReplacedTogetherOrNotAtAll) {
  append(caches, 1, 8);
  ASSERT_OK(manager.createCheckpoint(constPointers(caches), "a"));
  CheckpointManifest second = *manager.readManifest("a", 1);
  std::string path = "f/000000000002.pages";
  std::vector<uint8_t> pages = files.content(path);
  pages[second.pages[1].offset] ^= 1;
  files.setContent(path, pages);
  // With room for both contents, and without.
  for (int64_t numBlocks : {12, 2}) {
    std::vector<PagedKVCache> target = make(numBlocks);
    append(target, 5, 8);
    std::vector<uint8_t> before = bytesOf(target);
    EXPECT_EQ(manager.loadCheckpoint(pointers(target), "a").code(), StatusCode::DataLoss);
    EXPECT_EQ(bytesOf(target), before);
    EXPECT_OK(target[0].checkInvariants());
    EXPECT_OK(target[1].checkInvariants());
  }
}

TEST_F(CheckpointPartsTest, AreAsManyAsWereSaved) {
  append(caches, 1, 8);
  ASSERT_OK(manager.createCheckpoint(constPointers(caches), "a"));
  Status status = manager.loadCheckpoint(caches[0], "a");
  EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("expected a checkpoint of 1 cache, but it has 2"));
  EXPECT_EQ(manager.createCheckpoint(std::span<const PagedKVCache *const>(), "b").code(),
            StatusCode::InvalidArgument);
}

TEST_F(CheckpointPartsTest, Scenario_Checkpoints_PartsOfOneSaveOnly) {
  append(caches, 1, 8);
  ASSERT_OK(manager.createCheckpoint(constPointers(caches), "a"));
  std::vector<uint8_t> old = bytesOf(caches);
  FaultyFileSystem before = files.copy();
  append(caches, 2, 4);
  std::vector<uint8_t> next = bytesOf(caches);
  bool isFinished = false;
  for (int64_t operation = 0; !isFinished; ++operation) {
    FaultyFileSystem disk = before.copy();
    disk.stopAt(operation, 1);
    CheckpointManager killed("f", {}, disk);
    isFinished = killed.createCheckpoint(constPointers(caches), "a").isOk();
    for (uint32_t seed = 0; seed < 6; ++seed) {
      FaultyFileSystem after = disk.restart(seed == 0   ? CrashModel::KeepAll
                                            : seed == 1 ? CrashModel::LoseAll
                                                        : CrashModel::Random,
                                            seed);
      CheckpointManager restarted("f", {}, after);
      std::vector<PagedKVCache> loaded = make();
      ASSERT_OK(restarted.loadCheckpoint(pointers(loaded), "a"));
      EXPECT_TRUE(bytesOf(loaded) == next || (bytesOf(loaded) == old && !isFinished));
    }
    ASSERT_LT(operation, 100);
  }
}

TEST(CheckpointQuantizedTest, AQuantizedCacheComesBack) {
  QuantizationConfig config(QuantizationType::INT8, QuantizationStrategy::PER_TENSOR);
  auto make = [&] {
    return QuantizedPagedKVCache(layers, heads, headDim, 4, maxSeqLen, config, ElementType::F32,
                                 12);
  };
  QuantizedPagedKVCache cache = make(), loaded = make();
  ASSERT_OK(cache.status());
  std::vector<float> keys(layers * 6 * heads * headDim), values(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i] = static_cast<float>(i % 100) - 50;
    values[i] = static_cast<float>(i % 37);
  }
  int32_t sequence = 1, length = 6;
  std::vector<int32_t> blocks(6);
  ASSERT_OK(cache.appendKV(keys.data(), values.data(), 1, 6, &sequence, blocks.data()));
  FaultyFileSystem files;
  CheckpointManager manager("f", {}, files);
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(manager.loadCheckpoint(loaded, "a"));
  auto read = [&](const QuantizedPagedKVCache &from) {
    std::vector<float> k(keys.size()), v(keys.size());
    std::vector<int32_t> table;
    for (int64_t t = 0; t < length; ++t)
      table.push_back(*from.caches()[0].slot(SequenceId{1}, t) / 4);
    EXPECT_OK(from.lookupKV(table.data(), &length, 1, k.data(), v.data()));
    return std::pair(k, v);
  };
  EXPECT_EQ(read(loaded), read(cache));
}

} // namespace
