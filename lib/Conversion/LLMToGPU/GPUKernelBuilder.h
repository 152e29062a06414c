// GPUKernelBuilder: the vocabulary of GPU kernels (threads, shuffles, workgroup memory), on top of
// the arithmetic and loops that CPU kernels use. It emits gpu, arith, scf and memref ops, and calls
// of the LLVM intrinsics that every GPU has an instruction for (fma, maxnum, minnum, fabs,
// roundeven, exp2, sqrt): for math ops MLIR's lowerings call the vendors' libraries.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELBUILDER_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELBUILDER_H

#include "../LLMToCPU/KernelBuilder.h"

#include "llmir/Conversion/LLMToGPU/GPUTarget.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace mlir::llm {

/// The threads of a block have one dimension; blocks have three.
class GPUKernelBuilder : public KernelBuilder {
public:
  /// Emits into `function`, whose blocks have `threads` threads: a multiple of the subgroup's.
  GPUKernelBuilder(gpu::GPUFuncOp function, const GPUTarget &target, int64_t threads);

  int64_t threads() const { return numThreads; }
  int64_t numSubgroups() const { return numThreads / target.subgroupSize; }
  const GPUTarget &getTarget() const { return target; }

  Value threadId();                    ///< In the block, index.
  Value blockId(gpu::Dimension which); ///< In the grid, index.
  Value laneId();                      ///< In the subgroup, index.
  Value subgroupId();                  ///< In the block, index.

  /// All threads of the block get here before one goes on.
  void barrier();
  /// Workgroup memory of `size` elements for the whole kernel.
  Value workgroupBuffer(Type element, int64_t size);

  using Combine = llvm::function_ref<Value(Value, Value)>;
  /// Combines the values of a subgroup's threads; every thread gets the result. The order depends
  /// on the subgroup's size alone.
  Value reduceSubgroup(Value value, Combine combine);
  /// Combines values over the block, one result for each; every thread gets them. `scratch` is a
  /// workgroup buffer of values.size() * numSubgroups() elements that no thread reads or writes at
  /// the same time, on either side. Contains one barrier.
  SmallVector<Value> reduceBlock(ValueRange values, Value scratch, Combine combine);

  /// Runs `body` for i = thread, thread + threads, … < `count`.
  void forMine(Value count, LoopBody body);

  /// The values of `body` where the condition holds, else `otherwise`.
  SmallVector<Value> ifThenElse(Value condition, ValueRange otherwise,
                                llvm::function_ref<SmallVector<Value>()> body);

  /// Of f32 scalars.
  Value fma(Value x, Value y, Value z);
  Value maximum(Value lhs, Value rhs);       ///< Also of signed integers and indices.
  Value minimumNumber(Value lhs, Value rhs); ///< Of f32; of a NaN and a number: the number.
  Value absolute(Value value);
  Value roundEven(Value value); ///< To the nearest integer, ties to even.
  Value exp2(Value value);
  /// tanh of an f32, from exp2: to 2e-7, absolutely.
  Value tanh(Value value);
  Value squareRoot(Value value);
  /// Of floats.
  Value greaterThan(Value lhs, Value rhs);
  Value isLess(Value lhs, Value rhs); ///< Signed integers and indices.
  /// Element `index` (of the element type's size) of bytes seen as elements.
  Value viewBytes(Value bytes, Type element);

private:
  gpu::GPUFuncOp function;
  GPUTarget target;
  int64_t numThreads;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELBUILDER_H
