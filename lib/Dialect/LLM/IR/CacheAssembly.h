// Assembly of the attributes of cache ops. Private to the dialect library.

#ifndef LLMIR_LIB_DIALECT_LLM_IR_CACHEASSEMBLY_H
#define LLMIR_LIB_DIALECT_LLM_IR_CACHEASSEMBLY_H

#include "mlir/IR/OpImplementation.h"

namespace mlir::llm {

/// Parses an attribute dictionary, in any order.
ParseResult parseOrderedAttributes(OpAsmParser &parser, NamedAttrList &attributes);

/// Prints an attribute dictionary in the order of the documentation, then what is not listed there;
/// a `layer` of 0, the default, is left out.
void printOrderedAttributes(OpAsmPrinter &printer, Operation *op, DictionaryAttr attributes);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_IR_CACHEASSEMBLY_H
