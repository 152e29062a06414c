// Rounding of elements, and indices of tensors.

#include "llmir/Validation/RuntimeValue.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace mlir::llm;

Scalar llm::roundToType(Type type, Scalar value) {
  if (auto floating = dyn_cast<FloatType>(type)) {
    if (floating.isF32() || floating.isF64() || !std::isfinite(value.real))
      return {value.real, 0};
    llvm::APFloat number(value.real);
    bool losesInfo = false;
    number.convert(floating.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    return {number.convertToDouble(), 0};
  }
  if (type.isIndex())
    return {0, value.integer};
  unsigned width = type.getIntOrFloatBitWidth();
  if (width == 1)
    return {0, value.integer & 1};
  return {0, width >= 64 ? value.integer : llvm::SignExtend64(value.integer, width)};
}

TensorValue::TensorValue(ArrayRef<int64_t> shape, Type elementType)
    : sizes(shape), type(elementType) {
  int64_t count = std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
  elements.resize(static_cast<size_t>(count));
}

int64_t TensorValue::offsetOf(ArrayRef<int64_t> index) const {
  int64_t offset = 0;
  for (auto [position, size] : llvm::zip_equal(index, sizes)) {
    assert(position >= 0 && position < size && "expected an index in range");
    offset = offset * size + position;
  }
  return offset;
}

TensorValue TensorValue::reshaped(ArrayRef<int64_t> shape) const {
  TensorValue result = *this;
  result.sizes.assign(shape.begin(), shape.end());
  return result;
}

bool llm::nextIndex(MutableArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  for (size_t i = shape.size(); i-- > 0;) {
    if (++index[i] < shape[i])
      return true;
    index[i] = 0;
  }
  return false;
}
