// All ops of the `llm` dialect; one include per family, each generated from its own TableGen file.

#ifndef LLMIR_DIALECT_LLM_IR_LLMOPS_H
#define LLMIR_DIALECT_LLM_IR_LLMOPS_H

#include "llmir/Dialect/LLM/IR/LLMAttributes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/WeightOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/TransformerOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/KVCacheOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/AttentionOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/SpeculationOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/QuantizationOps.h.inc"
#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/ShardingOps.h.inc"

namespace mlir::llm {

/// The number of features of an activation [tokens, ...]: the product of the dimensions after the
/// first, or ShapedType::kDynamic.
int64_t getNumFeatures(ShapedType type);

/// The weight that `name` refers to from `op`, or null.
WeightOp lookupWeight(Operation *op, FlatSymbolRefAttr name);

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_IR_LLMOPS_H
