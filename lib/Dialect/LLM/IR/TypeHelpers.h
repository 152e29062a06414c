// What the parsers and verifiers of several types share. Private to the dialect library.

#ifndef LLMIR_LIB_DIALECT_LLM_IR_TYPEHELPERS_H
#define LLMIR_LIB_DIALECT_LLM_IR_TYPEHELPERS_H

#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "mlir/IR/DialectImplementation.h"

#include <optional>

namespace mlir::llm {

/// Parses `, name = value` any number of times. `parseValue` parses the value of a name that it
/// knows, and returns nothing for a name that it does not; `known` lists the names for messages.
ParseResult parseNamedParameters(AsmParser &parser, StringRef known,
                                 function_ref<std::optional<ParseResult>(StringRef)> parseValue);

/// Parses the bare name of an enumerator.
template <typename Enum> ParseResult parseEnumerator(AsmParser &parser, Enum &value) {
  FailureOr<Enum> result = FieldParser<Enum>::parse(parser);
  if (succeeded(result))
    value = *result;
  return ParseResult(result);
}

/// Whether `type` is f32, f16 or bf16: what activations, plain weights and scales are made of.
bool isComputeFloat(Type type);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_IR_TYPEHELPERS_H
