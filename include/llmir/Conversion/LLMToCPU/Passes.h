// The passes of Passes.td: their constructors, options and registration.

#ifndef LLMIR_CONVERSION_LLMTOCPU_PASSES_H
#define LLMIR_CONVERSION_LLMTOCPU_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace mlir::llm {

/// How convert-llm-to-cpu lowers `llm.attention`. All give the same numbers within rounding.
enum class AttentionTechnique : uint8_t {
  Flash,         ///< Tiles of keys, online softmax, masked tiles skipped; the best.
  FusedSoftmax,  ///< Scores of a block of rows; weights are computed where values are added up.
  Masked,        ///< Scores of all rows; tiles that a mask leaves out are skipped.
  SlidingWindow, ///< Scores of a block of rows for the keys of its window alone.
  ThreePass      ///< Scores of all rows and keys, then softmax, then the product: the baseline.
};

#define GEN_PASS_DECL
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOCPU_PASSES_H
