// Op interfaces of the `llm` dialect, and the verification that they bring along.

#ifndef LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H
#define LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H

#include "llmir/Dialect/LLM/IR/OpCost.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::llm {

/// Checks what one block shows about the cache that `op`, a CacheConsumerOpInterface, consumes: no
/// other consumer and no later use in the block, and no loop between the definition and `op`.
LogicalResult verifyCacheConsumer(Operation *op);

/// The innermost loop around `op` that does not contain the definition of `value`, or null.
Operation *findLoopBetween(Value value, Operation *op);

/// Checks that shaped operands and results are all tensors or all buffers. (BUF-1)
LogicalResult verifyOneForm(Operation *op);

/// Whether `op` is on buffers: what it reads may change between two reads, and what it gives is a
/// place of its own.
bool hasBuffers(Operation *op);

/// The effects of an op of a step: on caches, on operands that are buffers, and new buffers for
/// results.
void addOpEffects(Operation *op,
                  SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects);

/// The effects of an exchange with other ranks.
void addExchangeEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects);

/// An op that is on tensors or on buffers, not on both.
template <typename ConcreteType> class OneForm : public OpTrait::TraitBase<ConcreteType, OneForm> {
public:
  static LogicalResult verifyTrait(Operation *op) { return verifyOneForm(op); }
};

} // namespace mlir::llm

#include "llmir/Dialect/LLM/IR/LLMInterfaces.h.inc"

#endif // LLMIR_DIALECT_LLM_IR_LLMINTERFACES_H
