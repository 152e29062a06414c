// Op interfaces of the `llm` dialect.

#ifndef LLMIR_DIALECT_LLM_IR_LLMINTERFACES_TD
#define LLMIR_DIALECT_LLM_IR_LLMINTERFACES_TD

include "mlir/IR/OpBase.td"

def LLM_CacheConsumerOpInterface : OpInterface<"CacheConsumerOpInterface"> {
  let description = [{
    An op that takes a cache and gives the next one, or ends it. The verifier of the interface checks what one
    block shows: the consumed value has no other consumer and no later use there, and it is not
    defined outside a loop that contains the op. `llm-check-cache-uses` checks the rest.
  }];
  let cppNamespace = "::mlir::llm";
  let methods = [
    InterfaceMethod<"The operand that holds the cache that is consumed.",
      "::mlir::OpOperand &", "getConsumedCache", (ins)>
  ];
  let verify = [{
    return ::mlir::llm::verifyCacheConsumer($_op);
  }];
}

#endif // LLMIR_DIALECT_LLM_IR_LLMINTERFACES_TD
