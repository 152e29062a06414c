// The rounding of weights: exact where the weights are codes, never worse than the plain division
// of the range, and refused where a weight is not finite.

#include "llmir/Support/WeightQuantizer.h"
#include "llmir/Base/Float16.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>

using namespace llmir;

namespace {

constexpr PackedFormat kFormats[] = {PackedFormat::Q8_0, PackedFormat::Q4_0, PackedFormat::Q4_1};

/// The weight that a code stands for, by docs/PackedWeights.md.
float decode(PackedFormat format, const QuantizedPanelGroup &group, int64_t k, int64_t row) {
  float scale = halfToFloat(group.scales[row]);
  uint8_t code = group.codes[k][row];
  if (format == PackedFormat::Q8_0)
    return scale * static_cast<float>(static_cast<int8_t>(code));
  if (format == PackedFormat::Q4_0)
    return scale * static_cast<float>(code - 8);
  return scale * static_cast<float>(code) + halfToFloat(group.minima[row]);
}

/// The squared error of dividing each row's range evenly, as GGUF's reference quantisers do.
double plainError(PackedFormat format, const PanelGroup &group, int64_t size) {
  double sum = 0.0;
  for (int64_t row = 0; row < kPanelRows; ++row) {
    float low = group[0][row], high = low, largest = 0.0f;
    for (int64_t k = 0; k < size; ++k) {
      low = std::min(low, group[k][row]);
      high = std::max(high, group[k][row]);
      if (std::fabs(group[k][row]) > std::fabs(largest))
        largest = group[k][row];
    }
    float scale = format == PackedFormat::Q8_0   ? std::fabs(largest) / 127
                  : format == PackedFormat::Q4_0 ? largest / -8
                                                 : (high - low) / 15;
    float minimum = format == PackedFormat::Q4_1 ? low : 0.0f;
    float least = format == PackedFormat::Q8_0 ? -127 : format == PackedFormat::Q4_0 ? -8 : 0;
    float most = format == PackedFormat::Q8_0 ? 127 : format == PackedFormat::Q4_0 ? 7 : 15;
    scale = halfToFloat(floatToHalf(scale));
    minimum = halfToFloat(floatToHalf(minimum));
    for (int64_t k = 0; k < size; ++k) {
      float code = std::clamp(std::nearbyint((group[k][row] - minimum) / scale), least, most);
      sum += std::pow(group[k][row] - (scale * code + minimum), 2);
    }
  }
  return sum;
}

class WeightQuantizerTest : public testing::TestWithParam<PackedFormat> {
protected:
  void fill(double mean, double deviation) {
    std::normal_distribution<double> normal(mean, deviation);
    for (PanelColumn<float> &column : *group)
      for (float &value : column)
        value = static_cast<float>(normal(random));
  }
  bool quantize(int64_t size, int64_t rows = kPanelRows) {
    error = {};
    return quantizePanelGroup(GetParam(), *group, size, rows, *result, error);
  }

  std::mt19937 random{5};
  std::unique_ptr<PanelGroup> group = std::make_unique<PanelGroup>();
  std::unique_ptr<QuantizedPanelGroup> result = std::make_unique<QuantizedPanelGroup>();
  QuantizationError error;
};

TEST_P(WeightQuantizerTest, ReportsTheErrorOfItsCodes) {
  for (int64_t size : {32, 64, 128}) {
    fill(0.1, 0.5);
    ASSERT_TRUE(quantize(size));
    double squaredError = 0.0, squaredWeight = 0.0, largest = 0.0;
    for (int64_t k = 0; k < size; ++k)
      for (int64_t row = 0; row < kPanelRows; ++row) {
        double difference = (*group)[k][row] - decode(GetParam(), *result, k, row);
        squaredError += difference * difference;
        squaredWeight += std::pow((*group)[k][row], 2);
        largest = std::max(largest, std::fabs(difference));
        ASSERT_TRUE(GetParam() == PackedFormat::Q8_0 || result->codes[k][row] < 16);
      }
    EXPECT_EQ(error.count, size * kPanelRows);
    EXPECT_NEAR(error.squaredError, squaredError, 1e-4 * squaredError);
    EXPECT_NEAR(error.squaredWeight, squaredWeight, 1e-4 * squaredWeight);
    EXPECT_NEAR(error.largest, largest, 1e-4 * largest);
    EXPECT_LE(squaredError, 1.0001 * plainError(GetParam(), *group, size));
  }
}

TEST_P(WeightQuantizerTest, SearchesForALowerError) {
  double searched = 0.0, plain = 0.0;
  for (int i = 0; i < 50; ++i) {
    fill(0.0, 1.0);
    ASSERT_TRUE(quantize(32));
    searched += error.squaredError;
    plain += plainError(GetParam(), *group, 32);
  }
  EXPECT_LT(searched, (GetParam() == PackedFormat::Q8_0 ? 1.001 : 0.92) * plain);
}

TEST_P(WeightQuantizerTest, FindsCodesAgain) {
  std::uniform_int_distribution<int> codes(GetParam() == PackedFormat::Q8_0   ? -127
                                           : GetParam() == PackedFormat::Q4_0 ? -8
                                                                              : 0,
                                           GetParam() == PackedFormat::Q8_0   ? 127
                                           : GetParam() == PackedFormat::Q4_0 ? 7
                                                                              : 15);
  for (int64_t row = 0; row < kPanelRows; ++row) {
    float scale = halfToFloat(floatToHalf(0.01f + 0.001f * static_cast<float>(row)));
    float minimum = GetParam() == PackedFormat::Q4_1 ? -0.0625f : 0.0f;
    for (int64_t k = 0; k < 32; ++k)
      (*group)[k][row] = scale * static_cast<float>(k == 0 ? codes.min() : codes(random)) + minimum;
    if (GetParam() == PackedFormat::Q4_1)
      (*group)[1][row] = scale * 15 + minimum;
  }
  ASSERT_TRUE(quantize(32));
  EXPECT_LT(error.relative(), 1e-6);
}

TEST_P(WeightQuantizerTest, ZeroAndMissingRowsAreZero) {
  fill(0.0, 1.0);
  for (PanelColumn<float> &column : *group) {
    column[3] = 0.0f;
    for (int64_t row = 9; row < kPanelRows; ++row)
      column[row] = 0.0f;
  }
  ASSERT_TRUE(quantize(64, 9));
  EXPECT_EQ(error.count, 9 * 64);
  for (int64_t k = 0; k < 64; ++k) {
    EXPECT_EQ(decode(GetParam(), *result, k, 3), 0.0f);
    for (int64_t row = 9; row < kPanelRows; ++row)
      EXPECT_EQ(result->codes[k][row], 0);
  }
  for (int64_t row = 9; row < kPanelRows; ++row) {
    EXPECT_EQ(result->scales[row], 0);
    EXPECT_EQ(result->minima[row], 0);
  }
}

TEST_P(WeightQuantizerTest, RefusesWhatHasNoScale) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::max()}) {
    fill(0.0, 1.0);
    (*group)[5][7] = bad;
    EXPECT_FALSE(quantize(32)) << bad;
    EXPECT_EQ(error.count, 0);
  }
  // Tiny numbers vanish.
  fill(0.0, 1e-30);
  EXPECT_TRUE(quantize(32));
  EXPECT_LT(error.largest, 1e-28);
}

INSTANTIATE_TEST_SUITE_P(Formats, WeightQuantizerTest, testing::ValuesIn(kFormats),
                         [](const auto &info) { return std::string(getName(info.param)); });

} // namespace
