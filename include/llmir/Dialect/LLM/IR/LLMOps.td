// All op families of the `llm` dialect, in the order in which the documentation shows them.

#ifndef LLMIR_DIALECT_LLM_IR_LLMOPS_TD
#define LLMIR_DIALECT_LLM_IR_LLMOPS_TD

include "llmir/Dialect/LLM/IR/WeightOps.td"
include "llmir/Dialect/LLM/IR/TransformerOps.td"
include "llmir/Dialect/LLM/IR/KVCacheOps.td"
include "llmir/Dialect/LLM/IR/AttentionOps.td"
include "llmir/Dialect/LLM/IR/SpeculationOps.td"
include "llmir/Dialect/LLM/IR/QuantizationOps.td"
include "llmir/Dialect/LLM/IR/ShardingOps.td"

#endif // LLMIR_DIALECT_LLM_IR_LLMOPS_TD
