// Types of the `llm` dialect.

#ifndef LLMIR_DIALECT_LLM_IR_LLMTYPES_H
#define LLMIR_DIALECT_LLM_IR_LLMTYPES_H

#include "llmir/ABI.h"
#include "llmir/Dialect/LLM/IR/LLMAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Types.h"

namespace mlir::llm {

/// The parameters of a paged KV cache, as a plain record; documented with the type.
struct PagedKVCacheParameters {
  Type elementType;
  int64_t numLayers;
  int64_t numKVHeads;
  int64_t headDim;
  int64_t blockSize;
  int64_t maxSeqLen;
  Type keyStorage;
  Type valueStorage;
  int64_t valueHeadDim;
  ScaleGranularity keyScales;
  ScaleGranularity valueScales;
  int64_t keyScaleGroup;   ///< channels; 0 unless keyScales is Group
  int64_t valueScaleGroup; ///< channels; 0 unless valueScales is Group
  Type scaleType;
  CacheArrangement arrangement;
  int64_t window;   ///< positions; 0: all
  int64_t numSinks; ///< positions

  /// The named parameters at their defaults.
  static PagedKVCacheParameters get(Type elementType, int64_t numLayers, int64_t numKVHeads,
                                    int64_t headDim, int64_t blockSize, int64_t maxSeqLen);
};

} // namespace mlir::llm

#define GET_TYPEDEF_CLASSES
#include "llmir/Dialect/LLM/IR/LLMTypes.h.inc"

#endif // LLMIR_DIALECT_LLM_IR_LLMTYPES_H
