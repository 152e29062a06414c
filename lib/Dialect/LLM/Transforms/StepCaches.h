// The caches of a step: which ops read and extend which, and the exchange of a cache for several
// that hold its layers between them. Makes no choices.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_STEPCACHES_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_STEPCACHES_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <vector>

namespace mlir::llm {

/// A cache that a step receives with its slots and its table, and the ops that use it.
class StepCache {
public:
  /// The caches of a step in order of its arguments. A use that a layer of another type could not
  /// have (a layer that is an operand, other slots or tables, other ops) is an error on the op.
  static FailureOr<std::vector<StepCache>> find(func::FuncOp step);

  PagedKVCacheType getType() const { return type; }
  /// The ops of a layer; a layer may have none.
  ArrayRef<Operation *> getOps(int64_t layer) const { return layers[static_cast<size_t>(layer)]; }

  /// Where a layer of the cache goes: to a new cache, as one of its layers.
  struct LayerPlace {
    size_t cache;
    int64_t layer;
  };
  /// Exchanges the cache for caches of `types`, each with slots and table, in its place among
  /// arguments and results. Afterwards other StepCaches of the step are out of date, but those of
  /// earlier arguments.
  static void exchange(func::FuncOp step, const StepCache &cache, ArrayRef<PagedKVCacheType> types,
                       ArrayRef<LayerPlace> places);

private:
  LogicalResult addUses(func::FuncOp step, Value value);
  LogicalResult addOp(func::FuncOp step, Operation *op, Value slotsOrTable, unsigned offset,
                      Value layerIndex, int64_t layer);

  PagedKVCacheType type;
  unsigned argument = 0;
  SmallVector<SmallVector<Operation *>> layers;
  SmallVector<Value> values; ///< The cache at each stage; the last is returned.
};

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_STEPCACHES_H
