// Custom directives of the ops' declarative assembly. Private to the dialect library.

#ifndef LLMIR_LIB_DIALECT_LLM_IR_OPASSEMBLY_H
#define LLMIR_LIB_DIALECT_LLM_IR_OPASSEMBLY_H

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

namespace mlir::llm {

/// Parses an attribute dictionary, in any order.
ParseResult parseOrderedAttributes(OpAsmParser &parser, NamedAttrList &attributes);

/// Prints an attribute dictionary in the order of the documentation, then what is not listed there;
/// a `layer` of 0, the default, is left out.
void printOrderedAttributes(OpAsmPrinter &printer, Operation *op, DictionaryAttr attributes);

/// Parses the bare name of an enumerator.
template <typename EnumAttr> ParseResult parseKeyword(OpAsmParser &parser, EnumAttr &attribute) {
  using Enum = decltype(attribute.getValue());
  FailureOr<Enum> value = FieldParser<Enum>::parse(parser);
  if (failed(value))
    return failure();
  attribute = EnumAttr::get(parser.getContext(), *value);
  return success();
}

/// Prints the bare name of an enumerator.
template <typename EnumAttr>
void printKeyword(OpAsmPrinter &printer, Operation *, EnumAttr attribute) {
  printer << stringifyEnum(attribute.getValue());
}

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_IR_OPASSEMBLY_H
