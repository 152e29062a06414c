// The vocabulary of CPU kernels: see KernelBuilder.h.

#include "KernelBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value)); }

static int64_t lanesOf(Value vector) { return cast<VectorType>(vector.getType()).getDimSize(0); }

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value KernelBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(static_cast<int32_t>(value)));
}
Value KernelBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(static_cast<float>(value)));
}
Value KernelBuilder::splatF32(double value, int64_t lanes) {
  return arith::ConstantOp::create(
      *this, DenseElementsAttr::get(vectorOf(getF32Type(), lanes), static_cast<float>(value)));
}
Value KernelBuilder::splatInt(int64_t value, VectorType type) {
  return arith::ConstantOp::create(
      *this, DenseElementsAttr::get(type, getIntegerAttr(type.getElementType(), value)));
}
Value KernelBuilder::broadcast(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(*this, vectorOf(scalar.getType(), lanes), scalar);
}

Value KernelBuilder::add(Value lhs, Value rhs) {
  if (isFloat(lhs))
    return arith::AddFOp::create(*this, lhs, rhs);
  return arith::AddIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::sub(Value lhs, Value rhs) {
  if (isFloat(lhs))
    return arith::SubFOp::create(*this, lhs, rhs);
  return arith::SubIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::mul(Value lhs, Value rhs) {
  if (isFloat(lhs))
    return arith::MulFOp::create(*this, lhs, rhs);
  return arith::MulIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::div(Value lhs, Value rhs) {
  if (isFloat(lhs))
    return arith::DivFOp::create(*this, lhs, rhs);
  return arith::DivUIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::rem(Value lhs, Value rhs) { return arith::RemUIOp::create(*this, lhs, rhs); }
Value KernelBuilder::fma(Value a, Value b, Value c) { return math::FmaOp::create(*this, a, b, c); }
Value KernelBuilder::minimum(Value lhs, Value rhs) {
  return arith::MinSIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::maximum(Value lhs, Value rhs) {
  if (isFloat(lhs)) // One instruction, unlike maxnum; of a NaN and a number it gives rhs.
    return select(arith::CmpFOp::create(*this, arith::CmpFPredicate::OGT, lhs, rhs), lhs, rhs);
  return arith::MaxSIOp::create(*this, lhs, rhs);
}
Value KernelBuilder::compare(arith::CmpIPredicate predicate, Value lhs, Value rhs) {
  return arith::CmpIOp::create(*this, predicate, lhs, rhs);
}
Value KernelBuilder::select(Value condition, Value whenTrue, Value whenFalse) {
  return arith::SelectOp::create(*this, condition, whenTrue, whenFalse);
}
Value KernelBuilder::toIndex(Value integer) {
  return arith::IndexCastOp::create(*this, getIndexType(), integer);
}
Value KernelBuilder::toI32(Value value) {
  return arith::IndexCastOp::create(*this, getI32Type(), value);
}

Value KernelBuilder::loadBytes(Value bytes, Value offset, Type element, int64_t lanes) {
  VectorType type = vectorOf(element, lanes);
  int64_t size = lanes * element.getIntOrFloatBitWidth() / 8;
  Value raw = vector::LoadOp::create(*this, vectorOf(getI8Type(), size), bytes, offset);
  return bitcast(raw, type);
}
void KernelBuilder::storeBytes(Value vector, Value bytes, Value offset) {
  auto type = cast<VectorType>(vector.getType());
  int64_t size = type.getDimSize(0) * type.getElementTypeBitWidth() / 8;
  vector::StoreOp::create(*this, bitcast(vector, vectorOf(getI8Type(), size)), bytes, offset);
}
Value KernelBuilder::load(Value memref, ValueRange indices) {
  return memref::LoadOp::create(*this, memref, indices);
}
void KernelBuilder::store(Value scalar, Value memref, ValueRange indices) {
  memref::StoreOp::create(*this, scalar, memref, indices);
}
Value KernelBuilder::loadVector(Value memref, ValueRange indices, int64_t lanes) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  return vector::LoadOp::create(*this, vectorOf(element, lanes), memref, indices);
}
void KernelBuilder::storeVector(Value vector, Value memref, ValueRange indices) {
  vector::StoreOp::create(*this, vector, memref, indices);
}
Value KernelBuilder::loadBroadcast(Value memref, ValueRange indices, int64_t lanes) {
  return broadcast(extend(load(memref, indices)), lanes);
}

Value KernelBuilder::extend(Value value) {
  Type element = getElementTypeOrSelf(value);
  if (element.isF32())
    return value;
  auto vector = dyn_cast<VectorType>(value.getType());
  Type result = vector ? Type(vectorOf(getF32Type(), vector.getDimSize(0))) : getF32Type();
  return arith::ExtFOp::create(*this, result, value);
}

Value KernelBuilder::truncate(Value value, Type element) {
  if (element.isF32())
    return value;
  auto vector = dyn_cast<VectorType>(value.getType());
  auto withElement = [&](Type type) {
    return vector ? Type(vectorOf(type, vector.getDimSize(0))) : type;
  };
  if (element.isF16())
    return arith::TruncFOp::create(*this, withElement(element), value);
  auto constant = [&](int64_t bits) -> Value {
    return vector ? splatInt(bits, vectorOf(getI32Type(), vector.getDimSize(0))) : i32(bits);
  };
  // Round to nearest, ties to even; a NaN stays one.
  Value bits = arith::BitcastOp::create(*this, withElement(getI32Type()), value);
  Value upper = arith::ShRUIOp::create(*this, bits, constant(16));
  Value odd = arith::AndIOp::create(*this, upper, constant(1));
  Value rounded = add(add(bits, constant(0x7fff)), odd);
  rounded = arith::ShRUIOp::create(*this, rounded, constant(16));
  Value isNaN = arith::CmpFOp::create(*this, arith::CmpFPredicate::UNO, value, value);
  rounded = select(isNaN, constant(0x7fc0), rounded);
  Value narrow = arith::TruncIOp::create(*this, withElement(getI16Type()), rounded);
  return arith::BitcastOp::create(*this, withElement(element), narrow);
}

Value KernelBuilder::exp(Value x) {
  int64_t lanes = lanesOf(x);
  auto c = [&](double value) { return splatF32(value, lanes); };
  // Both bounds are first operands, so that a NaN in x passes.
  Value isSmaller = arith::CmpFOp::create(*this, arith::CmpFPredicate::OLT, c(88.0), x);
  x = maximum(c(-87.0), select(isSmaller, c(88.0), x));
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  Value shifted = fma(x, c(1.44269504088896341), c(12582912.0));
  Value n = sub(shifted, c(12582912.0));
  Value r = fma(n, c(-0.693359375), x);
  r = fma(n, c(2.12194440e-4), r);
  Value p = c(1.9875691500e-4);
  for (double coefficient :
       {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1})
    p = fma(p, r, c(coefficient));
  p = fma(p, mul(r, r), r);
  p = add(p, c(1.0));
  VectorType ints = vectorOf(getI32Type(), lanes);
  Value bits = arith::ShLIOp::create(*this, bitcast(shifted, ints), splatInt(23, ints));
  Value power = add(bits, splatInt(127 << 23, ints));
  return mul(p, bitcast(power, cast<VectorType>(x.getType())));
}

Value KernelBuilder::tanh(Value x) {
  int64_t lanes = lanesOf(x);
  auto c = [&](double value) { return splatF32(value, lanes); };
  // Near 0 the difference below would lose the result's digits.
  Value square = mul(x, x);
  Value p = c(-5.70498872745e-3);
  for (double coefficient :
       {2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1})
    p = fma(p, square, c(coefficient));
  Value small = fma(p, mul(square, x), x);
  Value large = sub(c(1.0), div(c(2.0), add(exp(add(x, x)), c(1.0))));
  Value isSmall = arith::CmpFOp::create(*this, arith::CmpFPredicate::OLT, square, c(0.390625));
  return select(isSmall, small, large);
}

Value KernelBuilder::silu(Value x) {
  int64_t lanes = lanesOf(x);
  Value negated = arith::NegFOp::create(*this, x);
  return div(x, add(splatF32(1.0, lanes), exp(negated)));
}

Value KernelBuilder::firstLane(Value vector) { return vector::ExtractOp::create(*this, vector, 0); }

Value KernelBuilder::slice(Value vector, int64_t from, int64_t count) {
  if (count == lanesOf(vector))
    return vector;
  return vector::ExtractStridedSliceOp::create(*this, vector, ArrayRef<int64_t>{from},
                                               ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
}

/// Folds the lanes of `vector` to a scalar, always halving while the count is even.
template <typename Combine>
static Value reduceLanes(KernelBuilder &b, Value vector, Combine combine) {
  int64_t lanes = lanesOf(vector);
  while (lanes > 1 && lanes % 2 == 0) {
    lanes /= 2;
    vector = combine(b.slice(vector, 0, lanes), b.slice(vector, lanes, lanes));
  }
  Value result = vector::ExtractOp::create(b, vector, 0);
  for (int64_t lane = 1; lane < lanes; ++lane)
    result = combine(result, vector::ExtractOp::create(b, vector, lane));
  return result;
}

Value KernelBuilder::sumLanes(Value vector) {
  return reduceLanes(*this, vector, [&](Value a, Value b) { return add(a, b); });
}
Value KernelBuilder::maxLanes(Value vector) {
  return reduceLanes(*this, vector, [&](Value a, Value b) { return maximum(a, b); });
}
Value KernelBuilder::bitcast(Value vector, VectorType type) {
  if (vector.getType() == type)
    return vector;
  return vector::BitCastOp::create(*this, type, vector);
}

void KernelBuilder::loop(Value from, Value to, int64_t step, LoopBody body) {
  loop(from, to, index(step), body);
}
void KernelBuilder::loop(Value from, Value to, Value step, LoopBody body) {
  auto forOp = scf::ForOp::create(*this, from, to, step);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(forOp.getBody());
  body(forOp.getInductionVar());
}
SmallVector<Value> KernelBuilder::loop(Value from, Value to, int64_t step, ValueRange initial,
                                       CarriedLoopBody body) {
  auto forOp = scf::ForOp::create(*this, from, to, index(step), initial);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(forOp.getBody());
  SmallVector<Value> results = body(forOp.getInductionVar(), forOp.getRegionIterArgs());
  if (!initial.empty())
    scf::YieldOp::create(*this, results);
  return forOp.getResults();
}
void KernelBuilder::ifThen(Value condition, llvm::function_ref<void()> whenTrue,
                           llvm::function_ref<void()> whenFalse) {
  auto ifOp = scf::IfOp::create(*this, condition, /*withElseRegion=*/bool(whenFalse));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(ifOp.thenBlock());
  whenTrue();
  if (whenFalse) {
    setInsertionPointToStart(ifOp.elseBlock());
    whenFalse();
  }
}

Value KernelBuilder::intrinsic(StringRef name, Type result, ValueRange arguments) {
  return LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name), arguments).getResult(0);
}

} // namespace mlir::llm
