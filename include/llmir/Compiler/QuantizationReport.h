// QuantizationReport: what rounding a model's weights cost, weight by weight, as the packer
// measured it on every element.

#ifndef LLMIR_COMPILER_QUANTIZATIONREPORT_H
#define LLMIR_COMPILER_QUANTIZATIONREPORT_H

#include "llmir/Support/WeightQuantizer.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace mlir::llm {

/// One weight that was rounded while it was packed.
struct QuantizedWeight {
  std::string name;
  ::llmir::PackedFormat format;
  int64_t groupSize;
  int64_t bytesBefore; ///< In the checkpoint.
  int64_t bytesAfter;  ///< Packed.
  ::llmir::QuantizationError error;
};

/// The weights of one compilation that were rounded, in the order of the packed file.
struct QuantizationReport {
  std::vector<QuantizedWeight> weights;

  /// One line: how many weights, bytes before and after, errors; nothing when none was rounded.
  void printSummary(llvm::raw_ostream &stream) const;
  /// A line for each weight: name, format, group size, bytes before and after, root mean square of
  /// the error, the same as a share of the weight's, largest error.
  void printTable(llvm::raw_ostream &stream) const;
};

} // namespace mlir::llm

#endif // LLMIR_COMPILER_QUANTIZATIONREPORT_H
