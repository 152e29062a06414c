// Where the elements of a packed weight lie: the one description that the weight packer writes by
// and the kernel generators read by. docs/PackedWeights.md draws the formats.

#ifndef LLMIR_SUPPORT_PACKEDLAYOUT_H
#define LLMIR_SUPPORT_PACKEDLAYOUT_H

#include <cstdint>

namespace llmir {

/// How the elements of a packed matrix are stored.
enum class PackedFormat : uint8_t { F32, F16, BF16, Q8_0, Q4_0, Q4_1 };

/// `f32`, `f16`, `bf16`, `q8_0`, `q4_0` or `q4_1`.
const char *getName(PackedFormat format);

/// Rows of a panel: the unit of storage, and of work for the kernels.
inline constexpr int64_t kPanelRows = 16;
/// Elements along k of the least quantisation group, which is that of checkpoints. Codes are stored
/// in runs of so many.
inline constexpr int64_t kGroupSize = 32;

/// The layout of one matrix of `rows` output features and `cols` input features. All offsets are
/// in bytes from the start of the panel.
struct PackedLayout {
  PackedFormat format;
  int64_t rows;
  int64_t cols;
  /// Quantised formats: elements along k that share a scale; 32, 64 or 128, a divisor of `cols`.
  int64_t groupSize = kGroupSize;

  bool isQuantized() const { return format >= PackedFormat::Q8_0; }
  bool isFourBit() const { return format == PackedFormat::Q4_0 || format == PackedFormat::Q4_1; }
  bool hasMinimum() const { return format == PackedFormat::Q4_1; }

  int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  /// Groups along k; quantised formats only.
  int64_t groups() const { return cols / groupSize; }
  /// Groups that share one run of scales.
  int64_t groupsPerBlock() const { return hasMinimum() ? 1 : 2; }
  /// Bytes of one group's codes.
  int64_t codeBytes() const { return groupSize * (isFourBit() ? 8 : 16); }
  /// Bytes of a whole block: its scales, then the codes of its groups.
  int64_t blockBytes() const { return 64 + groupsPerBlock() * codeBytes(); }

  int64_t panelBytes() const;
  int64_t totalBytes() const { return panels() * panelBytes(); }

  /// Quantised formats: the 16 f16 scales, the 16 f16 minima and the codes of `group`.
  int64_t scaleOffset(int64_t group) const;
  int64_t minimumOffset(int64_t group) const;
  int64_t codeOffset(int64_t group) const;
  /// Plain formats: the element (`row` in the panel, `k`).
  int64_t elementOffset(int64_t row, int64_t k) const;
};

} // namespace llmir

#endif // LLMIR_SUPPORT_PACKEDLAYOUT_H
