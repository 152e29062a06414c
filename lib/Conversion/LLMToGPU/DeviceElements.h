// Elements of a paged cache as a GPU's thread reads and makes them, one at a time: codes to f32 and
// back, and scales, by the rule of docs/CacheLayout.md. LLVM intrinsics where a CPU's kernels have
// math ops, which would become calls of the vendors' libraries.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICEELEMENTS_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICEELEMENTS_H

#include "GPUKernelBuilder.h"

#include "../LLMToCPU/CacheElements.h"

namespace mlir::llm {

/// The f32 that a stored element stands for, without its scale. `raw` has the storage type; of i8
/// and fp8 it is the byte, of i4 the four bits in an i8.
Value decodeElement(GPUKernelBuilder &builder, const CacheSide &side, Value raw);

/// The code of an f32 divided by its scale: of i8 and fp8 a byte, of i4 the four bits in an i8;
/// rounded to nearest even, clamped, NaN as the rule says.
Value encodeElement(GPUKernelBuilder &builder, const CacheSide &side, Value scaled);

/// The scale of elements whose largest magnitude is given, as it is stored.
Value encodeScale(GPUKernelBuilder &builder, const CacheSide &side, Value largest);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICEELEMENTS_H
