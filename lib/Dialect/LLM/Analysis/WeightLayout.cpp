// Reads the layout of a weight off its op; holds no address arithmetic of panels.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"

#include "llmir/Support/WeightQuantizer.h"

#include "llvm/ADT/TypeSwitch.h"

using ::llmir::kGroupSize;
using ::llmir::kPanelRows;
using ::llmir::PackedFormat;
using ::llmir::PackedLayout;

namespace mlir::llm {

static std::optional<PackedFormat> getQuantizedFormat(QuantizedTensorType type) {
  bool grouped = type.getPerChannel() && type.getAxis() == 1 && type.getGroupSize() > 0 &&
                 type.getGroupSize() % kGroupSize == 0 &&
                 type.getGroupSize() <= ::llmir::kLargestGroupSize;
  if (!grouped || !type.getScaleType() || !type.getScaleType().isF16())
    return std::nullopt;
  if (!type.getSymmetric())
    return type.getBits() == 4 && type.getZeroPointType() && type.getZeroPointType().isF16()
               ? std::optional(PackedFormat::Q4_1)
               : std::nullopt;
  if (type.getBits() == 8)
    return PackedFormat::Q8_0;
  if (type.getBits() == 4)
    return PackedFormat::Q4_0;
  return std::nullopt;
}

std::optional<PackedFormat> getPackedFormat(Type weightType) {
  ArrayRef<int64_t> shape = getWeightShape(weightType);
  if (shape.size() != 2 || ShapedType::isDynamicShape(shape))
    return std::nullopt;
  if (auto type = dyn_cast<QuantizedTensorType>(weightType))
    return getQuantizedFormat(type);
  Type element = cast<RankedTensorType>(weightType).getElementType();
  if (element.isF32())
    return PackedFormat::F32;
  if (element.isF16())
    return PackedFormat::F16;
  if (element.isBF16())
    return PackedFormat::BF16;
  return std::nullopt;
}

Type getWeightTypeWithRows(Type weightType, int64_t rows) {
  SmallVector<int64_t> shape(getWeightShape(weightType));
  shape.front() = rows;
  return getWeightTypeWithShape(weightType, shape);
}

Type getWeightTypeWithShape(Type weightType, ArrayRef<int64_t> shape) {
  if (auto type = dyn_cast<QuantizedTensorType>(weightType))
    return QuantizedTensorType::get(
        type.getContext(), type.getStorageType(), shape, type.getSymmetric(), type.getPerChannel(),
        type.getAxis(), type.getGroupSize(), type.getBits(), type.getElementType(),
        type.getScaleType(), type.getZeroPointType(), type.getPacking());
  return cast<RankedTensorType>(weightType).clone(shape);
}

ArrayRef<int64_t> getWeightShape(Type weightType) {
  if (auto type = dyn_cast<QuantizedTensorType>(weightType))
    return type.getShape();
  if (auto type = dyn_cast<RankedTensorType>(weightType))
    return type.getShape();
  return {};
}

/// The rows of each source of `weight`, or a diagnostic when nothing says them.
static FailureOr<SmallVector<int64_t>> getSourceRows(WeightOp weight) {
  if (auto rows = weight.getSourceRows())
    return SmallVector<int64_t>(*rows);
  int64_t count = weight.getNumSources();
  if (count == 1 || weight.getArrangement() == Arrangement::Interleave)
    return SmallVector<int64_t>(count, weight.getRows() / count);
  return weight.emitOpError("expected 'source_rows' of the ")
         << count << " concatenated sources, but it is missing";
}

FailureOr<WeightLayout> WeightLayout::get(WeightOp weight) {
  Type type = weight.getType();
  ArrayRef<int64_t> shape = getWeightShape(type);
  WeightLayout layout;
  std::optional<PackedFormat> format = getPackedFormat(type);
  if (!format &&
      (shape.size() != 1 || ShapedType::isDynamicShape(shape) || !isa<RankedTensorType>(type) ||
       !cast<RankedTensorType>(type).getElementType().isF32()))
    return weight.emitOpError("expected a type with a packed form (a vector of f32, or a matrix of "
                              "f32, f16, bf16, q8_0, q4_0 or q4_1), but got ")
           << type;

  SmallVector<StringRef> names = weight.getSourceNames();
  FailureOr<SmallVector<int64_t>> rows = getSourceRows(weight);
  if (failed(rows))
    return failure();
  layout.arrangement = weight.getArrangement();
  if (std::optional<WeightShardAttr> shard = weight.getShard())
    layout.part = {shard->getDim(), shard->getShards(), shard->getIndex()};
  if (auto quantized = dyn_cast<QuantizedTensorType>(type))
    layout.groupSize = quantized.getGroupSize();
  for (auto [name, count] : llvm::zip_equal(names, *rows))
    layout.sources.push_back({name, count});
  if (format)
    layout.matrix =
        PackedLayout{*format, names.size() == 1 ? shape[0] : layout.getPackedRows(), shape[1],
                     isa<QuantizedTensorType>(type) ? layout.groupSize : kGroupSize};
  return layout;
}

std::optional<PackedFormat> WeightLayout::getFormat() const {
  return matrix ? std::optional(matrix->format) : std::nullopt;
}

int64_t WeightLayout::getPackedRows() const {
  int64_t rows = 0;
  for (const WeightSource &source : sources)
    rows += source.packedRows();
  return rows;
}

int64_t WeightLayout::getFirstPackedRow(unsigned source) const {
  assert(arrangement == Arrangement::Concat && "interleaved sources have no first row");
  int64_t rows = 0;
  for (const WeightSource &before : ArrayRef(sources).take_front(source))
    rows += before.packedRows();
  return rows;
}

int64_t WeightLayout::getPanelIndex(unsigned source, int64_t panel) const {
  if (arrangement == Arrangement::Interleave)
    return panel * static_cast<int64_t>(sources.size()) + source;
  return getFirstPackedRow(source) / kPanelRows + panel;
}

int64_t WeightLayout::getTotalBytes() const {
  return matrix ? matrix->totalBytes() : getPackedRows() * static_cast<int64_t>(sizeof(float));
}

} // namespace mlir::llm
