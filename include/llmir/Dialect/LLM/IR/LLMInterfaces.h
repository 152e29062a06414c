// Op interfaces of the `llm` dialect, and the verification that they bring along.

#ifndef LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H
#define LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H

#include "llmir/Dialect/LLM/IR/OpCost.h"
#include "mlir/IR/OpDefinition.h"

namespace mlir::llm {

/// Checks what one block shows about the cache that `op`, a CacheConsumerOpInterface, consumes: no
/// other consumer and no later use in the block, and no loop between the definition and `op`.
LogicalResult verifyCacheConsumer(Operation *op);

/// The innermost loop around `op` that does not contain the definition of `value`, or null.
Operation *findLoopBetween(Value value, Operation *op);

} // namespace mlir::llm

#include "llmir/Dialect/LLM/IR/LLMInterfaces.h.inc"

#endif // LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H
