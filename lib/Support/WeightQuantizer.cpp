// The arithmetic of WeightQuantizer.h. The inner loops run over the sixteen rows of a panel, each
// with sums of its own, so that they are vectors on every target and give the same numbers on each.

#include "llmir/Support/WeightQuantizer.h"

#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmir {

using Floats = PanelColumn<float>;

void QuantizationError::merge(const QuantizationError &other) {
  squaredError += other.squaredError;
  squaredWeight += other.squaredWeight;
  largest = std::max(largest, other.largest);
  count += other.count;
}

double QuantizationError::rms() const {
  return count ? std::sqrt(squaredError / static_cast<double>(count)) : 0.0;
}

double QuantizationError::relative() const {
  return squaredWeight > 0.0 ? std::sqrt(squaredError / squaredWeight) : 0.0;
}

/// Calls `body` for each row.
template <typename Body> static inline void forRows(Body body) {
  for (int64_t row = 0; row < kPanelRows; ++row)
    body(row);
}

/// `value` / `by` rounded to the nearest integer within the limits. Adding 1.5 * 2^23 leaves the
/// integer in the low bits, rounded by the addition itself, whatever the instruction set.
static inline float roundToCode(float value, float inverse, float least, float most) {
  constexpr float magic = 12582912.0f;
  float code = std::min(std::max(value * inverse, least), most);
  return (code + magic) - magic;
}

static inline float invert(float value) { return value == 0.0f ? 0.0f : 1.0f / value; }

namespace {
/// Scale and minimum of each row.
struct Parameters {
  Floats scale{};
  Floats minimum{};
};

/// The range of codes of a format: w = scale * code + minimum before the codes' own offset.
struct CodeRange {
  float least;
  float most;
  float zero; ///< What is added to a code when it is stored.
};
} // namespace

static CodeRange codeRange(PackedFormat format) {
  switch (format) {
  case PackedFormat::Q8_0:
    return {-127.0f, 127.0f, 0.0f};
  case PackedFormat::Q4_0:
    return {-8.0f, 7.0f, 8.0f};
  default:
    return {0.0f, 15.0f, 0.0f};
  }
}

/// The element of the largest magnitude, with its sign.
static Floats findLargest(const PanelGroup &group, int64_t size) {
  Floats largest{};
  for (int64_t k = 0; k < size; ++k)
    forRows([&](int64_t row) {
      float value = group[k][row];
      largest[row] = std::fabs(value) > std::fabs(largest[row]) ? value : largest[row];
    });
  return largest;
}

static Parameters fitEightBits(const PanelGroup &group, int64_t size) {
  Parameters result;
  Floats largest = findLargest(group, size);
  forRows([&](int64_t row) { result.scale[row] = std::fabs(largest[row]) / 127.0f; });
  return result;
}

/// The largest element, of either sign, is put at -`division`; the scale is then the one that fits
/// the codes best. Its squared error is less than the group's own squares by (Σxq)² / Σq².
static Parameters fitSymmetric(const PanelGroup &group, int64_t size) {
  static constexpr float divisions[] = {8.0f,  7.0f, 7.25f, 7.5f, 7.75f,
                                        8.25f, 8.5f, 8.75f, 9.0f, 9.5f};
  Parameters best;
  Floats bestGain{};
  Floats largest = findLargest(group, size);
  for (float division : divisions) {
    Floats inverse, products{}, squares{};
    forRows([&](int64_t row) { inverse[row] = -division * invert(largest[row]); });
    for (int64_t k = 0; k < size; ++k)
      forRows([&](int64_t row) {
        float code = roundToCode(group[k][row], inverse[row], -8.0f, 7.0f);
        products[row] += group[k][row] * code;
        squares[row] += code * code;
      });
    forRows([&](int64_t row) {
      float scale = products[row] * invert(squares[row]);
      float gain = products[row] * scale;
      bool better = gain > bestGain[row];
      bestGain[row] = better ? gain : bestGain[row];
      best.scale[row] = better ? scale : best.scale[row];
    });
  }
  return best;
}

namespace {
/// Sums over the codes of one division of a range.
struct CodeSums {
  Floats codes{};
  Floats squares{};
  Floats products{};
};
} // namespace

/// The range is cut into `division` steps; scale and minimum are then the line that fits the codes
/// best.
static Parameters fitAsymmetric(const PanelGroup &group, int64_t size) {
  static constexpr float divisions[] = {15.0f,  14.0f, 14.5f, 15.25f, 15.5f,
                                        15.75f, 16.0f, 16.5f, 17.0f,  18.0f};
  Floats low = group[0], high = group[0];
  for (int64_t k = 1; k < size; ++k)
    forRows([&](int64_t row) {
      low[row] = std::min(low[row], group[k][row]);
      high[row] = std::max(high[row], group[k][row]);
    });
  // Sums of the distances from the low end: small numbers lose less.
  Floats distances{};
  for (int64_t k = 0; k < size; ++k)
    forRows([&](int64_t row) { distances[row] += group[k][row] - low[row]; });
  Parameters best;
  Floats bestGain;
  bestGain.fill(-1.0f);
  best.minimum = low;
  auto count = static_cast<float>(size);
  for (float division : divisions) {
    Floats inverse;
    CodeSums sums;
    forRows([&](int64_t row) { inverse[row] = division * invert(high[row] - low[row]); });
    for (int64_t k = 0; k < size; ++k)
      forRows([&](int64_t row) {
        float distance = group[k][row] - low[row];
        float code = roundToCode(distance, inverse[row], 0.0f, 15.0f);
        sums.codes[row] += code;
        sums.squares[row] += code * code;
        sums.products[row] += code * distance;
      });
    forRows([&](int64_t row) {
      float determinant = count * sums.squares[row] - sums.codes[row] * sums.codes[row];
      float scale =
          (count * sums.products[row] - distances[row] * sums.codes[row]) * invert(determinant);
      float minimum = (distances[row] - scale * sums.codes[row]) / count;
      float gain = scale * sums.products[row] + minimum * distances[row];
      bool better = gain > bestGain[row];
      bestGain[row] = better ? gain : bestGain[row];
      best.scale[row] = better ? scale : best.scale[row];
      best.minimum[row] = better ? low[row] + minimum : best.minimum[row];
    });
  }
  return best;
}

static Parameters fit(PackedFormat format, const PanelGroup &group, int64_t size) {
  switch (format) {
  case PackedFormat::Q8_0:
    return fitEightBits(group, size);
  case PackedFormat::Q4_0:
    return fitSymmetric(group, size);
  default:
    return fitAsymmetric(group, size);
  }
}

/// Rounds the parameters to f16, as they are stored; false where they do not fit.
static bool roundParameters(Parameters &parameters, int64_t rows, QuantizedPanelGroup &result) {
  result.scales.fill(0);
  result.minima.fill(0);
  for (int64_t row = 0; row < rows; ++row) {
    result.scales[row] = floatToHalf(parameters.scale[row]);
    result.minima[row] = floatToHalf(parameters.minimum[row]);
    parameters.scale[row] = halfToFloat(result.scales[row]);
    parameters.minimum[row] = halfToFloat(result.minima[row]);
    if (!std::isfinite(parameters.scale[row]) || !std::isfinite(parameters.minimum[row]))
      return false;
  }
  return true;
}

/// Whether the first `rows` rows are numbers that may have f16 scales, with room for their squares.
static bool isInRange(const PanelGroup &group, int64_t size, int64_t rows) {
  constexpr float limit = 127.0f * 65504.0f;
  PanelColumn<int32_t> others{};
  for (int64_t k = 0; k < size; ++k)
    forRows([&](int64_t row) { others[row] |= !(std::fabs(group[k][row]) <= limit); });
  return std::all_of(others.begin(), others.begin() + rows, [](int32_t any) { return any == 0; });
}

bool quantizePanelGroup(PackedFormat format, const PanelGroup &group, int64_t groupSize,
                        int64_t rows, QuantizedPanelGroup &result, QuantizationError &error) {
  if (!isInRange(group, groupSize, rows))
    return false;
  Parameters parameters = fit(format, group, groupSize);
  if (!roundParameters(parameters, rows, result))
    return false;
  CodeRange range = codeRange(format);
  Floats inverse, squaredError{}, squaredWeight{}, largest{};
  forRows([&](int64_t row) { inverse[row] = invert(parameters.scale[row]); });
  for (int64_t k = 0; k < groupSize; ++k) {
    forRows([&](int64_t row) {
      float value = group[k][row];
      float code =
          roundToCode(value - parameters.minimum[row], inverse[row], range.least, range.most);
      float difference =
          std::fabs(value - (parameters.scale[row] * code + parameters.minimum[row]));
      squaredError[row] += difference * difference;
      squaredWeight[row] += value * value;
      largest[row] = std::max(largest[row], difference);
      result.codes[k][row] = static_cast<uint8_t>(static_cast<int32_t>(code + range.zero));
    });
    std::fill(result.codes[k].begin() + rows, result.codes[k].end(), uint8_t(0));
  }
  for (int64_t row = 0; row < rows; ++row)
    error.merge({squaredError[row], squaredWeight[row], largest[row], groupSize});
  return true;
}

/// The codes of a group, in the order of docs/PackedWeights.md.
static void storeCodes(const PackedLayout &layout, const QuantizedPanelGroup &group,
                       uint8_t *codes) {
  for (int64_t quad = 0; quad < layout.codeBytes() / 64; ++quad)
    for (int64_t row = 0; row < kPanelRows; ++row)
      for (int64_t i = 0; i < 4; ++i) {
        uint8_t *byte = codes + quad * 64 + row * 4 + i;
        if (layout.isFourBit())
          *byte = static_cast<uint8_t>(group.codes[8 * quad + i][row] |
                                       group.codes[8 * quad + 4 + i][row] << 4);
        else
          *byte = group.codes[4 * quad + i][row];
      }
}

void storePanelGroup(const PackedLayout &layout, const QuantizedPanelGroup &group, int64_t k,
                     uint8_t *panel) {
  int64_t index = k / layout.groupSize;
  std::memcpy(panel + layout.scaleOffset(index), group.scales.data(), sizeof(group.scales));
  if (layout.hasMinimum())
    std::memcpy(panel + layout.minimumOffset(index), group.minima.data(), sizeof(group.minima));
  storeCodes(layout, group, panel + layout.codeOffset(index));
}

} // namespace llmir
