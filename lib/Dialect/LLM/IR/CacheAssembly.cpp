// Assembly of the attributes of cache ops, in the order in which their documentation shows them.

#include "CacheAssembly.h"

using namespace mlir;
using namespace mlir::llm;

ParseResult llm::parseOrderedAttributes(OpAsmParser &parser, NamedAttrList &attributes) {
  return parser.parseOptionalAttrDict(attributes);
}

void llm::printOrderedAttributes(OpAsmPrinter &printer, Operation *op, DictionaryAttr attributes) {
  SmallVector<NamedAttribute> ordered;
  ArrayRef<StringAttr> declared = op->getName().getAttributeNames();
  for (StringAttr name : declared)
    if (Attribute value = attributes.get(name))
      ordered.emplace_back(name, value);
  for (NamedAttribute attribute : attributes)
    if (!llvm::is_contained(declared, attribute.getName()))
      ordered.push_back(attribute);

  SmallVector<StringRef> elided = {"operandSegmentSizes"};
  auto layer = attributes.getAs<IntegerAttr>("layer");
  if (layer && layer.getValue().isZero())
    elided.push_back("layer");
  printer.printOptionalAttrDict(ordered, elided);
}
