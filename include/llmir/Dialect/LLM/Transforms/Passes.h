// Passes over the `llm` dialect: constructors, options and registration.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_H
#define LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/CommandLine.h"

namespace mlir::llm {

/// The type in which matrix ops multiply their activations.
enum class ActivationType { F32, BF16, I8 };
/// The codes to which float weights are rounded.
enum class WeightStorage { I8, I4 };
/// Whether groups of 4-bit codes have a minimum beside the scale: `Best` looks at the weights.
enum class WeightSymmetry { Symmetric, Asymmetric, Best };

/// Whose kernels read and write KV caches.
enum class KVCacheTarget { CPU, GPU };

#define GEN_PASS_DECL
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_H
