// SIMTRuntime: emits what llmir/SIMT/SIMT.h declares: reads of the thread's structure, and calls.

#ifndef LLMIR_LIB_CONVERSION_GPUTOSIMT_SIMTRUNTIME_H
#define LLMIR_LIB_CONVERSION_GPUTOSIMT_SIMTRUNTIME_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::llm {

class SIMTRuntime {
public:
  explicit SIMTRuntime(ModuleOp module) : module(module) {}

  /// Fields of llmir_simt_thread, each three numbers (x, y, z).
  enum class Field : int64_t { ThreadId = 0, BlockId = 3, BlockDim = 6, GridDim = 9 };
  /// One of them, as an index.
  Value emitField(ImplicitLocOpBuilder &builder, Value thread, Field field,
                  gpu::Dimension dimension);
  /// The number of the thread in its block, as an index.
  Value emitThreadNumber(ImplicitLocOpBuilder &builder, Value thread);
  /// The address of the block's workgroup memory.
  Value emitWorkgroup(ImplicitLocOpBuilder &builder, Value thread);

  void emitBarrier(ImplicitLocOpBuilder &builder, Value thread, Operation *op);
  /// The bits (i64) of the other thread, and whether there is one (i1). `scratch` is the address of
  /// a byte.
  std::pair<Value, Value> emitShuffle(ImplicitLocOpBuilder &builder, Value thread, Value bits,
                                      gpu::ShuffleOp op, Value scratch);
  /// `index` and `size` are indices; `op` is what is reported.
  void emitOutOfBounds(ImplicitLocOpBuilder &builder, Value thread, Value index, Value size,
                       Operation *op);
  void emitWorkgroupAccess(ImplicitLocOpBuilder &builder, Value thread, Value offset, bool isWrite,
                           Operation *op);

  /// What a launch consists of; sizes are indices.
  struct Launch {
    StringRef name;
    Value body, arguments; ///< Addresses.
    SmallVector<Value> grid, block;
    int64_t subgroupSize, workgroupBytes;
  };
  void emitLaunch(ImplicitLocOpBuilder &builder, const Launch &launch);

private:
  Value constant(ImplicitLocOpBuilder &builder, int64_t value);
  Value constant32(ImplicitLocOpBuilder &builder, int64_t value);
  Value toI64(ImplicitLocOpBuilder &builder, Value index);
  /// The address of a constant string that ends with zero; equal texts share one.
  Value emitText(ImplicitLocOpBuilder &builder, StringRef text);
  /// Names an op and its place in the source.
  Value emitPlace(ImplicitLocOpBuilder &builder, Operation *op);
  LLVM::CallOp emitCall(ImplicitLocOpBuilder &builder, StringRef name, Type result,
                        ValueRange arguments);

  ModuleOp module;
  llvm::StringMap<LLVM::GlobalOp> texts;
  int64_t numBarriers = 0;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_GPUTOSIMT_SIMTRUNTIME_H
