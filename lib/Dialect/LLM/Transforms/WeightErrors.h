// Estimates what rounding a weight costs, on some rows of the checkpoint's tensors, so that
// llm-quantize-weights can choose; the packer measures every row later.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_WEIGHTERRORS_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_WEIGHTERRORS_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/Support/WeightQuantizer.h"

namespace mlir::llm {

/// A rounding: the packed format and the elements that share a scale.
struct Rounding {
  ::llmir::PackedFormat format;
  int64_t groupSize;
};

/// The error of rounding about `sampledRows` rows of `weight` (0: all), in panels spread evenly
/// over its tensors in `file`. A diagnostic on the weight when a tensor is missing, not a float
/// matrix of the weight's columns, or has values that cannot be rounded.
FailureOr<::llmir::QuantizationError> estimateError(WeightOp weight, const ::llmir::GGUFFile &file,
                                                    const Rounding &rounding, int64_t sampledRows);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_WEIGHTERRORS_H
