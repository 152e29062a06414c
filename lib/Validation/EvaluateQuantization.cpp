// Evaluation of quantisation. A quantised value is the tensor of what its codes stand for, so
// dequantising changes nothing.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"

#include <map>

using namespace mlir;
using namespace mlir::llm;

/// Elements that share a scale have the same number here.
static int64_t groupOf(QuantizedTensorType type, ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  if (!type.getPerChannel())
    return 0;
  auto axis = static_cast<size_t>(type.getAxis());
  if (type.getGroupSize() < 0)
    return index[axis];
  int64_t number = 0;
  for (size_t i = 0; i < index.size(); ++i)
    number = number * shape[i] + (i == axis ? index[i] / type.getGroupSize() : index[i]);
  return number;
}

static Evaluated evaluate(QuantizeOp op, Interpreter &in) {
  QuantizedTensorType type = op.getOutput().getType();
  TensorValue result = Interpreter::makeTensorFor(op, in.tensor(op.getInput()).shape());
  const TensorValue &input = in.tensor(op.getInput());
  std::map<int64_t, SmallVector<int64_t>> groups;
  SmallVector<int64_t> index(input.rank(), 0);
  for (int64_t i = 0; i < input.size(); ++i) {
    groups[groupOf(type, index, input.shape())].push_back(i);
    nextIndex(index, input.shape());
  }
  for (const auto &[number, places] : groups) {
    SmallVector<double> numbers;
    for (int64_t place : places)
      numbers.push_back(input.real(place));
    SmallVector<double> rounded = dequantizeGroup(quantizeGroup(numbers, type), type);
    for (auto [place, value] : llvm::zip_equal(places, rounded))
      result.setReal(place, value);
  }
  return in.setTensor(op, std::move(result));
}

static Evaluated evaluate(DequantizeOp op, Interpreter &in) {
  const TensorValue &input = in.tensor(op.getInput());
  TensorValue result = Interpreter::makeTensorFor(op, input.shape());
  for (int64_t i = 0; i < input.size(); ++i)
    result.setReal(i, input.real(i));
  return in.setTensor(op, std::move(result));
}

static Evaluated evaluate(QuantizedMatmulOp op, Interpreter &in) {
  const TensorValue &input = in.tensor(op.getInput()), &weight = in.tensor(op.getWeight());
  if (input.dim(1) != weight.dim(1))
    return in.fail(op, "expected " + Twine(weight.dim(1)) + " features, but got " +
                           Twine(input.dim(1)));
  TensorValue result = Interpreter::makeTensorFor(op, {input.dim(0), weight.dim(0)});
  for (int64_t t = 0; t < input.dim(0); ++t)
    for (int64_t row = 0; row < weight.dim(0); ++row) {
      double sum = 0;
      for (int64_t k = 0; k < input.dim(1); ++k)
        sum += input.real(t * input.dim(1) + k) * weight.real(row * weight.dim(1) + k);
      result.setReal(t * weight.dim(0) + row, sum);
    }
  return in.setTensor(op, std::move(result));
}

Evaluated llm::evaluateQuantization(Operation *op, Interpreter &in) {
  return llvm::TypeSwitch<Operation *, Evaluated>(op)
      .Case<QuantizeOp, DequantizeOp, QuantizedMatmulOp>(
          [&](auto typed) { return evaluate(typed, in); })
      .Default([](Operation *) { return Evaluated::Unknown; });
}
