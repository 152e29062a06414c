// Integer dot products on AArch64's 128-bit vectors; a part of DotProduct.cpp.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_NEONDOTPRODUCT_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_NEONDOTPRODUCT_H

#include "DotProduct.h"

namespace mlir::llm {

/// emitGroupDot for the units of AArch64 (target.lanes is 4).
SmallVector<Value> emitNEONGroupDot(KernelBuilder &builder, KernelLibrary &library,
                                    const GroupDot &dot);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_NEONDOTPRODUCT_H
