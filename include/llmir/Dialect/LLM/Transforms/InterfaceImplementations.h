// Implementations of MLIR's interfaces for ops of the `llm` dialect that need other dialects, and
// so are attached when a program asks for them.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H
#define LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H

#include "mlir/IR/DialectRegistry.h"

namespace mlir::llm {

/// TilingInterface and ReifyRankedShapedTypeOpInterface for the ops that treat tokens
/// independently: embedding, norms, linear, rope, gates and experts. Tokens are the one dimension
/// of their iteration domain; a matrix product is tiled further inside its kernel, not here.
void registerTilingInterfaceModels(DialectRegistry &registry);

/// BufferizableOpInterface for the ops on caches and for attention: they read their tensors, write
/// none, and give new ones. Caches are not tensors: they are changed in place because an op that
/// changes one consumes it, and bufferisation has nothing to decide.
void registerBufferizableOpInterfaceModels(DialectRegistry &registry);

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_INTERFACEIMPLEMENTATIONS_H
