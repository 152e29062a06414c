// What storing keys and values costs attention: NaNs that reach the output and nobody else's, and
// the error of each storage type against keys and values that were never stored.

#include "AttentionFeatures.h"

using namespace llmir;
using namespace llmir::testing;

namespace {
class AttentionStorageTest : public AttentionFeatures {};
} // namespace

// A NaN in a key, or in the scale of its token, is loud: every head that sees it gives NaN, and
// nobody else's bytes change.
TEST_P(AttentionStorageTest, NaNReachesTheOutput) {
  const llmir_cache_layout &layout = cache->layout();
  bool hasScale = layout.key_scale_granularity == LLMIR_SCALE_TOKEN ||
                  layout.key_scale_granularity == LLMIR_SCALE_GROUP;
  bool isInteger = layout.key_type == LLMIR_I8 || layout.key_type == LLMIR_I4;
  if (isInteger && !hasScale)
    GTEST_SKIP() << "integers without stored scales have no NaN";
  const std::vector<int32_t> counts = {1, 1, 1, 1};
  TensorBytes query = randomTensor(ElementType::F32, 4 * c.heads * c.keyDim, random);
  std::vector<int32_t> places;
  for (int32_t length : kLengths)
    places.push_back(length - 1);
  const std::vector<uint64_t> tree(4, 1);
  TensorBytes before = attend(query, kLengths, counts, tree, places);

  // Sequence 2, 20 tokens from its end: in every window. The first KV head.
  int64_t place = kLengths[2] - 20;
  if (c.window > 0)
    place = kLengths[2] - std::min<int64_t>(20, c.window);
  int64_t block = tables.table[static_cast<size_t>(2 * tables.tableStride + place / c.blockSize)];
  int64_t inBlock = place % c.blockSize;
  uint8_t *head = const_cast<uint8_t *>(cache->base()) + block * layout.block_stride +
                  kLayer * layout.layer_stride;
  uint32_t type = isInteger ? layout.scale_type : layout.key_type;
  uint8_t *target = isInteger ? head + layout.key_scale_offset + inBlock * llmir_element_size(type)
                              : head + inBlock * layout.key_token_stride;
  uint32_t nan = type == LLMIR_F32        ? 0x7fc00001
                 : type == LLMIR_F16      ? 0x7e01
                 : type == LLMIR_BF16     ? 0x7fc1
                 : type == LLMIR_F8E4M3FN ? 0x7f
                                          : 0x7e;
  std::memcpy(target, &nan, static_cast<size_t>(llmir_element_size(type)));

  TensorBytes after = attend(query, kLengths, counts, tree, places);
  int64_t group = c.heads / c.kvHeads;
  for (int64_t s = 0; s < 4; ++s)
    for (int64_t h = 0; h < c.heads; ++h) {
      int64_t first = (s * c.heads + h) * c.valueDim;
      if (s != 2 || h >= group) {
        ASSERT_EQ(after.slice(first, c.valueDim), before.slice(first, c.valueDim))
            << "sequence " << s << ", head " << h;
        continue;
      }
      for (int64_t d = 0; d < c.valueDim; ++d)
        ASSERT_TRUE(std::isnan(after.at(first + d))) << "head " << h << ", channel " << d;
    }
}

/// What storing keys and values in a type may change of attention over normally distributed ones:
/// root mean square of the difference over that of the result (docs/Testing.md).
static double storageTolerance(const std::string &type) {
  return type == "f32"        ? 1e-6
         : type == "f16"      ? 1e-3
         : type == "bf16"     ? 8e-3
         : type == "i8"       ? 2e-2
         : type == "f8E4M3FN" ? 6e-2
         : type == "f8E5M2"   ? 0.12
                              : 0.3;
}

// Against attention over keys and values that were never stored.
TEST_P(AttentionStorageTest, StorageCostsWhatIsStated) {
  if (cache->hasConstantScales())
    GTEST_SKIP() << "the error is that of the constant scales, which are given";
  double squares = 0, errors = 0;
  const std::vector<int32_t> counts = {1, 1, 1, 1};
  TensorBytes query = randomTensor(ElementType::F32, 4 * c.heads * c.keyDim, random);
  std::vector<int32_t> places;
  for (int32_t length : kLengths)
    places.push_back(length - 1);
  const std::vector<uint64_t> tree(4, 1);
  reference::Matrix actual =
      attend(query, kLengths, counts, tree, places).toMatrix(c.heads * c.valueDim);
  reference::Matrix rows = query.toMatrix(c.heads * c.keyDim);
  int64_t firstToken = 0;
  for (size_t s = 0; s < 4; firstToken += kLengths[s++]) {
    reference::Matrix k(kLengths[s], c.kvHeads * c.keyDim), v(kLengths[s], c.kvHeads * c.valueDim);
    for (int64_t t = 0; t < kLengths[s]; ++t) {
      for (int64_t i = 0; i < k.cols(); ++i)
        k.at(t, i) = keys.at((firstToken + t) * k.cols() + i);
      for (int64_t i = 0; i < v.cols(); ++i)
        v.at(t, i) = values.at((firstToken + t) * v.cols() + i);
    }
    reference::Matrix part(1, rows.cols());
    auto row = static_cast<int64_t>(s);
    std::ranges::copy(rows.row(row), part.row(0).begin());
    reference::Matrix expected = expectFrom(part, k, v, std::span(tree).subspan(s, 1),
                                            std::span<const int32_t>(places).subspan(s, 1));
    for (int64_t i = 0; i < expected.cols(); ++i) {
      squares += expected.at(0, i) * expected.at(0, i);
      errors += std::pow(actual.at(row, i) - expected.at(0, i), 2);
    }
  }
  double relative = std::sqrt(errors / squares);
  RecordProperty("relative_error", std::to_string(relative));
  EXPECT_LE(relative, storageTolerance(c.keyType) + storageTolerance(c.valueType)) << relative;
}

INSTANTIATE_TEST_SUITE_P(Grid, AttentionStorageTest, ::testing::ValuesIn(kFeatureCases), nameOf);
