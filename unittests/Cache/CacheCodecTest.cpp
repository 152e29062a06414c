// CacheCodec against the reference: the same bytes in the whole block and the same numbers back,
// for every storage type, granularity, arrangement and type of array, with odd sizes and runs of
// tokens that start and end anywhere.

#include "llmir/Cache/CacheCodec.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t numLayers = 2, numHeads = 2, keyDim = 72, valueDim = 20, blockSize = 18;

/// Parameters of one side and what both share.
struct Storage {
  ElementType type;
  ScaleGranularity scales;
  CacheArrangement arrangement;
  ElementType scaleType;
};

std::vector<Storage> allStorage() {
  std::vector<Storage> all;
  for (uint32_t type = 0; type <= LLMIR_I4; ++type)
    for (uint32_t scales = 0; scales <= LLMIR_SCALE_GROUP; ++scales)
      for (uint32_t arrangement = 0; arrangement <= LLMIR_PAIRS; ++arrangement)
        for (uint32_t scaleType = 0; scaleType <= LLMIR_BF16; ++scaleType)
          if (scales >= LLMIR_SCALE_TOKEN || scaleType == LLMIR_F32)
            all.push_back({ElementType(type), ScaleGranularity(scales),
                           CacheArrangement(arrangement), ElementType(scaleType)});
  return all;
}

StatusOr<llmir_cache_layout> layoutOf(const Storage &storage) {
  bool groups = storage.scales == ScaleGranularity::Group;
  return makeCacheLayout({.keyType = storage.type,
                          .valueType = storage.type,
                          .numLayers = numLayers,
                          .numKVHeads = numHeads,
                          .keyHeadDim = keyDim,
                          .valueHeadDim = valueDim,
                          .blockSize = blockSize,
                          .maxSeqLen = 100,
                          .arrangement = storage.arrangement,
                          .keyScales = storage.scales,
                          .valueScales = storage.scales,
                          .scaleType = storage.scaleType,
                          .keyScaleGroup = groups ? 12 : 0,
                          .valueScaleGroup = groups ? 5 : 0});
}

/// One token's numbers: of very different sizes, sometimes all zero, sometimes with a NaN.
std::vector<double> randomNumbers(size_t count, std::mt19937 &random) {
  std::vector<double> numbers(count);
  int exponent = int(random() % 24) - 12;
  for (double &number : numbers)
    number = std::ldexp(double(int(random() % 4001) - 2000), exponent - 10);
  if (random() % 8 == 0)
    numbers.assign(count, 0.0);
  if (random() % 8 == 0)
    numbers[random() % count] = std::numeric_limits<double>::quiet_NaN();
  return numbers;
}

/// Rounds numbers to the type of an array: the array, and the numbers that it holds.
std::vector<uint8_t> toArray(std::vector<double> &numbers, ElementType type) {
  auto size = static_cast<size_t>(elementSize(type));
  std::vector<uint8_t> array(numbers.size() * size);
  for (size_t i = 0; i < numbers.size(); ++i) {
    uint32_t bits = reference::encodeElement(static_cast<uint32_t>(type), numbers[i]);
    std::memcpy(array.data() + i * size, &bits, size);
    numbers[i] = reference::decodeElement(static_cast<uint32_t>(type), bits);
  }
  return array;
}

/// Two blocks filled by the codec and two by the reference.
class Comparison {
public:
  Comparison(const llmir_cache_layout &layout, ElementType array)
      : layout_(layout), array_(array), keys_(layout, CacheSide::Keys, array),
        values_(layout, CacheSide::Values, array),
        ours_(static_cast<size_t>(2 * layout.block_stride), 0x5a), reference_(ours_) {
    keyScales_ = {0.25f, 0.5f, 0.0f, 3.0f};
    valueScales_ = {1.0f, 0.125f, 2.0f, 7.0f};
    if (layout.key_scale_granularity != LLMIR_SCALE_HEAD) {
      keyScales_.assign(4, 0.25f);
      valueScales_.assign(4, 0.5f);
    }
  }

  /// Stores `count` tokens from `first` on of a block, all heads of a layer.
  void store(int64_t block, int64_t layer, int64_t first, int64_t count, std::mt19937 &random) {
    std::vector<uint8_t> keyRows, valueRows;
    for (int64_t t = first; t < first + count; ++t) {
      std::vector<double> keys = randomNumbers(numHeads * keyDim, random);
      std::vector<double> values = randomNumbers(numHeads * valueDim, random);
      std::vector<uint8_t> keyRow = toArray(keys, array_), valueRow = toArray(values, array_);
      keyRows.insert(keyRows.end(), keyRow.begin(), keyRow.end());
      valueRows.insert(valueRows.end(), valueRow.begin(), valueRow.end());
      reference::storeToken(layout_, reference_.data(), layer, block * blockSize + t, keys, values,
                            constants());
    }
    for (int64_t head = 0; head < numHeads; ++head) {
      StoredTokens target = tokens(ours_.data(), block, layer, head, first, count);
      target.constantScale = keyScales_[static_cast<size_t>(layer * numHeads + head)];
      keys_.encode(target, {keyRows.data() + head * keys_.rowBytes(), numHeads * keys_.rowBytes()});
      target.constantScale = valueScales_[static_cast<size_t>(layer * numHeads + head)];
      values_.encode(target,
                     {valueRows.data() + head * values_.rowBytes(), numHeads * values_.rowBytes()});
    }
  }

  bool sameBytes() const { return ours_ == reference_; }

  void checkReading(int64_t block, int64_t layer, int64_t first, int64_t count) {
    for (int64_t head = 0; head < numHeads; ++head)
      for (CacheSide side : {CacheSide::Keys, CacheSide::Values}) {
        bool isKeys = side == CacheSide::Keys;
        const CacheCodec &codec = isKeys ? keys_ : values_;
        int64_t dim = isKeys ? keyDim : valueDim, stride = codec.rowBytes() + 6;
        StoredTokens source = tokens(ours_.data(), block, layer, head, first, count);
        source.constantScale =
            (isKeys ? keyScales_ : valueScales_)[static_cast<size_t>(layer * numHeads + head)];
        std::vector<uint8_t> rows(static_cast<size_t>(count * stride));
        codec.decode(source, {rows.data(), stride});
        for (int64_t t = 0; t < count; ++t)
          for (int64_t c = 0; c < dim; ++c) {
            int64_t slot = block * blockSize + first + t;
            auto read = isKeys ? reference::readKey : reference::readValue;
            double expected = read(layout_, ours_.data(), layer, slot, head, c, constants());
            expectNumber(rows.data() + t * stride + c * elementSize(array_), expected);
          }
      }
  }

private:
  reference::ConstantScales constants() const {
    bool constant = layout_.key_scale_granularity == LLMIR_SCALE_TENSOR ||
                    layout_.key_scale_granularity == LLMIR_SCALE_HEAD;
    return constant ? reference::ConstantScales{keyScales_, valueScales_}
                    : reference::ConstantScales{};
  }
  StoredTokens tokens(uint8_t *base, int64_t block, int64_t layer, int64_t head, int64_t first,
                      int64_t count) const {
    return {base + headOffset(layout_, block, layer, head), first, count, 0};
  }
  void expectNumber(const uint8_t *data, double expected) const {
    uint32_t bits = 0;
    std::memcpy(&bits, data, static_cast<size_t>(elementSize(array_)));
    auto type = static_cast<uint32_t>(array_);
    double found = reference::decodeElement(type, bits);
    double rounded = reference::decodeElement(type, reference::encodeElement(type, expected));
    if (std::isnan(rounded))
      EXPECT_TRUE(std::isnan(found));
    else
      EXPECT_EQ(found, rounded);
  }

  llmir_cache_layout layout_;
  ElementType array_;
  CacheCodec keys_, values_;
  std::vector<uint8_t> ours_, reference_;
  std::vector<float> keyScales_, valueScales_;
};

} // namespace

TEST(CacheCodecTest, StoresAndReadsLikeTheReference) {
  int checked = 0;
  for (const Storage &storage : allStorage()) {
    StatusOr<llmir_cache_layout> layout = layoutOf(storage);
    if (!layout)
      continue;
    for (ElementType array : {ElementType::F32, ElementType::F16, ElementType::BF16}) {
      SCOPED_TRACE(elementTypeName(array) + " in " + elementTypeName(storage.type) + ", " +
                   scaleGranularityName(storage.scales) + " of " +
                   elementTypeName(storage.scaleType) + ", " +
                   cacheArrangementName(storage.arrangement));
      Comparison comparison(*layout, array);
      std::mt19937 random(99);
      comparison.store(0, 0, 0, blockSize, random);
      comparison.store(1, 1, 0, 1, random);
      comparison.store(1, 1, 1, 2, random);
      comparison.store(1, 1, 3, 9, random);
      comparison.store(1, 1, 12, 5, random);
      ASSERT_TRUE(comparison.sameBytes());
      comparison.checkReading(0, 0, 0, blockSize);
      comparison.checkReading(1, 1, 2, 7);
      comparison.checkReading(1, 1, 16, 1);
      ASSERT_FALSE(testing::Test::HasFailure());
      ++checked;
    }
  }
  // 3 types as they are, 2 with and without scales, 2 with; pairs of bf16.
  EXPECT_EQ(checked, 3 * (2 * (3 + 2 + 4 * 2 + 4 * 2 * 3) + 1));
}

/// More groups than CacheCodec keeps the factors of, and groups of whole vectors.
TEST(CacheCodecTest, StoresManyGroupsAndWideOnes) {
  for (ElementType type : {ElementType::I8, ElementType::I4, ElementType::F8E5M2})
    for (int64_t group : {1, 4, 8, 16, 24, 48})
      for (ElementType array : {ElementType::F32, ElementType::F16, ElementType::BF16}) {
        constexpr int64_t dim = 192;
        StatusOr<llmir_cache_layout> layout =
            makeCacheLayout({.keyType = type,
                             .valueType = type,
                             .numLayers = 1,
                             .numKVHeads = 1,
                             .keyHeadDim = dim,
                             .valueHeadDim = dim,
                             .blockSize = 20,
                             .maxSeqLen = 20,
                             .keyScales = ScaleGranularity::Group,
                             .valueScales = ScaleGranularity::Group,
                             .scaleType = ElementType::F16,
                             .keyScaleGroup = group,
                             .valueScaleGroup = group});
        ASSERT_TRUE(layout.isOk()) << layout.status().message();
        CacheCodec keys(*layout, CacheSide::Keys, array), values(*layout, CacheSide::Values, array);
        std::vector<uint8_t> ours(static_cast<size_t>(layout->block_stride), 0x5a), expected = ours;
        std::mt19937 random(5);
        for (auto [first, count] : {std::pair<int64_t, int64_t>{0, 18}, {18, 1}, {19, 1}}) {
          std::vector<uint8_t> keyRows, valueRows;
          for (int64_t t = first; t < first + count; ++t) {
            std::vector<double> key = randomNumbers(dim, random),
                                value = randomNumbers(dim, random);
            std::vector<uint8_t> keyRow = toArray(key, array), valueRow = toArray(value, array);
            keyRows.insert(keyRows.end(), keyRow.begin(), keyRow.end());
            valueRows.insert(valueRows.end(), valueRow.begin(), valueRow.end());
            reference::storeToken(*layout, expected.data(), 0, t, key, value, {});
          }
          StoredTokens target{ours.data(), first, count, 0};
          keys.encode(target, {keyRows.data(), keys.rowBytes()});
          values.encode(target, {valueRows.data(), values.rowBytes()});
        }
        ASSERT_EQ(ours, expected) << elementTypeName(array) << " in " << elementTypeName(type)
                                  << ", groups of " << group;
      }
}

TEST(CacheCodecTest, AppendingNeverRewritesAStoredValue) {
  for (const Storage &storage : allStorage()) {
    StatusOr<llmir_cache_layout> layout = layoutOf(storage);
    if (!layout)
      continue;
    CacheCodec keys(*layout, CacheSide::Keys, ElementType::F32);
    CacheCodec values(*layout, CacheSide::Values, ElementType::F32);
    auto size = static_cast<size_t>(layout->head_stride);
    std::vector<uint8_t> block(size, 0), written(size, 0);
    std::vector<float> row(keyDim, 1.0f);
    for (int64_t t = 0; t < blockSize; ++t) {
      // Larger and larger numbers, which a scale shared with earlier tokens would have to follow.
      std::vector<uint8_t> before = block;
      for (float &number : row)
        number *= 2;
      StoredTokens target{block.data(), t, 1, 0.5f};
      const uint8_t *data = reinterpret_cast<const uint8_t *>(row.data());
      keys.encode(target, {data, keys.rowBytes()});
      values.encode(target, {data, values.rowBytes()});
      for (size_t i = 0; i < size; ++i) {
        ASSERT_TRUE(block[i] == before[i] || !written[i]) << elementTypeName(storage.type);
        written[i] |= block[i] != before[i];
      }
    }
  }
}

TEST(CacheCodecTest, RoundsScalesToTheirType) {
  EXPECT_EQ(scaleForMagnitude(127, ElementType::I8, ElementType::F32), 1.0f);
  EXPECT_EQ(scaleForMagnitude(1, ElementType::I4, ElementType::F32), 1.0f / 7);
  EXPECT_EQ(scaleForMagnitude(448, ElementType::F8E4M3FN, ElementType::F16), 1.0f);
  EXPECT_EQ(scaleForMagnitude(57344, ElementType::F8E5M2, ElementType::BF16), 1.0f);
  EXPECT_EQ(scaleForMagnitude(1e30f, ElementType::I8, ElementType::F16), 65504.0f);
  EXPECT_EQ(scaleForMagnitude(INFINITY, ElementType::I4, ElementType::F16), 65504.0f);
  EXPECT_EQ(scaleForMagnitude(1e-7f, ElementType::I8, ElementType::F16), 0.0f);
  std::vector<float> numbers = {1, -3, std::numeric_limits<float>::quiet_NaN(), 2};
  EXPECT_EQ(maxMagnitude(ElementType::F32, numbers.data(), 4), 3.0f);
}
