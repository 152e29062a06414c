// Custom directives of the ops' declarative assembly: attributes in the documentation's order.

#include "OpAssembly.h"

using namespace mlir;
using namespace mlir::llm;

/// The order in which the documentation shows the attributes of cache ops.
static constexpr StringLiteral kOrder[] = {"block_size", "max_seq_len", "num_heads",   "head_dim",
                                           "scale",      "layer",       "causal",      "window",
                                           "num_sinks",  "soft_cap",    "alibi_slopes"};

ParseResult llm::parseOrderedAttributes(OpAsmParser &parser, NamedAttrList &attributes) {
  return parser.parseOptionalAttrDict(attributes);
}

void llm::printOrderedAttributes(OpAsmPrinter &printer, Operation *, DictionaryAttr attributes) {
  SmallVector<NamedAttribute> ordered;
  for (StringRef name : kOrder)
    if (std::optional<NamedAttribute> attribute = attributes.getNamed(name))
      ordered.push_back(*attribute);
  for (NamedAttribute attribute : attributes)
    if (!llvm::is_contained(kOrder, attribute.getName().getValue()))
      ordered.push_back(attribute);

  SmallVector<StringRef> elided = {"operandSegmentSizes"};
  auto layer = attributes.getAs<IntegerAttr>("layer");
  if (layer && layer.getValue().isZero())
    elided.push_back("layer");
  printer.printOptionalAttrDict(ordered, elided);
}
