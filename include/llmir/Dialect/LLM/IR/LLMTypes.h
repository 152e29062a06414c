// Types of the `llm` dialect.

#ifndef LLMIR_DIALECT_LLM_IR_LLMTYPES_H
#define LLMIR_DIALECT_LLM_IR_LLMTYPES_H

#include "llmir/ABI.h"
#include "llmir/Dialect/LLM/IR/LLMAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Types.h"

#define GET_TYPEDEF_CLASSES
#include "llmir/Dialect/LLM/IR/LLMTypes.h.inc"

#endif // LLMIR_DIALECT_LLM_IR_LLMTYPES_H
