// RowKernels: every storage type against the reference's search, on numbers at and beside every
// rounding boundary, special numbers, and random ones; the same bytes with all instructions.

#include "RowKernels.h"

#include "llmir/Base/Float16.h"
#include "llmir/Device/CPUFeatures.h"
#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace llmir;

namespace {

const std::vector<ElementType> storageTypes = {
    ElementType::F32,    ElementType::F16, ElementType::BF16, ElementType::F8E4M3FN,
    ElementType::F8E5M2, ElementType::I8,  ElementType::I4};
const std::vector<ElementType> arrayTypes = {ElementType::F32, ElementType::F16, ElementType::BF16};

size_t rowSize(ElementType type) { return std::max<size_t>(1, size_t(elementSize(type))); }

std::vector<RowKernels> allKernels(ElementType array, ElementType storage) {
  return {baselineRowKernels(array, storage), rowKernels(array, storage)};
}

/// One row as the kernels want it.
ConstStridedRows source(const std::vector<uint8_t> &row) { return {row.data(), 0}; }
StridedRows target(std::vector<uint8_t> &row) { return {row.data(), 0}; }

/// Numbers that a conversion to `storage` may get wrong: values of codes, the middles between
/// neighbours and their neighbours in f32, the ends of ranges, special numbers.
std::vector<float> hardNumbers(ElementType storage) {
  std::vector<float> numbers = {0.0f,
                                -0.0f,
                                std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN(),
                                -std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::denorm_min(),
                                std::numeric_limits<float>::max(),
                                65504.0f,
                                65519.9f,
                                65520.0f};
  uint32_t codes = storage == ElementType::I4 ? 16 : 256;
  auto type = static_cast<uint32_t>(storage);
  for (uint32_t code = 0; code < codes; ++code) {
    // Of the wide types, codes spread over their range.
    uint32_t factor = storage == ElementType::F32 ? 0x01010101u
                      : elementSize(storage) == 2 ? 257
                                                  : 1;
    double value = reference::decodeElement(type, code * factor);
    double next = reference::decodeElement(type, (code * factor + 1) % (codes * factor));
    for (double center : {value, (value + next) / 2}) {
      auto narrow = static_cast<float>(center);
      numbers.push_back(narrow);
      numbers.push_back(std::nextafter(narrow, -INFINITY));
      numbers.push_back(std::nextafter(narrow, INFINITY));
    }
  }
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i)
    numbers.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  return numbers;
}

std::vector<uint8_t> arrayOf(const std::vector<float> &numbers, ElementType type) {
  std::vector<uint8_t> bytes(numbers.size() * rowSize(type));
  for (size_t i = 0; i < numbers.size(); ++i) {
    uint32_t bits = reference::encodeElement(static_cast<uint32_t>(type), double(numbers[i]));
    std::memcpy(bytes.data() + i * rowSize(type), &bits, rowSize(type));
  }
  return bytes;
}

double elementOf(const std::vector<uint8_t> &bytes, ElementType type, size_t index) {
  uint32_t bits = 0;
  std::memcpy(&bits, bytes.data() + index * rowSize(type), rowSize(type));
  return reference::decodeElement(static_cast<uint32_t>(type), bits);
}

/// The bytes that hold `value`, a NaN by itself so that its payload does not count.
std::string show(double value, uint32_t code) {
  return std::isnan(value) ? "nan" : std::to_string(code);
}

} // namespace

TEST(RowKernelsTest, EncodesLikeTheReference) {
  for (ElementType storage : storageTypes)
    for (ElementType array : arrayTypes)
      for (float inverse : {1.0f, 0.37f}) {
        auto type = static_cast<uint32_t>(storage);
        std::vector<uint8_t> row = arrayOf(hardNumbers(storage), array);
        auto count = static_cast<int64_t>(row.size() / rowSize(array));
        for (const RowKernels &kernels : allKernels(array, storage)) {
          std::vector<uint8_t> codes(static_cast<size_t>(count) * rowSize(storage));
          kernels.encode(source(row), 1, count, &inverse, target(codes));
          for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
            double value = static_cast<float>(elementOf(row, array, i) * double(inverse));
            uint32_t expected = reference::encodeElement(type, value), code = 0;
            std::memcpy(&code, codes.data() + i * rowSize(storage), rowSize(storage));
            bool anyNaN = elementSize(storage) >= 2;
            ASSERT_EQ(show(anyNaN ? value : 0, code), show(anyNaN ? value : 0, expected))
                << elementTypeName(array) << " to " << elementTypeName(storage) << ": " << value;
          }
        }
      }
}

TEST(RowKernelsTest, DecodesLikeTheReference) {
  for (ElementType storage : storageTypes)
    for (ElementType array : arrayTypes) {
      std::vector<uint8_t> codes = arrayOf(hardNumbers(storage), storage);
      auto count = static_cast<int64_t>(codes.size() / rowSize(storage));
      float factor = 0.37f;
      for (const RowKernels &kernels : allKernels(array, storage)) {
        std::vector<uint8_t> row(static_cast<size_t>(count) * rowSize(array));
        kernels.decode(source(codes), 1, count, &factor, target(row));
        for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
          double value = static_cast<float>(elementOf(codes, storage, i) * double(0.37f));
          uint32_t expected = reference::encodeElement(static_cast<uint32_t>(array), value);
          uint32_t found = 0;
          std::memcpy(&found, row.data() + i * rowSize(array), rowSize(array));
          ASSERT_EQ(show(value, found), show(value, expected))
              << elementTypeName(storage) << " to " << elementTypeName(array) << ": " << value;
        }
      }
    }
}

TEST(RowKernelsTest, AllInstructionsGiveTheSameBytes) {
  if (!CPUFeatures::host().has("avx2") || !CPUFeatures::host().has("f16c"))
    GTEST_SKIP() << "the processor has no AVX2 or no F16C";
  for (ElementType storage : storageTypes)
    for (ElementType array : arrayTypes) {
      std::vector<uint8_t> row = arrayOf(hardNumbers(storage), array);
      for (size_t count : {size_t(1), size_t(7), size_t(9), row.size() / rowSize(array)}) {
        std::vector<uint8_t> first(count * rowSize(storage)), second = first;
        auto length = static_cast<int64_t>(count);
        float factor = 0.7f;
        baselineRowKernels(array, storage).encode(source(row), 1, length, &factor, target(first));
        rowKernels(array, storage).encode(source(row), 1, length, &factor, target(second));
        ASSERT_EQ(first, second) << elementTypeName(array) << " to " << elementTypeName(storage);
        std::vector<uint8_t> back(count * rowSize(array)), again = back;
        baselineRowKernels(array, storage).decode(source(first), 1, length, &factor, target(back));
        rowKernels(array, storage).decode(source(first), 1, length, &factor, target(again));
        ASSERT_EQ(back, again) << elementTypeName(storage) << " to " << elementTypeName(array);
      }
    }
}

TEST(RowKernelsTest, FindsTheLargestMagnitude) {
  std::mt19937 random(3);
  for (ElementType array : arrayTypes)
    for (int64_t count = 0; count < 70; ++count) {
      std::vector<float> numbers(static_cast<size_t>(count));
      double largest = 0;
      for (float &number : numbers)
        number = std::ldexp(float(int(random() % 2001) - 1000), int(random() % 20) - 20);
      if (count > 2)
        numbers[1] = std::numeric_limits<float>::quiet_NaN();
      std::vector<uint8_t> row = arrayOf(numbers, array);
      for (size_t i = 0; i < numbers.size(); ++i)
        largest = std::fmax(largest, std::abs(elementOf(row, array, i)));
      for (const RowKernels &kernels : allKernels(array, array)) {
        float found[8] = {-1};
        kernels.maxMagnitudes(source(row), 1, count, found);
        ASSERT_EQ(found[0], largest) << count;
      }
    }
}

TEST(RowKernelsTest, PairsOfCodesAreTwoRowsOfThem) {
  constexpr int64_t rows = 3;
  std::mt19937 random(5);
  for (ElementType array : arrayTypes)
    for (int64_t count : {1, 7, 8, 21, 64}) {
      auto bytes = static_cast<size_t>(rows * count) * rowSize(array);
      std::vector<float> numbers(static_cast<size_t>(2 * rows * count));
      for (float &number : numbers)
        number = float(int(random() % 2001) - 1000) / 100;
      std::vector<uint8_t> both = arrayOf(numbers, array);
      int64_t stride = count * static_cast<int64_t>(rowSize(array));
      ConstStridedRows low{both.data(), stride}, high{both.data() + bytes, stride};
      float lowFactors[rows] = {1, 0.5f, 0.25f}, highFactors[rows] = {2, 0, 1};
      for (const RowKernels &kernels : allKernels(array, ElementType::I4)) {
        auto size = static_cast<size_t>(rows * count);
        std::vector<uint8_t> pairs(size), lows(size), highs(size);
        kernels.encodePairs(low, high, rows, count, lowFactors, highFactors, {pairs.data(), count});
        kernels.encode(low, rows, count, lowFactors, {lows.data(), count});
        kernels.encode(high, rows, count, highFactors, {highs.data(), count});
        for (size_t i = 0; i < size; ++i)
          ASSERT_EQ(pairs[i], lows[i] | highs[i] << 4);
        std::vector<uint8_t> back(2 * bytes), again = back;
        kernels.decodePairs({pairs.data(), count}, rows, count, lowFactors, highFactors,
                            {back.data(), stride}, {back.data() + bytes, stride});
        kernels.decode({lows.data(), count}, rows, count, lowFactors, {again.data(), stride});
        kernels.decode({highs.data(), count}, rows, count, highFactors,
                       {again.data() + bytes, stride});
        ASSERT_EQ(back, again) << elementTypeName(array) << " " << count;
      }
    }
}
