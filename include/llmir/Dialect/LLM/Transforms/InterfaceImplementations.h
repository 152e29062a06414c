// Implementations of MLIR's interfaces for ops of the `llm` dialect that need other dialects, and
// so are attached when a program asks for them.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H
#define LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H

#include "mlir/IR/DialectRegistry.h"

namespace mlir::llm {

/// TilingInterface over tokens for the ops that treat them independently (embedding, norms, linear,
/// rope, gates, experts, products with quantised values, and logits and sampling over their rows),
/// over batch, tokens and KV heads for dense attention, over the batch for padded paged attention.
/// Features of products are tiled inside their kernels: weights are symbols and have no slices.
/// ReifyRankedShapedTypeOpInterface for every op with a result whose sizes follow from operands.
void registerTilingInterfaceModels(DialectRegistry &registry);

/// BufferizableOpInterface for all ops that take or give tensors: they read theirs, write none, and
/// give new ones. Caches are not tensors: they are changed in place because an op that changes one
/// consumes it, and bufferisation has nothing to decide.
void registerBufferizableOpInterfaceModels(DialectRegistry &registry);

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H
