// Functions that manage a cache themselves, as opposed to a model's step: which they are, what
// their types become, and who frees their buffers. The same for every target; what an op becomes is
// not.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/DialectConversion.h"

namespace mlir::llm {

/// Functions of which a signature, an op or a value is the dialect's, and those that pass tensors
/// to or from one of them. Steps are among them.
SmallVector<func::FuncOp> findCacheFunctions(ModuleOp module);

/// Tensors are memrefs without layout, a cache is the runtime's handle.
class CacheFunctionTypes : public TypeConverter {
public:
  CacheFunctionTypes();
};

/// Rewrites the functions by `patterns` (of the dialect's ops; weights stay) and what hands types
/// on: signatures, calls, returns and structured control flow. Public functions get a C interface.
LogicalResult convertCacheFunctions(ArrayRef<func::FuncOp> functions,
                                    const CacheFunctionTypes &types, RewritePatternSet &&patterns);

/// Frees the buffers of the functions by MLIR's ownership-based deallocation. `run` runs a pipeline
/// on an op.
LogicalResult
deallocateBuffers(ModuleOp module, ArrayRef<func::FuncOp> functions,
                  llvm::function_ref<LogicalResult(OpPassManager &, Operation *)> run);

/// What deallocateBuffers and convertCacheFunctions need of a registry.
void registerCacheFunctionDialects(DialectRegistry &registry);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONS_H
