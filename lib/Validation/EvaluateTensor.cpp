// Evaluation of the tensor dialect: making, slicing, reshaping and reading tensors.

#include "llmir/Validation/Interpreter.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace mlir::llm;

/// Sizes, offsets or strides of which some are operands.
static SmallVector<int64_t> resolve(Interpreter &interpreter, ArrayRef<OpFoldResult> mixed) {
  SmallVector<int64_t> result;
  for (OpFoldResult item : mixed) {
    if (auto attribute = dyn_cast<Attribute>(item))
      result.push_back(cast<IntegerAttr>(attribute).getInt());
    else
      result.push_back(interpreter.integer(cast<Value>(item)));
  }
  return result;
}

/// The sizes of a result type, the dynamic ones from operands.
static SmallVector<int64_t> sizesOf(Interpreter &interpreter, RankedTensorType type,
                                    ValueRange dynamic) {
  SmallVector<int64_t> sizes(type.getShape());
  size_t next = 0;
  for (int64_t &size : sizes)
    if (ShapedType::isDynamic(size))
      size = interpreter.integer(dynamic[next++]);
  return sizes;
}

static bool isNegative(int64_t size) { return size < 0; }

/// Whether offsets + (sizes - 1) * strides stay within `shape`.
static bool isInside(ArrayRef<int64_t> shape, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
                     ArrayRef<int64_t> strides) {
  for (auto [size, offset, count, stride] : llvm::zip_equal(shape, offsets, sizes, strides))
    if (offset < 0 || count < 0 ||
        (count > 0 && (offset >= size || offset + (count - 1) * stride >= size ||
                       offset + (count - 1) * stride < 0)))
      return false;
  return true;
}

/// Calls `visit(index in the slice, place in the whole)` for each element of a slice.
static void forEachInSlice(const TensorValue &whole, ArrayRef<int64_t> offsets,
                           ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides,
                           llvm::function_ref<void(int64_t, int64_t)> visit) {
  if (llvm::is_contained(sizes, 0))
    return;
  SmallVector<int64_t> index(sizes.size(), 0), place(sizes.size());
  int64_t next = 0;
  do {
    for (size_t i = 0; i < index.size(); ++i)
      place[i] = offsets[i] + index[i] * strides[i];
    visit(next++, whole.offsetOf(place));
  } while (nextIndex(index, sizes));
}

static Evaluated evaluateExtractSlice(tensor::ExtractSliceOp op, Interpreter &in) {
  const TensorValue &source = in.tensor(op.getSource());
  SmallVector<int64_t> offsets = resolve(in, op.getMixedOffsets());
  SmallVector<int64_t> sizes = resolve(in, op.getMixedSizes());
  SmallVector<int64_t> strides = resolve(in, op.getMixedStrides());
  if (!isInside(source.shape(), offsets, sizes, strides))
    return in.fail(op, "expected a slice inside of its source");
  TensorValue result(sizes, source.elementType());
  forEachInSlice(source, offsets, sizes, strides,
                 [&](int64_t i, int64_t place) { result[i] = source[place]; });
  SmallVector<int64_t> shape;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, size] : llvm::enumerate(sizes))
    if (!dropped[i])
      shape.push_back(size);
  return in.setTensor(op, result.reshaped(shape));
}

static Evaluated evaluateInsertSlice(tensor::InsertSliceOp op, Interpreter &in) {
  const TensorValue &source = in.tensor(op.getSource());
  TensorValue result = in.tensor(op.getDest());
  SmallVector<int64_t> offsets = resolve(in, op.getMixedOffsets());
  SmallVector<int64_t> sizes = resolve(in, op.getMixedSizes());
  SmallVector<int64_t> strides = resolve(in, op.getMixedStrides());
  int64_t count = std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
  if (!isInside(result.shape(), offsets, sizes, strides) || count != source.size())
    return in.fail(op, "expected a slice inside of its destination");
  forEachInSlice(result, offsets, sizes, strides,
                 [&](int64_t i, int64_t place) { result[place] = source[i]; });
  return in.setTensor(op, std::move(result));
}

static Evaluated evaluateReshape(Operation *op, Value source, ArrayRef<int64_t> sizes,
                                 Interpreter &in) {
  const TensorValue &value = in.tensor(source);
  int64_t count = std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
  if (count != value.size())
    return in.fail(op, "expected " + Twine(value.size()) + " elements in another shape, but got " +
                           Twine(count));
  return in.setTensor(op->getResult(0), value.reshaped(sizes));
}

static Evaluated evaluateCollapse(tensor::CollapseShapeOp op, Interpreter &in) {
  const TensorValue &source = in.tensor(op.getSrc());
  SmallVector<int64_t> sizes;
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    sizes.push_back(1);
    for (int64_t i : group)
      sizes.back() *= source.dim(static_cast<size_t>(i));
  }
  return evaluateReshape(op, op.getSrc(), sizes, in);
}

/// The place of an element whose indices are operands; std::nullopt outside of the tensor.
static std::optional<int64_t> placeOf(const TensorValue &tensor, ValueRange indices,
                                      Interpreter &in) {
  SmallVector<int64_t> index;
  for (auto [operand, size] : llvm::zip_equal(indices, tensor.shape())) {
    index.push_back(in.integer(operand));
    if (index.back() < 0 || index.back() >= size)
      return std::nullopt;
  }
  return tensor.offsetOf(index);
}

static Evaluated evaluateGenerate(Operation *op, ArrayRef<int64_t> shape, Region &body,
                                  const TensorValue *source, ArrayRef<int64_t> low,
                                  Interpreter &in) {
  TensorValue result = Interpreter::makeTensorFor(op->getResult(0), shape);
  SmallVector<int64_t> index(shape.size(), 0);
  if (result.size() == 0)
    return in.setTensor(op->getResult(0), std::move(result));
  int64_t next = 0;
  do {
    SmallVector<int64_t> place(index);
    bool inside = source != nullptr;
    for (size_t i = 0; inside && i < index.size(); ++i) {
      place[i] -= low[i];
      inside = place[i] >= 0 && place[i] < source->dim(i);
    }
    if (inside) {
      result[next++] = (*source)[source->offsetOf(place)];
      continue;
    }
    SmallVector<RuntimeValue> arguments, yielded;
    for (int64_t i : index)
      arguments.push_back(Scalar{0, i});
    if (failed(in.runRegion(body, arguments, yielded)))
      return Evaluated::Failed;
    result[next++] = std::get<Scalar>(yielded.front());
  } while (nextIndex(index, shape));
  return in.setTensor(op->getResult(0), std::move(result));
}

static Evaluated evaluatePad(tensor::PadOp op, Interpreter &in) {
  const TensorValue &source = in.tensor(op.getSource());
  SmallVector<int64_t> low = resolve(in, op.getMixedLowPad());
  SmallVector<int64_t> shape = resolve(in, op.getMixedHighPad());
  for (size_t i = 0; i < shape.size(); ++i)
    shape[i] += low[i] + source.dim(i);
  if (llvm::any_of(shape, isNegative))
    return in.fail(op, "expected sizes that are not negative");
  return evaluateGenerate(op, shape, op.getRegion(), &source, low, in);
}

static Evaluated evaluateConcat(tensor::ConcatOp op, Interpreter &in) {
  size_t dim = op.getDim();
  SmallVector<int64_t> shape(in.tensor(op.getInputs().front()).shape());
  shape[dim] = 0;
  for (Value input : op.getInputs())
    shape[dim] += in.tensor(input).dim(dim);
  TensorValue result = Interpreter::makeTensorFor(op, shape);
  SmallVector<int64_t> offsets(shape.size(), 0), strides(shape.size(), 1);
  for (Value input : op.getInputs()) {
    const TensorValue &part = in.tensor(input);
    if (!isInside(shape, offsets, part.shape(), strides))
      return in.fail(op, "expected inputs whose other sizes are equal");
    forEachInSlice(result, offsets, part.shape(), strides,
                   [&](int64_t i, int64_t place) { result[place] = part[i]; });
    offsets[dim] += part.dim(dim);
  }
  return in.setTensor(op, std::move(result));
}

/// Ops that make a tensor out of scalars or sizes.
static Evaluated evaluateMaker(Operation *op, Interpreter &in) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  SmallVector<int64_t> shape =
      sizesOf(in, type,
              isa<tensor::FromElementsOp>(op) ? ValueRange()
              : isa<tensor::SplatOp>(op)      ? cast<tensor::SplatOp>(op).getDynamicSizes()
                                              : op->getOperands());
  if (llvm::any_of(shape, isNegative))
    return in.fail(op, "expected sizes that are not negative");
  if (auto generate = dyn_cast<tensor::GenerateOp>(op))
    return evaluateGenerate(op, shape, generate.getBody(), nullptr, {}, in);
  TensorValue result = Interpreter::makeTensorFor(op->getResult(0), shape);
  for (int64_t i = 0; i < result.size(); ++i) {
    if (auto splat = dyn_cast<tensor::SplatOp>(op))
      result[i] = in.scalar(splat.getInput());
    else if (isa<tensor::FromElementsOp>(op))
      result[i] = in.scalar(op->getOperand(static_cast<unsigned>(i)));
  }
  return in.setTensor(op->getResult(0), std::move(result));
}

Evaluated llm::evaluateTensor(Operation *op, Interpreter &in) {
  return llvm::TypeSwitch<Operation *, Evaluated>(op)
      .Case<tensor::EmptyOp, tensor::SplatOp, tensor::FromElementsOp, tensor::GenerateOp>(
          [&](Operation *) { return evaluateMaker(op, in); })
      .Case([&](tensor::ExtractSliceOp slice) { return evaluateExtractSlice(slice, in); })
      .Case([&](tensor::InsertSliceOp slice) { return evaluateInsertSlice(slice, in); })
      .Case([&](tensor::CollapseShapeOp collapse) { return evaluateCollapse(collapse, in); })
      .Case([&](tensor::ExpandShapeOp expand) {
        return evaluateReshape(op, expand.getSrc(), resolve(in, expand.getMixedOutputShape()), in);
      })
      .Case([&](tensor::PadOp pad) { return evaluatePad(pad, in); })
      .Case([&](tensor::ConcatOp concat) { return evaluateConcat(concat, in); })
      .Case([&](tensor::CastOp cast) { return in.setTensor(cast, in.tensor(cast.getSource())); })
      .Case([&](tensor::DimOp dim) {
        int64_t i = in.integer(dim.getIndex());
        const TensorValue &source = in.tensor(dim.getSource());
        if (i < 0 || i >= static_cast<int64_t>(source.rank()))
          return in.fail(op, "expected a dimension of the tensor, but got " + Twine(i));
        in.set(dim, Scalar{0, source.dim(static_cast<size_t>(i))});
        return Evaluated::Done;
      })
      .Case([&](tensor::ExtractOp extract) {
        const TensorValue &source = in.tensor(extract.getTensor());
        std::optional<int64_t> place = placeOf(source, extract.getIndices(), in);
        if (!place)
          return in.fail(op, "expected an index inside of the tensor");
        in.set(extract, source[*place]);
        return Evaluated::Done;
      })
      .Case([&](tensor::InsertOp insert) {
        TensorValue result = in.tensor(insert.getDest());
        std::optional<int64_t> place = placeOf(result, insert.getIndices(), in);
        if (!place)
          return in.fail(op, "expected an index inside of the tensor");
        result[*place] = in.scalar(insert.getScalar());
        return in.setTensor(insert, std::move(result));
      })
      .Default([](Operation *) { return Evaluated::Unknown; });
}
