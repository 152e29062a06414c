// Attributes of the `llm` dialect and the enumerations they hold.

#ifndef LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_H
#define LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinAttributes.h"

#include "llmir/Dialect/LLM/IR/LLMEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "llmir/Dialect/LLM/IR/LLMAttributes.h.inc"

#endif // LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_H
