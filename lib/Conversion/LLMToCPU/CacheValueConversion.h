// CacheValueConversion: lowers the ops that make, read and end a cache as a value (create_kv_cache,
// lookup_kv, free_kv_cache) to calls of the seam. What extends a cache is in ConvertLLMToCPU.cpp.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEVALUECONVERSION_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEVALUECONVERSION_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Transforms/DialectConversion.h"

namespace mlir::llm {

/// Adds the patterns; `numConverted` counts the ops that they convert.
void populateCacheValuePatterns(RewritePatternSet &patterns, const TypeConverter &converter,
                                ModuleOp module, int64_t &numConverted);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEVALUECONVERSION_H
