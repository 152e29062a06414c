// Rounds floating-point weights to the groups of codes of docs/PackedWeights.md, sixteen rows at a
// time, and measures the error. Knows neither files nor IR; the bytes of a panel are
// PackedLayout's.

#ifndef LLMIR_SUPPORT_WEIGHTQUANTIZER_H
#define LLMIR_SUPPORT_WEIGHTQUANTIZER_H

#include "llmir/Support/PackedLayout.h"

#include <array>
#include <cstdint>

namespace llmir {

/// The largest group that shares a scale. Every group size is a multiple of kGroupSize; the packed
/// form repeats the scale of a larger group for each 32 elements.
inline constexpr int64_t kLargestGroupSize = 128;

/// One number for each row of a panel.
template <typename T> using PanelColumn = std::array<T, kPanelRows>;

/// One group of each row of a panel, element by element.
using PanelGroup = std::array<PanelColumn<float>, kLargestGroupSize>;

/// What a group of each row becomes.
struct QuantizedPanelGroup {
  /// Codes of each element: signed (q8_0) or 0 to 15 (q4_0, q4_1).
  std::array<PanelColumn<uint8_t>, kLargestGroupSize> codes;
  /// f16 bit patterns; the minima of q4_1 only.
  PanelColumn<uint16_t> scales;
  PanelColumn<uint16_t> minima;
};

/// The difference between weights and their rounded form, over any number of them.
struct QuantizationError {
  double squaredError = 0.0;
  double squaredWeight = 0.0;
  double largest = 0.0; ///< Absolute.
  int64_t count = 0;

  void merge(const QuantizationError &other);
  /// Root mean square of the error.
  double rms() const;
  /// The same as a share of the weights' root mean square; 0 where they are all zero.
  double relative() const;
};

/// Rounds the first `rows` rows of `group`, of which each has `groupSize` elements (a multiple of
/// kGroupSize, at most kLargestGroupSize), to `format`, which is quantised, and adds to `error`.
/// The other rows of the result are zero. Returns false where a weight is not finite or too large
/// for an f16 scale.
///
/// q8_0: scale = largest magnitude / 127. q4_0 and q4_1: of ten divisions of the group's range
/// (which clip its ends to different degrees) the one whose codes, with the scale (and minimum)
/// that fits them best in the sense of least squares, give the least squared error.
bool quantizePanelGroup(PackedFormat format, const PanelGroup &group, int64_t groupSize,
                        int64_t rows, QuantizedPanelGroup &result, QuantizationError &error);

/// Writes the group, which starts at element `k` (a multiple of the layout's group size), to
/// `panel`, laid out as `layout` says.
void storePanelGroup(const PackedLayout &layout, const QuantizedPanelGroup &group, int64_t k,
                     uint8_t *panel);

} // namespace llmir

#endif // LLMIR_SUPPORT_WEIGHTQUANTIZER_H
