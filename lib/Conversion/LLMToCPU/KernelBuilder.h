// KernelBuilder: an op builder with the vocabulary of CPU kernels (vectors, packed bytes, loops),
// so that a kernel generator reads like the kernel. It emits arith, math, vector, memref and scf
// ops; what differs between processors is in DotProduct.h, not here.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELBUILDER_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::llm {

class KernelBuilder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  /// Constants; `splat…` gives a vector of `lanes`.
  Value index(int64_t value);
  Value i32(int64_t value);
  Value f32(double value);
  Value splatF32(double value, int64_t lanes);
  Value splatInt(int64_t value, VectorType type);

  VectorType vectorOf(Type element, int64_t lanes) { return VectorType::get({lanes}, element); }
  /// The scalar in every lane.
  Value broadcast(Value scalar, int64_t lanes);

  /// Arithmetic on scalars or vectors of integers, indices or floats.
  Value add(Value lhs, Value rhs);
  Value sub(Value lhs, Value rhs);
  Value mul(Value lhs, Value rhs);
  Value div(Value lhs, Value rhs); ///< Floats, or unsigned integers and indices.
  Value rem(Value lhs, Value rhs); ///< Unsigned integers and indices.
  Value fma(Value a, Value b, Value c);
  Value minimum(Value lhs, Value rhs); ///< Signed integers and indices.
  Value maximum(Value lhs, Value rhs); ///< Floats, signed integers and indices.
  Value compare(arith::CmpIPredicate predicate, Value lhs, Value rhs);
  Value select(Value condition, Value whenTrue, Value whenFalse);
  Value toIndex(Value integer);
  Value toI32(Value index);

  /// `lanes` elements of type `element` at byte `offset` of a memref<?xi8>.
  Value loadBytes(Value bytes, Value offset, Type element, int64_t lanes);
  void storeBytes(Value vector, Value bytes, Value offset);
  /// Scalars and vectors (contiguous in the last dimension) of any memref.
  Value load(Value memref, ValueRange indices);
  void store(Value scalar, Value memref, ValueRange indices);
  Value loadVector(Value memref, ValueRange indices, int64_t lanes);
  void storeVector(Value vector, Value memref, ValueRange indices);
  /// The f32 scalar at `indices` in every lane.
  Value loadBroadcast(Value memref, ValueRange indices, int64_t lanes);

  /// f16 or bf16 or f32, scalar or vector, to f32; and f32 to `element` (round to nearest even; a
  /// bf16 conversion is spelled in integers, as no base x86 has one).
  Value extend(Value value);
  Value truncate(Value value, Type element);

  /// exp of an f32 vector, to 2 units in the last place on [-87, 88]; clamped outside. exp(0) is
  /// exactly 1, a NaN stays one. Range reduction by ln 2 and the degree-5 polynomial of Cephes'
  /// expf.
  Value exp(Value vector);
  /// tanh of an f32 vector, to 4 units in the last place. A NaN stays one. Below 0.625 Cephes'
  /// odd polynomial, above from exp.
  Value tanh(Value vector);
  /// silu(x) = x / (1 + exp(-x)).
  Value silu(Value vector);
  /// Sum and maximum over the lanes by halving: an order that depends on the lane count alone.
  Value sumLanes(Value vector);
  Value maxLanes(Value vector);
  Value firstLane(Value vector);
  /// Lanes [from, from + count) of a vector.
  Value slice(Value vector, int64_t from, int64_t count);
  Value bitcast(Value vector, VectorType type);

  using LoopBody = llvm::function_ref<void(Value iv)>;
  using CarriedLoopBody = llvm::function_ref<SmallVector<Value>(Value iv, ValueRange carried)>;
  void loop(Value from, Value to, int64_t step, LoopBody body);
  void loop(Value from, Value to, Value step, LoopBody body);
  SmallVector<Value> loop(Value from, Value to, int64_t step, ValueRange initial,
                          CarriedLoopBody body);
  void ifThen(Value condition, llvm::function_ref<void()> whenTrue,
              llvm::function_ref<void()> whenFalse = {});

  /// An LLVM intrinsic, by name.
  Value intrinsic(StringRef name, Type result, ValueRange arguments);
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELBUILDER_H
