// RuntimeCalls: emits calls of the seam (llmir_rt_* of llmir/ABI.h) and turns pointers into memrefs
// and back.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_RUNTIMECALLS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_RUNTIMECALLS_H

#include "KernelBuilder.h"

#include "llmir/ABI.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::llm {

/// A one-dimensional memref of `size` (index) elements at an LLVM pointer.
Value emitMemRefAt(KernelBuilder &builder, Value pointer, MemRefType type, Value size);

/// The address of a memref's first element, as an LLVM pointer.
Value emitPointerTo(KernelBuilder &builder, Value memref);

/// Makes room for `tokens` (i64) more tokens of `batch` (i64) sequences; fills slots and blocks.
void emitCacheAppend(KernelBuilder &builder, ModuleOp module, Value handle, Value seqIds,
                     Value batch, Value tokens, Value slots, Value blocks);

/// Fills `table` with `maxBlocks` (i64) entries for each of `batch` (i64) sequences.
void emitCacheBlockTable(KernelBuilder &builder, ModuleOp module, Value handle, Value seqIds,
                         Value batch, Value maxBlocks, Value table);

/// The constant scales of a cache: `function` is llmir_rt_cache_key_scales or _value_scales.
Value emitCacheScales(KernelBuilder &builder, ModuleOp module, Value handle, StringRef function);

/// The pool's first byte, or null where the cache has another layout than `layout`.
Value emitCacheBase(KernelBuilder &builder, ModuleOp module, Value handle,
                    const llmir_cache_layout &layout);

/// A new cache of `numBlocks` (i64) blocks, whose arrays are of `elementType`; and its end.
Value emitCacheCreate(KernelBuilder &builder, ModuleOp module, const llmir_cache_layout &layout,
                      llmir_element_type elementType, Value numBlocks);
void emitCacheFree(KernelBuilder &builder, ModuleOp module, Value handle);

/// The operands of a lookup: memrefs, and sizes and layer as indices.
struct CacheLookup {
  llmir_cache_layout layout;
  llmir_element_type elementType;
  Value table, tableStride, lengths, sequences, tokens, layer, keys, values;
};
void emitCacheLookup(KernelBuilder &builder, ModuleOp module, Value handle,
                     const CacheLookup &lookup);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_RUNTIMECALLS_H
