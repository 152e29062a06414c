// Addresses in a paged KV cache, from llmir_cache_layout and nothing else, for the kernels that
// write and read one.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEADDRESS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEADDRESS_H

#include "KernelBuilder.h"

#include "llmir/ABI.h"

#include <string>

namespace mlir::llm {

/// The MLIR type of an llmir_element_type; i8 for what is quantised.
Type cacheElementType(Builder &builder, uint32_t elementType);

/// A name for kernels over this cache: what is static in them.
std::string cacheName(const llmir_cache_layout &layout);

/// Byte offset of the keys of (block, layer, head).
Value emitHeadAddress(KernelBuilder &builder, const llmir_cache_layout &layout, Value block,
                      Value layer, Value head);

/// Bytes from the values of a head's block to those of its `token`.
Value emitValueTokenOffset(KernelBuilder &builder, const llmir_cache_layout &layout, Value token);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEADDRESS_H
