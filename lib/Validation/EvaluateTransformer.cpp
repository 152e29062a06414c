// Evaluation of the transformer ops, and of sharded ones on one rank.

#include "Rotation.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace mlir::llm;

namespace {
/// Rows of features: an activation of rank 2 or 3 as a matrix.
struct Rows {
  int64_t rows = 0, columns = 0;
  std::vector<double> numbers;

  Rows(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), numbers(static_cast<size_t>(rows * columns)) {}
  explicit Rows(const TensorValue &tensor)
      : Rows(tensor.dim(0), tensor.dim(0) == 0 ? 0 : tensor.size() / tensor.dim(0)) {
    for (int64_t i = 0; i < tensor.size(); ++i)
      numbers[static_cast<size_t>(i)] = tensor.real(i);
  }
  double &at(int64_t row, int64_t column) {
    return numbers[static_cast<size_t>(row * columns + column)];
  }
  double at(int64_t row, int64_t column) const {
    return numbers[static_cast<size_t>(row * columns + column)];
  }
};
} // namespace

static double silu(double x) { return x / (1 + std::exp(-x)); }

static double gelu(double x, GELUApproximation approximation) {
  if (approximation == GELUApproximation::Erf)
    return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void normalize(Rows &rows, const TensorValue &weight, double epsilon) {
  for (int64_t row = 0; row < rows.rows; ++row) {
    double squares = 0;
    for (int64_t i = 0; i < rows.columns; ++i)
      squares += rows.at(row, i) * rows.at(row, i);
    double scale = 1 / std::sqrt(squares / static_cast<double>(rows.columns) + epsilon);
    for (int64_t i = 0; i < rows.columns; ++i)
      rows.at(row, i) *= scale * weight.real(i);
  }
}

/// What a matrix op keeps of its activations: bf16, or eight bits with a scale for each 32.
static void roundActivations(Rows &rows, std::optional<Type> type) {
  if (!type || type->isF32())
    return;
  if (type->isBF16()) {
    for (double &number : rows.numbers)
      number = roundToType(*type, {number, 0}).real;
    return;
  }
  for (int64_t row = 0; row < rows.rows; ++row)
    for (int64_t first = 0; first < rows.columns; first += 32) {
      int64_t end = std::min(first + 32, rows.columns);
      double largest = 0;
      for (int64_t i = first; i < end; ++i)
        largest = std::max(largest, std::fabs(rows.at(row, i)));
      double scale = largest / 127;
      for (int64_t i = first; i < end && scale > 0; ++i)
        rows.at(row, i) = std::nearbyint(rows.at(row, i) / scale) * scale;
    }
}

/// rows times the transpose of some rows of a weight.
static Rows multiply(const Rows &input, const TensorValue &weight, int64_t firstRow = 0,
                     int64_t numRows = -1) {
  Rows result(input.rows, numRows < 0 ? weight.dim(0) : numRows);
  for (int64_t t = 0; t < input.rows; ++t)
    for (int64_t row = 0; row < result.columns; ++row) {
      double sum = 0;
      for (int64_t k = 0; k < input.columns; ++k)
        sum += input.at(t, k) * weight.real((firstRow + row) * weight.dim(1) + k);
      result.at(t, row) = sum;
    }
  return result;
}

/// Silu of the left half of the columns times the right half.
static Rows gate(const Rows &both) {
  Rows result(both.rows, both.columns / 2);
  for (int64_t t = 0; t < both.rows; ++t)
    for (int64_t i = 0; i < result.columns; ++i)
      result.at(t, i) = silu(both.at(t, i)) * both.at(t, result.columns + i);
  return result;
}

static void add(Rows &rows, const TensorValue &other) {
  for (auto [i, number] : llvm::enumerate(rows.numbers))
    number += other.real(static_cast<int64_t>(i));
}

/// The sizes of an activation with `tokens` tokens, the others known from its type.
static std::optional<SmallVector<int64_t>> activationShape(Value value, int64_t tokens,
                                                           int64_t columns) {
  SmallVector<int64_t> shape(cast<RankedTensorType>(value.getType()).getShape());
  shape[0] = tokens;
  int64_t known = 1, unknown = 0;
  for (int64_t size : ArrayRef(shape).drop_front())
    ShapedType::isDynamic(size) ? ++unknown : known *= size;
  if (unknown == 0)
    return shape;
  if (unknown > 1)
    return std::nullopt;
  for (int64_t &size : shape)
    if (ShapedType::isDynamic(size))
      size = columns / known;
  return shape;
}

static Evaluated setRows(Interpreter &in, Value value, const Rows &rows, int64_t firstColumn,
                         int64_t columns) {
  auto shape = activationShape(value, rows.rows, columns);
  if (!shape)
    return in.unsupported(value.getDefiningOp(), " with two unknown sizes of a token");
  TensorValue result = Interpreter::makeTensorFor(value, *shape);
  if (result.size() != rows.rows * columns)
    return in.fail(value.getDefiningOp(), "expected " + Twine(columns) + " features of a token");
  for (int64_t i = 0; i < result.size(); ++i)
    result.setReal(i, rows.at(i / columns, firstColumn + i % columns));
  return in.setTensor(value, std::move(result));
}

/// The product of a linear or sharded linear, all results side by side.
template <typename Op> static Rows computeLinear(Op op, Interpreter &in) {
  Rows input(in.tensor(op.getInput()));
  if (op.getNormWeightAttr())
    normalize(input, in.weight(op, op.getNormWeightAttr()), op.getNormEpsilon()->convertToDouble());
  roundActivations(input, op.getActivationType());
  Rows product = multiply(input, in.weight(op, op.getWeightAttr()));
  if (op.getBiasAttr()) {
    const TensorValue &bias = in.weight(op, op.getBiasAttr());
    for (int64_t i = 0; i < static_cast<int64_t>(product.numbers.size()); ++i)
      product.numbers[static_cast<size_t>(i)] += bias.real(i % product.columns);
  }
  if (op.getEpilogue() == Epilogue::SwiGLU)
    product = gate(product);
  if (op.getResidual())
    add(product, in.tensor(op.getResidual()));
  return product;
}

static Evaluated evaluate(LinearOp op, Interpreter &in) {
  Rows product = computeLinear(op, in);
  WeightOp weight = lookupWeight(op, op.getWeightAttr());
  int64_t first = 0;
  for (auto [i, output] : llvm::enumerate(op.getOutputs())) {
    int64_t columns = product.columns;
    if (op.getNumResults() > 1) {
      int64_t known = getNumFeatures(cast<RankedTensorType>(output.getType()));
      columns = weight.getSourceRows() ? (*weight.getSourceRows())[i] : known;
      if (ShapedType::isDynamic(columns))
        return in.unsupported(op, " with results of unknown size");
    }
    if (setRows(in, output, product, first, columns) == Evaluated::Failed)
      return Evaluated::Failed;
    first += columns;
  }
  return Evaluated::Done;
}

static Evaluated evaluate(LogitsOp op, Interpreter &in) {
  const TensorValue &all = in.tensor(op.getInput());
  SmallVector<int64_t> rows = in.integers(op.getRows());
  Rows input(static_cast<int64_t>(rows.size()), all.dim(1));
  for (auto [i, row] : llvm::enumerate(rows)) {
    if (row < 0 || row >= all.dim(0))
      return in.fail(op, "expected a row of the input, but got " + Twine(row));
    for (int64_t k = 0; k < all.dim(1); ++k)
      input.at(static_cast<int64_t>(i), k) = all.real(row * all.dim(1) + k);
  }
  if (op.getNormWeightAttr())
    normalize(input, in.weight(op, op.getNormWeightAttr()), op.getNormEpsilon()->convertToDouble());
  roundActivations(input, op.getActivationType());
  Rows product = multiply(input, in.weight(op, op.getWeightAttr()));
  return setRows(in, op.getOutput(), product, 0, product.columns);
}

static Evaluated evaluate(EmbeddingOp op, Interpreter &in) {
  const TensorValue &table = in.weight(op, op.getWeightAttr());
  SmallVector<int64_t> tokens = in.integers(op.getTokens());
  Rows result(static_cast<int64_t>(tokens.size()), table.dim(1));
  for (auto [i, token] : llvm::enumerate(tokens)) {
    if (token < 0 || token >= table.dim(0))
      return in.fail(op,
                     "expected a token below " + Twine(table.dim(0)) + ", but got " + Twine(token));
    for (int64_t k = 0; k < table.dim(1); ++k)
      result.at(static_cast<int64_t>(i), k) = table.real(token * table.dim(1) + k);
  }
  return setRows(in, op.getOutput(), result, 0, result.columns);
}

static Evaluated evaluate(LayerNormOp op, Interpreter &in) {
  Rows rows(in.tensor(op.getInput()));
  const TensorValue &weight = in.weight(op, op.getWeightAttr());
  const TensorValue *bias = op.getBiasAttr() ? &in.weight(op, op.getBiasAttr()) : nullptr;
  auto columns = static_cast<double>(rows.columns);
  for (int64_t t = 0; t < rows.rows; ++t) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < rows.columns; ++i)
      mean += rows.at(t, i) / columns;
    for (int64_t i = 0; i < rows.columns; ++i)
      variance += (rows.at(t, i) - mean) * (rows.at(t, i) - mean) / columns;
    double scale = 1 / std::sqrt(variance + op.getEpsilon().convertToDouble());
    for (int64_t i = 0; i < rows.columns; ++i)
      rows.at(t, i) = (rows.at(t, i) - mean) * scale * weight.real(i) + (bias ? bias->real(i) : 0);
  }
  return setRows(in, op.getOutput(), rows, 0, rows.columns);
}

static Evaluated evaluate(RopeOp op, Interpreter &in) {
  SmallVector<int64_t> positions = in.integers(op.getPositions());
  Rotation rotation = getRotation(op, in);
  for (auto [input, output] : llvm::zip_equal(op.getInputs(), op.getOutputs())) {
    TensorValue result = in.tensor(input);
    if (static_cast<int64_t>(positions.size()) != result.dim(0))
      return in.fail(op, "expected a position for each of " + Twine(result.dim(0)) + " tokens");
    rotate(result, positions, rotation);
    if (in.setTensor(output, std::move(result)) == Evaluated::Failed)
      return Evaluated::Failed;
  }
  return Evaluated::Done;
}

static Evaluated evaluateGated(Operation *op, llvm::function_ref<double(double)> activation,
                               Interpreter &in) {
  TensorValue result = in.tensor(op->getOperand(0));
  const TensorValue &up = in.tensor(op->getOperand(1));
  if (result.shape() != up.shape())
    return in.fail(op, "expected operands of equal sizes");
  for (int64_t i = 0; i < result.size(); ++i)
    result.setReal(i, activation(result.real(i)) * up.real(i));
  return in.setTensor(op->getResult(0), std::move(result));
}

/// The experts of a token with the highest scores, ties to the lower number.
static SmallVector<int64_t> chooseExperts(ArrayRef<double> scores, size_t count) {
  SmallVector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order, [&](int64_t a, int64_t b) {
    double left = scores[static_cast<size_t>(a)], right = scores[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  });
  order.resize(count);
  return order;
}

static Evaluated evaluate(MoEOp op, Interpreter &in) {
  Rows input(in.tensor(op.getInput()));
  Rows logits = multiply(input, in.weight(op, op.getRouterAttr()));
  Rows rounded = input;
  roundActivations(rounded, op.getActivationType());
  const TensorValue &gates = in.weight(op, op.getGateAttr()), &ups = in.weight(op, op.getUpAttr());
  const TensorValue &downs = in.weight(op, op.getDownAttr());
  int64_t experts = op.getNumExperts(), hidden = gates.dim(0) / experts;
  Rows result(input.rows, input.columns);
  for (int64_t t = 0; t < input.rows; ++t) {
    SmallVector<double> scores(static_cast<size_t>(experts));
    double sum = 0;
    for (int64_t e = 0; e < experts; ++e) {
      bool softmax = op.getScores() == RouterScores::Softmax;
      double logit = logits.at(t, e);
      scores[static_cast<size_t>(e)] = softmax ? std::exp(logit) : 1 / (1 + std::exp(-logit));
      sum += scores[static_cast<size_t>(e)];
    }
    if (op.getScores() == RouterScores::Softmax)
      for (double &score : scores)
        score /= sum;
    SmallVector<double> selection = scores;
    if (op.getSelectionBiasAttr())
      for (auto [e, score] : llvm::enumerate(selection))
        score += in.weight(op, op.getSelectionBiasAttr()).real(static_cast<int64_t>(e));
    SmallVector<int64_t> chosen = chooseExperts(selection, op.getExpertsPerToken());
    double total = 0;
    for (int64_t e : chosen)
      total += scores[static_cast<size_t>(e)];
    Rows row(1, input.columns);
    for (int64_t i = 0; i < input.columns; ++i)
      row.at(0, i) = rounded.at(t, i);
    for (int64_t e : chosen) {
      double weight = scores[static_cast<size_t>(e)];
      weight = (op.getNormalize() ? weight / total : weight) *
               (op.getScale() ? op.getScale()->convertToDouble() : 1);
      Rows inner = multiply(row, gates, e * hidden, hidden);
      Rows up = multiply(row, ups, e * hidden, hidden);
      for (int64_t i = 0; i < hidden; ++i)
        inner.at(0, i) = silu(inner.at(0, i)) * up.at(0, i);
      roundActivations(inner, op.getActivationType());
      Rows output = multiply(inner, downs, e * input.columns, input.columns);
      for (int64_t i = 0; i < input.columns; ++i)
        result.at(t, i) += weight * output.at(0, i);
    }
  }
  return setRows(in, op.getOutput(), result, 0, result.columns);
}

Evaluated llm::evaluateTransformer(Operation *op, Interpreter &in) {
  return llvm::TypeSwitch<Operation *, Evaluated>(op)
      .Case<LinearOp, LogitsOp, EmbeddingOp, LayerNormOp, RopeOp, MoEOp>(
          [&](auto typed) { return evaluate(typed, in); })
      .Case([&](RMSNormOp norm) {
        Rows rows(in.tensor(norm.getInput()));
        normalize(rows, in.weight(op, norm.getWeightAttr()), norm.getEpsilon().convertToDouble());
        return setRows(in, norm.getOutput(), rows, 0, rows.columns);
      })
      .Case([&](SwiGLUOp) { return evaluateGated(op, silu, in); })
      .Case([&](GeGLUOp gated) {
        return evaluateGated(op, [&](double x) { return gelu(x, gated.getApproximation()); }, in);
      })
      .Case([&](LoadWeightOp load) {
        return in.setTensor(load, in.weight(op, load.getWeightAttr()));
      })
      .Case([&](ShardedLinearOp linear) {
        if (linear.getShards() != 1)
          return in.unsupported(op, " over " + Twine(linear.getShards()) + " ranks");
        Rows product = computeLinear(linear, in);
        return setRows(in, linear.getOutput(), product, 0, product.columns);
      })
      .Case([&](AllReduceOp reduce) {
        if (reduce.getShards() != 1u)
          return in.unsupported(op, " over several ranks");
        return in.setTensor(reduce, in.tensor(reduce.getInput()));
      })
      .Case<AllGatherOp, ReduceScatterOp>([&](auto exchange) {
        if (exchange.getShards() != 1)
          return in.unsupported(op, " over " + Twine(exchange.getShards()) + " ranks");
        return in.setTensor(exchange, in.tensor(exchange.getInput()));
      })
      .Default([](Operation *) { return Evaluated::Unknown; });
}
