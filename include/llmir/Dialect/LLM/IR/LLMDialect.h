// The `llm` dialect's class, and the resource on which ops have effects when they touch a cache.

#ifndef LLMIR_DIALECT_LLM_IR_LLMDIALECT_H
#define LLMIR_DIALECT_LLM_IR_LLMDIALECT_H

#include "mlir/IR/Dialect.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llmir/Dialect/LLM/IR/LLMDialect.h.inc"

namespace mlir::llm {

/// The memory of all KV caches. Ops that read or extend a cache have effects on it, which keeps
/// their order under common-subexpression elimination, hoisting and sinking.
struct KVCacheResource : public SideEffects::Resource::Base<KVCacheResource> {
  StringRef getName() final { return "KVCache"; }
};

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_IR_LLMDIALECT_H
