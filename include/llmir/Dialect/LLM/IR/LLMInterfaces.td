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

def LLM_CostOpInterface : OpInterface<"CostOpInterface"> {
  let description = [{
    What an op costs, for passes that choose between forms of a model: `getCost()` gives bytes read
    and written, arithmetic, and bytes exchanged with other ranks, each an AffineCount of the sizes
    of a step (OpCost.h). `getCost().bytesRead.evaluate(StepSizes::decode(8, 4096))` is what eight
    sequences of 4096 tokens read for their next token. Weights are looked up by name; one that is
    missing counts nothing. A window counts as full.
  }];
  let cppNamespace = "::mlir::llm";
  let methods = [
    InterfaceMethod<"The cost of the op.", "::mlir::llm::OpCost", "getCost", (ins)>
  ];
}

#endif // LLMIR_DIALECT_LLM_IR_LLMINTERFACES_TD
