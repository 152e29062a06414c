// Converting the ops that manage a cache: what `llm.reserve_kv`, `llm.store_kv` and
// `llm.block_table` become on every target (calls of the seam and a target's store), and the parts
// of which a target makes its other patterns.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPCONVERSION_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPCONVERSION_H

#include "CacheFunctions.h"
#include "KernelBuilder.h"

#include "llmir/ABI.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"

namespace mlir::llm {

/// Emits host code in front of an op: memrefs without layout, and calls of the seam.
class HostEmitter {
public:
  HostEmitter(Operation *op, ModuleOp module, ConversionPatternRewriter &rewriter)
      : b(op->getLoc(), rewriter), module(module) {}

  Value dim(Value memref, int64_t dimension);
  Value toI64(Value index);
  Value layerOf(Value index, int64_t attribute) { return index ? index : b.index(attribute); }
  Value countElements(Value memref);

  /// memref<?xT>
  MemRefType vectorType(Type element);
  MemRefType bytesType() { return vectorType(b.getI8Type()); }

  /// A buffer of the result's shape, with these sizes where it is dynamic.
  Value allocateResult(Value result, ValueRange dynamicSizes);
  /// A buffer of the result's shape and the sizes of `memref`, which has its rank.
  Value allocateLike(Value result, Value memref);
  /// A buffer of `size` elements for the op alone.
  Value allocateTemporary(Type element, Value size);

  /// A memref of any shape as memref<?xT>.
  Value flatten(Value memref);
  void fillWithZero(Value memref);
  /// 0, tokens, 2 * tokens, … for a padded query [sequences, tokens, ..]: its cumulative lengths.
  Value emitPaddedLengths(Value query);

  /// Runs `body` with the pool's bytes, if the handle's layout is the type's; otherwise
  /// `otherwise`.
  void withPool(Value handle, const llmir_cache_layout &layout,
                llvm::function_ref<void(Value pool)> body,
                llvm::function_ref<void()> otherwise = {});
  /// The constant scales of the handle's cache, memref<?xf32> for each side that has any: keys',
  /// then values'.
  SmallVector<Value> emitScales(Value handle, const llmir_cache_layout &layout);

  KernelBuilder b;
  ModuleOp module;
};

/// What the patterns of one run of a conversion share, and what differs between targets.
class CacheConversion {
public:
  explicit CacheConversion(ModuleOp module) : module(module) {}
  virtual ~CacheConversion() = default;

  /// Writes `keys` and `values` [tokens.., heads, head size] into `slots` memref<?xi32> of a layer.
  virtual void emitStore(HostEmitter &emitter, const llmir_cache_layout &layout, Value handle,
                         Value keys, Value values, Value slots, Value layer) = 0;

  ModuleOp module;
  int64_t numConverted = 0;
};

/// The patterns for reserve_kv, store_kv and block_table, and for tensor.dim.
void populateCacheOpPatterns(RewritePatternSet &patterns, const TypeConverter &types,
                             CacheConversion &conversion);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPCONVERSION_H
