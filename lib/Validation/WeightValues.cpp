// Makes up weights from the names of checkpoint tensors, and rounds them as weight types say.

#include "llmir/Validation/WeightValues.h"

#include "llmir/Base/RandomStream.h"
#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llvm/Support/xxhash.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace mlir::llm;

QuantizedGroup llm::quantizeGroup(ArrayRef<double> numbers, QuantizedTensorType type) {
  QuantizedGroup group;
  double low = 0, high = 0;
  for (double number : numbers) {
    low = std::min(low, number);
    high = std::max(high, number);
  }
  auto roundScale = [&](double scale) { return roundToType(type.getScaleType(), {scale, 0}).real; };
  int64_t bits = static_cast<int64_t>(type.getBits());
  if (type.getSymmetric()) {
    int64_t largest = (int64_t(1) << (bits - 1)) - 1;
    group.scale = roundScale(std::max(-low, high) / static_cast<double>(largest));
    for (double number : numbers) {
      double code = group.scale > 0 ? std::nearbyint(number / group.scale) : 0;
      group.codes.push_back(
          std::clamp(static_cast<int64_t>(code), -largest - (bits < 8 ? 1 : 0), largest));
    }
    return group;
  }
  int64_t largest = (int64_t(1) << bits) - 1;
  // The range of the numbers alone where the zero point is a minimum; else zero has a code.
  bool isMinimum = isa_and_nonnull<FloatType>(type.getZeroPointType());
  if (isMinimum && !numbers.empty()) {
    low = *std::min_element(numbers.begin(), numbers.end());
    high = *std::max_element(numbers.begin(), numbers.end());
  }
  group.scale = roundScale((high - low) / static_cast<double>(largest));
  double offset = group.scale > 0 ? std::nearbyint(-low / group.scale) : 0;
  group.zero = isMinimum ? roundToType(type.getZeroPointType(), {low, 0}).real : offset;
  for (double number : numbers) {
    double code = 0;
    if (group.scale > 0)
      code = isMinimum ? std::nearbyint((number - group.zero) / group.scale)
                       : std::nearbyint(number / group.scale) + group.zero;
    group.codes.push_back(std::clamp(static_cast<int64_t>(code), int64_t(0), largest));
  }
  return group;
}

SmallVector<double> llm::dequantizeGroup(const QuantizedGroup &group, QuantizedTensorType type) {
  bool isMinimum = !type.getSymmetric() && isa_and_nonnull<FloatType>(type.getZeroPointType());
  SmallVector<double> numbers;
  for (int64_t code : group.codes) {
    auto number = static_cast<double>(code);
    if (type.getSymmetric())
      numbers.push_back(group.scale * number);
    else if (isMinimum)
      numbers.push_back(group.scale * number + group.zero);
    else
      numbers.push_back(group.scale * (number - group.zero));
  }
  return numbers;
}

double WeightValues::sourceElement(StringRef tensor, int64_t row, int64_t column,
                                   int64_t columns) const {
  ::llmir::RandomStream stream{seed, llvm::xxh3_64bits(tensor)};
  auto counter = static_cast<uint64_t>(row) << 32 | static_cast<uint64_t>(column);
  double uniform = 2 * stream.uniform(counter) - 1;
  // Eleven bits, so that f16 and wider types hold it exactly.
  auto exact = [](double number, double unit) { return std::nearbyint(number / unit) * unit; };
  if (columns == 0)
    return 1 + exact(uniform / 4, 0x1p-10);
  double length = std::sqrt(3.0 / static_cast<double>(columns));
  return exact(uniform, 0x1p-10) * std::exp2(std::floor(std::log2(length)));
}

/// Rows of each source, where they lie one after another in the logical weight.
static SmallVector<int64_t> getSourceRows(WeightOp weight) {
  if (auto rows = weight.getSourceRows())
    return SmallVector<int64_t>(*rows);
  int64_t count = weight.getNumSources();
  return SmallVector<int64_t>(count, weight.getRows() / count);
}

static void roundQuantized(TensorValue &numbers, QuantizedTensorType type) {
  int64_t rows = numbers.dim(0), columns = numbers.rank() == 2 ? numbers.dim(1) : 1;
  bool alongRows = type.getPerChannel() && type.getAxis() == 0;
  int64_t length = alongRows ? rows : columns;
  int64_t group = type.getGroupSize() > 0 ? type.getGroupSize() : 1;
  // Without groups every index of the axis has its scale; per tensor there is one scale.
  auto roundPart = [&](SmallVectorImpl<int64_t> &places) {
    SmallVector<double> part;
    for (int64_t place : places)
      part.push_back(numbers.real(place));
    for (auto [place, number] :
         llvm::zip_equal(places, dequantizeGroup(quantizeGroup(part, type), type)))
      numbers[place].real = number;
  };
  SmallVector<int64_t> places;
  if (!type.getPerChannel()) {
    for (int64_t i = 0; i < numbers.size(); ++i)
      places.push_back(i);
    return roundPart(places);
  }
  bool grouped = type.getGroupSize() > 0;
  int64_t others = alongRows ? columns : rows;
  for (int64_t first = 0; first < length; first += group)
    for (int64_t other = 0; other < (grouped ? others : 1); ++other) {
      places.clear();
      for (int64_t i = first; i < std::min(first + group, length); ++i)
        for (int64_t j = grouped ? other : 0; j < (grouped ? other + 1 : others); ++j)
          places.push_back(alongRows ? i * columns + j : j * columns + i);
      roundPart(places);
    }
}

TensorValue WeightValues::load(WeightOp weight) const {
  Type type = weight.getType();
  auto quantized = dyn_cast<QuantizedTensorType>(type);
  Type element = quantized ? Type(Float32Type::get(type.getContext()))
                           : cast<RankedTensorType>(type).getElementType();
  TensorValue result(weight.getShape(), element);
  int64_t columns = weight.isMatrix() ? weight.getCols() : 0;
  WeightShardAttr shard = weight.getShardAttr();
  int64_t firstColumn = shard && shard.getDim() == 1 ? shard.getIndex() * columns : 0;
  int64_t allColumns = shard && shard.getDim() == 1 ? shard.getShards() * columns : columns;
  int64_t next = 0;
  for (auto [name, rows] : llvm::zip_equal(weight.getSourceNames(), getSourceRows(weight))) {
    int64_t firstRow = shard && shard.getDim() == 0 ? shard.getIndex() * rows : 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < std::max<int64_t>(columns, 1); ++column)
        result.setReal(next++,
                       sourceElement(name, firstRow + row, firstColumn + column, allColumns));
  }
  if (quantized)
    roundQuantized(result, quantized);
  return result;
}
