// The `llm` dialect's class, and the resources on which ops have effects: caches, and the
// exchange between ranks.

#ifndef LLMIR_DIALECT_LLM_IR_LLMDIALECT_H
#define LLMIR_DIALECT_LLM_IR_LLMDIALECT_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Dialect.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llmir/Dialect/LLM/IR/LLMDialect.h.inc"

namespace mlir::llm {

/// The memory of all KV caches. Ops that read or extend a cache have effects on it, which keeps
/// their order under common-subexpression elimination, hoisting and sinking.
struct KVCacheResource : public SideEffects::Resource::Base<KVCacheResource> {
  StringRef getName() final { return "KVCache"; }
};

/// The exchange of data between ranks. Sends, receives and collectives have effects on it, so that
/// all ranks do them in the same order.
struct CollectiveResource : public SideEffects::Resource::Base<CollectiveResource> {
  StringRef getName() final { return "Collective"; }
};

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_IR_LLMDIALECT_H
