// RowKernels over all numbers of a type, NaNs among the others, against the reference; the kernels
// for groups against those for rows; scales against the rule.

#include "RowKernels.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace llmir;

namespace {

const ElementType byteTypes[] = {ElementType::F8E4M3FN, ElementType::F8E5M2, ElementType::I8,
                                 ElementType::I4};
const ElementType arrayTypes[] = {ElementType::F32, ElementType::F16, ElementType::BF16};

std::vector<uint8_t> encoded(const RowKernels &kernels, const void *row, size_t count,
                             float factor) {
  std::vector<uint8_t> codes(count);
  kernels.encode({static_cast<const uint8_t *>(row), 0}, 1, static_cast<int64_t>(count), &factor,
                 {codes.data(), 0});
  return codes;
}

template <typename Pattern>
void expectCodesOfTheReference(ElementType array, const std::vector<Pattern> &row, float factor) {
  for (ElementType storage : byteTypes) {
    std::vector<uint8_t> ours = encoded(rowKernels(array, storage), row.data(), row.size(), factor);
    std::vector<uint8_t> baseline =
        encoded(baselineRowKernels(array, storage), row.data(), row.size(), factor);
    for (size_t i = 0; i < row.size(); ++i) {
      double number = reference::decodeElement(static_cast<uint32_t>(array), row[i]);
      auto value = static_cast<float>(number * double(factor));
      // A product of a NaN has the NaN's sign; decodeElement() may lose it.
      uint32_t expected = reference::encodeElement(static_cast<uint32_t>(storage), double(value));
      if (std::isnan(value) && elementSize(storage) == 1 && storage != ElementType::I8)
        expected = (expected & 0x7f) | (row[i] >> (8 * sizeof(Pattern) - 8) & 0x80);
      ASSERT_EQ(ours[i], expected) << elementTypeName(storage) << " of " << value;
      ASSERT_EQ(baseline[i], expected) << elementTypeName(storage) << " of " << value;
    }
  }
}

} // namespace

TEST(RowKernelSweepTest, EveryNumberOf16BitsGetsItsCode) {
  std::vector<uint16_t> row(1 << 16);
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = static_cast<uint16_t>(i);
  for (float factor : {1.0f, 0.37f})
    expectCodesOfTheReference(ElementType::F16, row, factor);
  expectCodesOfTheReference(ElementType::BF16, row, 1.0f);
}

TEST(RowKernelSweepTest, NumbersOf32BitsGetTheirCodes) {
  std::vector<uint32_t> row;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 65521)
    row.push_back(static_cast<uint32_t>(bits));
  expectCodesOfTheReference(ElementType::F32, row, 1.0f);
}

TEST(RowKernelSweepTest, SeventeenMillionNumbersGetTheSameCodesByAllInstructions) {
  std::vector<uint32_t> row(1 << 16);
  for (uint64_t first = 0; first < uint64_t{1} << 32; first += row.size() * 251) {
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<uint32_t>(first + i * 251);
    for (ElementType storage : byteTypes)
      ASSERT_EQ(encoded(rowKernels(ElementType::F32, storage), row.data(), row.size(), 1),
                encoded(baselineRowKernels(ElementType::F32, storage), row.data(), row.size(), 1))
          << elementTypeName(storage) << " from " << first << " on";
  }
}

TEST(RowKernelSweepTest, GroupsGetTheCodesOfTheirRows) {
  constexpr int64_t rows = 3, longest = 72;
  std::mt19937 random(11);
  float factors[longest / factorElements][rows], highFactors[longest / factorElements][rows];
  const float *byGroup[longest / factorElements], *highByGroup[longest / factorElements];
  for (int64_t g = 0; g < longest / factorElements; ++g) {
    for (int64_t r = 0; r < rows; ++r) {
      factors[g][r] = float(random() % 100) / 50;
      highFactors[g][r] = float(random() % 100) / 50;
    }
    byGroup[g] = factors[g];
    highByGroup[g] = highFactors[g];
  }
  for (ElementType array : arrayTypes)
    for (int64_t count : {8, 16, 32, 40, 64, 72}) {
      int64_t size = elementSize(array), stride = count * size;
      std::vector<uint8_t> low(static_cast<size_t>(rows * stride)), high = low;
      for (auto *row : {&low, &high})
        for (uint8_t &byte : *row)
          byte = static_cast<uint8_t>(random()); // any number, NaNs too
      auto bytes = static_cast<size_t>(rows * count);
      for (const auto &choose : {baselineRowKernels, rowKernels}) {
        for (ElementType storage : byteTypes) {
          const RowKernels &kernels = choose(array, storage);
          std::vector<uint8_t> ours(bytes), expected(bytes);
          kernels.encodeGroups({low.data(), stride}, rows, count, byGroup, {ours.data(), count});
          for (int64_t i = 0; i < count; i += factorElements)
            kernels.encode({low.data() + i * size, stride}, rows, factorElements,
                           factors[i / factorElements], {expected.data() + i, count});
          ASSERT_EQ(ours, expected) << elementTypeName(array) << " to " << elementTypeName(storage);
        }
        const RowKernels &kernels = choose(array, ElementType::I4);
        std::vector<uint8_t> ours(bytes), lows(bytes), highs(bytes);
        kernels.encodePairGroups({low.data(), stride}, {high.data(), stride}, rows, count, byGroup,
                                 highByGroup, {ours.data(), count});
        kernels.encodeGroups({low.data(), stride}, rows, count, byGroup, {lows.data(), count});
        kernels.encodeGroups({high.data(), stride}, rows, count, highByGroup,
                             {highs.data(), count});
        for (size_t i = 0; i < bytes; ++i)
          ASSERT_EQ(ours[i], lows[i] | highs[i] << 4) << elementTypeName(array);
      }
    }
}

TEST(RowKernelSweepTest, ScalesFollowTheRule) {
  std::vector<float> largest = {0,
                                1,
                                127,
                                448,
                                65504,
                                8.3e6f,
                                8.4e6f,
                                1e-7f,
                                1e-45f,
                                3e38f,
                                std::numeric_limits<float>::infinity()};
  std::mt19937 random(13);
  while (largest.size() < 1024)
    largest.push_back(std::ldexp(float(random() % 100000), int(random() % 60) - 40));
  for (ElementType storage : byteTypes)
    for (ElementType scaleType : arrayTypes)
      for (const auto &choose : {baselineRowKernels, rowKernels}) {
        float code = storage == ElementType::I8         ? 127
                     : storage == ElementType::I4       ? 7
                     : storage == ElementType::F8E4M3FN ? 448
                                                        : 57344;
        std::vector<uint8_t> stored(largest.size() * 4);
        std::vector<float> inverses(largest.size());
        choose(ElementType::F32, scaleType)
            .makeScales(largest.data(), static_cast<int64_t>(largest.size()), code, stored.data(),
                        inverses.data());
        for (size_t i = 0; i < largest.size(); ++i) {
          uint32_t bits = 0;
          auto size = static_cast<size_t>(elementSize(scaleType));
          std::memcpy(&bits, stored.data() + i * size, size);
          auto scale =
              static_cast<float>(reference::decodeElement(static_cast<uint32_t>(scaleType), bits));
          ASSERT_EQ(scale, reference::scaleFor(double(largest[i]), static_cast<uint32_t>(storage),
                                               static_cast<uint32_t>(scaleType)))
              << largest[i] << " in " << elementTypeName(scaleType);
          ASSERT_EQ(inverses[i], scale > 0 ? 1 / scale : 0) << scale;
        }
      }
}
