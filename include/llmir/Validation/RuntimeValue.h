// What the interpreter computes with: tensors and scalars in double precision, and caches. Floats
// narrower than f32 are rounded to their type whenever they are stored; f32 is kept in double, so
// that two programs of one meaning agree far better than either would in f32.

#ifndef LLMIR_VALIDATION_RUNTIMEVALUE_H
#define LLMIR_VALIDATION_RUNTIMEVALUE_H

#include "mlir/IR/BuiltinTypes.h"

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

namespace mlir::llm {

class CacheState;

/// One element: of a float type its `real`, of an integer type or index its `integer` (i1: 0 or 1;
/// others sign-extended).
struct Scalar {
  double real = 0;
  int64_t integer = 0;
};

/// `value` as an element of `type` holds it: f16, bf16 and 8-bit floats rounded, integers wrapped.
Scalar roundToType(Type type, Scalar value);
/// The number that an element of `type` stands for.
inline double numberOf(Type type, Scalar value) {
  return isa<FloatType>(type) ? value.real : static_cast<double>(value.integer);
}

/// A tensor of known sizes, elements in row-major order.
class TensorValue {
public:
  TensorValue() = default;
  /// Zeros.
  TensorValue(ArrayRef<int64_t> shape, Type elementType);

  ArrayRef<int64_t> shape() const { return sizes; }
  int64_t dim(size_t i) const { return sizes[i]; }
  size_t rank() const { return sizes.size(); }
  Type elementType() const { return type; }
  int64_t size() const { return static_cast<int64_t>(elements.size()); }

  Scalar &operator[](int64_t i) { return elements[static_cast<size_t>(i)]; }
  const Scalar &operator[](int64_t i) const { return elements[static_cast<size_t>(i)]; }
  double real(int64_t i) const { return (*this)[i].real; }
  int64_t integer(int64_t i) const { return (*this)[i].integer; }
  /// Stores a number rounded to the element type.
  void setReal(int64_t i, double value) { (*this)[i] = roundToType(type, {value, 0}); }
  void setInteger(int64_t i, int64_t value) { (*this)[i] = roundToType(type, {0, value}); }

  /// The place of an index, which must be in range.
  int64_t offsetOf(ArrayRef<int64_t> index) const;
  /// The same elements in another shape of as many.
  TensorValue reshaped(ArrayRef<int64_t> shape) const;

private:
  SmallVector<int64_t> sizes;
  Type type;
  std::vector<Scalar> elements;
};

/// Advances `index` to the next one of `shape`, last dimension fastest; false past the last.
bool nextIndex(MutableArrayRef<int64_t> index, ArrayRef<int64_t> shape);

/// A cache at one point of its life; `version` tells a value that was consumed from the current.
struct CacheValue {
  std::shared_ptr<CacheState> state;
  int64_t version = 0;
};

/// A step's context: one rank alone.
struct ContextValue {};

/// The value of an SSA value: a scalar, a tensor (shared, never changed once it is one), a cache or
/// a context. A quantised tensor is the tensor of the numbers that its codes stand for.
using RuntimeValue = std::variant<std::monostate, Scalar, std::shared_ptr<const TensorValue>,
                                  CacheValue, ContextValue>;

inline RuntimeValue makeTensor(TensorValue value) {
  return std::make_shared<const TensorValue>(std::move(value));
}

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_RUNTIMEVALUE_H
