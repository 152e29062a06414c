// Where the bytes of an `llm.weight` lie in the packed weight file: the one answer that the layout
// pass, the weight packer and the kernel generators share. The addresses inside a panel are
// PackedLayout's; this file adds how the sources of a fused weight are put together.

#ifndef LLMIR_DIALECT_LLM_ANALYSIS_WEIGHTLAYOUT_H
#define LLMIR_DIALECT_LLM_ANALYSIS_WEIGHTLAYOUT_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Support/PackedLayout.h"

#include <optional>

namespace mlir::llm {

/// Bytes to which every weight of the packed file is aligned.
inline constexpr int64_t kWeightAlignment = 64;

/// One checkpoint tensor of a packed weight.
struct WeightSource {
  /// The tensor's name in the checkpoint; lives as long as the MLIR context.
  StringRef name;
  /// Rows of a matrix, elements of a vector, without padding.
  int64_t rows = 0;

  /// Rows with the padding to whole panels.
  int64_t packedRows() const { return panels() * ::llmir::kPanelRows; }
  int64_t panels() const { return (rows + ::llmir::kPanelRows - 1) / ::llmir::kPanelRows; }
};

/// Which part of its checkpoint tensors a weight is: of their rows (elements) or columns.
struct SourcePart {
  int64_t dim = 0;
  int64_t shards = 1;
  int64_t index = 0;
};

/// The layout of one weight: a vector (f32, each source padded to 16 elements) or a matrix of
/// panels (each source padded to whole panels by itself).
class WeightLayout {
public:
  /// The layout of `weight`, or a diagnostic on it when its type has no packed form or its sources
  /// do not fit its type.
  static FailureOr<WeightLayout> get(WeightOp weight);

  bool isVector() const { return !matrix; }
  /// The matrix with padded rows: `getMatrix().rows` is 16 times the number of panels of all
  /// sources, except that the matrix of a single source keeps its own number of rows. Matrices
  /// only.
  const ::llmir::PackedLayout &getMatrix() const { return *matrix; }
  /// The storage format of the matrix; nothing for vectors.
  std::optional<::llmir::PackedFormat> getFormat() const;

  /// Elements that share a scale in the weight's type, a multiple of 32: the packed form repeats
  /// the scale for each 32. 0 where nothing is quantised.
  int64_t getGroupSize() const { return groupSize; }

  /// The checkpoint tensors in order; at least one.
  ArrayRef<WeightSource> getSources() const { return sources; }
  Arrangement getArrangement() const { return arrangement; }
  /// The part of each tensor; rows and columns above are those of the part.
  const SourcePart &getPart() const { return part; }

  /// Rows (or vector elements) with the padding of each source: a multiple of 16.
  int64_t getPackedRows() const;
  /// The first packed row of `source` in a concatenation, which is also the column at which its
  /// results start in the common output buffer of a fused linear.
  int64_t getFirstPackedRow(unsigned source) const;
  /// The place among all panels of `panel` of `source`. Matrices only.
  int64_t getPanelIndex(unsigned source, int64_t panel) const;
  /// Bytes in the packed file: a multiple of kWeightAlignment.
  int64_t getTotalBytes() const;

private:
  std::optional<::llmir::PackedLayout> matrix;
  SmallVector<WeightSource, 1> sources;
  int64_t groupSize = 0;
  Arrangement arrangement = Arrangement::Concat;
  SourcePart part;
};

/// The packed format of a weight's matrix type, or nothing for a vector and for a type without one:
/// q8_0, q4_0 and q4_1 are quantized tensors grouped along axis 1 by 32 or a multiple of it up to
/// 128, with f16 scales.
std::optional<::llmir::PackedFormat> getPackedFormat(Type weightType);

/// The shape of a weight's type, which is a ranked tensor or a quantized tensor.
ArrayRef<int64_t> getWeightShape(Type weightType);

/// The weight type of the same element type and format with another shape of the same rank.
Type getWeightTypeWithShape(Type weightType, ArrayRef<int64_t> shape);

/// The weight type of the same element type, format and columns with `rows` rows (elements, for a
/// vector).
Type getWeightTypeWithRows(Type weightType, int64_t rows);

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_ANALYSIS_WEIGHTLAYOUT_H
