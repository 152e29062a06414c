// Registration of the `llm` dialect and the attributes it understands on other dialects' ops.

#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::llm;

#include "llmir/Dialect/LLM/IR/LLMDialect.cpp.inc"

namespace {

/// Prints cache types as `!kv`, the name by which people call them.
struct LLMAsmInterface : public OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Type type, raw_ostream &os) const final {
    if (!isa<PagedKVCacheType>(type))
      return AliasResult::NoAlias;
    os << "kv";
    return AliasResult::OverridableAlias;
  }
};

} // namespace

void LLMDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/WeightOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/TransformerOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/KVCacheOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/AttentionOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/SpeculationOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/QuantizationOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "llmir/Dialect/LLM/IR/ShardingOps.cpp.inc"
      >();
  addInterfaces<LLMAsmInterface>();
}

LogicalResult LLMDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName();
  // (MOD-1)
  if (name == kStepAttrName) {
    if (!isa<FunctionOpInterface>(op))
      return op->emitOpError("expected '") << name << "' to be on a function";
    if (!isa<UnitAttr>(attribute.getValue()))
      return op->emitOpError("expected '")
             << name << "' to be a unit attribute, but got " << attribute.getValue();
    return success();
  }
  // (MOD-2)
  if (name == kNameAttrName || name == kArchitectureAttrName) {
    if (!isa<StringAttr>(attribute.getValue()))
      return op->emitOpError("expected '")
             << name << "' to be a string, but got " << attribute.getValue();
    return success();
  }
  // (MOD-3)
  if (name == kVocabularySizeAttrName || name == kMaxSequenceLengthAttrName) {
    auto value = dyn_cast<IntegerAttr>(attribute.getValue());
    if (!value || value.getValue().getSExtValue() < 1)
      return op->emitOpError("expected '")
             << name << "' to be a positive integer, but got " << attribute.getValue();
  }
  return success();
}
