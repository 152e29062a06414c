// What several op families' folds share. Private to the dialect library.

#ifndef LLMIR_LIB_DIALECT_LLM_IR_FOLDHELPERS_H
#define LLMIR_LIB_DIALECT_LLM_IR_FOLDHELPERS_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"

namespace mlir::llm {

/// Turns the operand that says which layer an op is for into the attribute, where `index`, its
/// constant value or null, is one of the cache's layers. Whether anything changed.
template <typename OpTy> bool foldLayerIndex(OpTy op, Attribute index) {
  auto layer = dyn_cast_or_null<IntegerAttr>(index);
  if (!layer || !op.getLayerIndex())
    return false;
  int64_t value = layer.getValue().getSExtValue();
  if (value < 0 || value >= op.getCache().getType().getNumLayers())
    return false;
  op.getLayerIndexMutable().clear();
  op.setLayer(static_cast<uint32_t>(value));
  return true;
}

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_IR_FOLDHELPERS_H
