// Checks in front of a kernel's memory accesses: bounds, and races in workgroup memory.

#ifndef LLMIR_LIB_CONVERSION_GPUTOSIMT_ACCESSCHECKS_H
#define LLMIR_LIB_CONVERSION_GPUTOSIMT_ACCESSCHECKS_H

#include "SIMTRuntime.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::llm {

/// A buffer of the block, and where it is in the block's workgroup memory.
struct WorkgroupBuffer {
  Value memref;
  int64_t offset; ///< In bytes.
};

/// Wraps loads and stores of scalars and vectors on memrefs: one out of bounds is reported and not
/// done, a load then gives zero. Accesses to `buffers` by their own memref are noted.
void addAccessChecks(func::FuncOp function, Value thread, ArrayRef<WorkgroupBuffer> buffers,
                     SIMTRuntime &runtime);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_GPUTOSIMT_ACCESSCHECKS_H
