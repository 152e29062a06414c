// Evaluation of arith and math: on scalars, and element by element on tensors.

#include "llmir/Validation/Interpreter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <optional>

using namespace mlir;
using namespace mlir::llm;

namespace {
/// The operands of an elementwise op for one element.
struct Element {
  Operation *op;
  ArrayRef<Scalar> operands;

  double real(size_t i) const { return operands[i].real; }
  int64_t integer(size_t i) const { return operands[i].integer; }
  unsigned width() const {
    Type type = getElementTypeOrSelf(op->getOperand(0).getType());
    return type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  }
  /// The bits of an integer as a number without sign.
  uint64_t bits(size_t i) const {
    auto value = static_cast<uint64_t>(integer(i));
    return width() >= 64 ? value : value & ((uint64_t(1) << width()) - 1);
  }
};
} // namespace

static Scalar ofReal(double value) { return {value, 0}; }
static Scalar ofInteger(int64_t value) { return {0, value}; }

static bool compareIntegers(arith::CmpIPredicate predicate, const Element &e) {
  int64_t a = e.integer(0), b = e.integer(1);
  // i1 is kept as 0 and 1, but true is -1 to a signed comparison.
  if (e.width() == 1)
    a = -a, b = -b;
  uint64_t u = e.bits(0), v = e.bits(1);
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return u == v;
  case arith::CmpIPredicate::ne:
    return u != v;
  case arith::CmpIPredicate::slt:
    return a < b;
  case arith::CmpIPredicate::sle:
    return a <= b;
  case arith::CmpIPredicate::sgt:
    return a > b;
  case arith::CmpIPredicate::sge:
    return a >= b;
  case arith::CmpIPredicate::ult:
    return u < v;
  case arith::CmpIPredicate::ule:
    return u <= v;
  case arith::CmpIPredicate::ugt:
    return u > v;
  case arith::CmpIPredicate::uge:
    return u >= v;
  }
  llvm_unreachable("unknown predicate");
}

static bool compareReals(arith::CmpFPredicate predicate, double a, double b) {
  // Equal, greater, less, unordered: what a predicate is true for.
  constexpr unsigned kTrueFor[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 8, 15};
  unsigned state = std::isnan(a) || std::isnan(b) ? 8 : a < b ? 4 : a > b ? 2 : 1;
  return (kTrueFor[static_cast<size_t>(predicate)] & state) != 0;
}

static std::optional<Scalar> computeReal(Operation *op, const Element &e) {
  return llvm::TypeSwitch<Operation *, std::optional<Scalar>>(op)
      .Case([&](arith::AddFOp) { return ofReal(e.real(0) + e.real(1)); })
      .Case([&](arith::SubFOp) { return ofReal(e.real(0) - e.real(1)); })
      .Case([&](arith::MulFOp) { return ofReal(e.real(0) * e.real(1)); })
      .Case([&](arith::DivFOp) { return ofReal(e.real(0) / e.real(1)); })
      .Case([&](arith::RemFOp) { return ofReal(std::fmod(e.real(0), e.real(1))); })
      .Case([&](arith::NegFOp) { return ofReal(-e.real(0)); })
      .Case<arith::MaximumFOp, arith::MinimumFOp>([&](Operation *) {
        if (std::isnan(e.real(0)) || std::isnan(e.real(1)))
          return ofReal(NAN);
        bool maximum = isa<arith::MaximumFOp>(op);
        return ofReal(maximum ? std::max(e.real(0), e.real(1)) : std::min(e.real(0), e.real(1)));
      })
      .Case([&](arith::MaxNumFOp) { return ofReal(std::fmax(e.real(0), e.real(1))); })
      .Case([&](arith::MinNumFOp) { return ofReal(std::fmin(e.real(0), e.real(1))); })
      .Case<arith::ExtFOp, arith::TruncFOp>([&](Operation *) { return ofReal(e.real(0)); })
      .Case([&](arith::SIToFPOp) {
        return ofReal(e.width() == 1 ? -double(e.integer(0)) : double(e.integer(0)));
      })
      .Case([&](arith::UIToFPOp) { return ofReal(static_cast<double>(e.bits(0))); })
      .Case([&](math::ExpOp) { return ofReal(std::exp(e.real(0))); })
      .Case([&](math::Exp2Op) { return ofReal(std::exp2(e.real(0))); })
      .Case([&](math::LogOp) { return ofReal(std::log(e.real(0))); })
      .Case([&](math::Log2Op) { return ofReal(std::log2(e.real(0))); })
      .Case([&](math::SqrtOp) { return ofReal(std::sqrt(e.real(0))); })
      .Case([&](math::RsqrtOp) { return ofReal(1 / std::sqrt(e.real(0))); })
      .Case([&](math::TanhOp) { return ofReal(std::tanh(e.real(0))); })
      .Case([&](math::ErfOp) { return ofReal(std::erf(e.real(0))); })
      .Case([&](math::SinOp) { return ofReal(std::sin(e.real(0))); })
      .Case([&](math::CosOp) { return ofReal(std::cos(e.real(0))); })
      .Case([&](math::AbsFOp) { return ofReal(std::fabs(e.real(0))); })
      .Case([&](math::FloorOp) { return ofReal(std::floor(e.real(0))); })
      .Case([&](math::CeilOp) { return ofReal(std::ceil(e.real(0))); })
      .Case([&](math::RoundEvenOp) { return ofReal(std::nearbyint(e.real(0))); })
      .Case([&](math::PowFOp) { return ofReal(std::pow(e.real(0), e.real(1))); })
      .Case([&](math::FmaOp) { return ofReal(std::fma(e.real(0), e.real(1), e.real(2))); })
      .Default([](Operation *) { return std::nullopt; });
}

static std::optional<Scalar> computeInteger(Operation *op, const Element &e) {
  auto wrap = [](uint64_t value) { return ofInteger(static_cast<int64_t>(value)); };
  auto a = static_cast<uint64_t>(e.operands.empty() ? 0 : e.integer(0));
  auto b = static_cast<uint64_t>(e.operands.size() < 2 ? 0 : e.integer(1));
  return llvm::TypeSwitch<Operation *, std::optional<Scalar>>(op)
      .Case([&](arith::AddIOp) { return wrap(a + b); })
      .Case([&](arith::SubIOp) { return wrap(a - b); })
      .Case([&](arith::MulIOp) { return wrap(a * b); })
      .Case([&](arith::AndIOp) { return wrap(a & b); })
      .Case([&](arith::OrIOp) { return wrap(a | b); })
      .Case([&](arith::XOrIOp) { return wrap(a ^ b); })
      .Case([&](arith::ShLIOp) { return wrap(b < 64 ? a << b : 0); })
      .Case([&](arith::ShRUIOp) { return wrap(b < 64 ? e.bits(0) >> b : 0); })
      .Case([&](arith::ShRSIOp) { return ofInteger(e.integer(0) >> (b < 63 ? b : 63)); })
      .Case([&](arith::MaxSIOp) { return ofInteger(std::max(e.integer(0), e.integer(1))); })
      .Case([&](arith::MinSIOp) { return ofInteger(std::min(e.integer(0), e.integer(1))); })
      .Case([&](arith::MaxUIOp) { return wrap(std::max(e.bits(0), e.bits(1))); })
      .Case([&](arith::MinUIOp) { return wrap(std::min(e.bits(0), e.bits(1))); })
      .Case<arith::IndexCastOp, arith::ExtSIOp>(
          [&](Operation *) { return ofInteger(e.width() == 1 ? -e.integer(0) : e.integer(0)); })
      .Case<arith::IndexCastUIOp, arith::ExtUIOp>([&](Operation *) { return wrap(e.bits(0)); })
      .Case([&](arith::TruncIOp) { return wrap(a); })
      .Case<arith::FPToSIOp, arith::FPToUIOp>(
          [&](Operation *) { return ofInteger(static_cast<int64_t>(std::trunc(e.real(0)))); })
      .Case([&](arith::CmpIOp cmp) { return ofInteger(compareIntegers(cmp.getPredicate(), e)); })
      .Case([&](arith::CmpFOp cmp) {
        return ofInteger(compareReals(cmp.getPredicate(), e.real(0), e.real(1)));
      })
      .Default([](Operation *) { return std::nullopt; });
}

/// Divisions, of which some have no result.
static std::optional<Scalar> computeDivision(Operation *op, const Element &e) {
  if (!isa<arith::DivSIOp, arith::RemSIOp, arith::DivUIOp, arith::RemUIOp, arith::CeilDivSIOp,
           arith::FloorDivSIOp>(op) ||
      e.integer(1) == 0 || (e.integer(1) == -1 && e.integer(0) == INT64_MIN))
    return std::nullopt;
  int64_t a = e.integer(0), b = e.integer(1);
  int64_t quotient = a / b, rest = a % b;
  return llvm::TypeSwitch<Operation *, Scalar>(op)
      .Case([&](arith::DivSIOp) { return ofInteger(quotient); })
      .Case([&](arith::RemSIOp) { return ofInteger(rest); })
      .Case([&](arith::DivUIOp) { return ofInteger(static_cast<int64_t>(e.bits(0) / e.bits(1))); })
      .Case([&](arith::RemUIOp) { return ofInteger(static_cast<int64_t>(e.bits(0) % e.bits(1))); })
      .Case([&](arith::CeilDivSIOp) {
        return ofInteger(quotient + (rest != 0 && (rest < 0) == (b < 0)));
      })
      .Default([&](Operation *) { // floordivsi
        return ofInteger(quotient - (rest != 0 && (rest < 0) != (b < 0)));
      });
}

static std::optional<Scalar> compute(Operation *op, ArrayRef<Scalar> operands) {
  Element element{op, operands};
  std::optional<Scalar> result = computeReal(op, element);
  if (!result)
    result = computeInteger(op, element);
  if (!result)
    result = computeDivision(op, element);
  if (result)
    result = roundToType(getElementTypeOrSelf(op->getResult(0).getType()), *result);
  return result;
}

static Scalar scalarOf(Attribute attribute) {
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return ofReal(number.getValueAsDouble());
  auto number = cast<IntegerAttr>(attribute);
  return roundToType(number.getType(), ofInteger(number.getValue().getSExtValue()));
}

static Evaluated evaluateConstant(arith::ConstantOp op, Interpreter &interpreter) {
  if (isa<FloatAttr, IntegerAttr>(op.getValue())) {
    interpreter.set(op, scalarOf(op.getValue()));
    return Evaluated::Done;
  }
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements)
    return interpreter.unsupported(op, " of values that are not listed");
  TensorValue result = Interpreter::makeTensorFor(op, elements.getType().getShape());
  int64_t next = 0;
  if (isa<FloatType>(elements.getElementType())) {
    for (const APFloat &number : elements.getValues<APFloat>())
      result[next++] = ofReal(FloatAttr::get(elements.getElementType(), number).getValueAsDouble());
  } else {
    for (const APInt &number : elements.getValues<APInt>())
      result.setInteger(next++, number.getSExtValue());
  }
  return interpreter.setTensor(op, std::move(result));
}

static Evaluated evaluateSelect(arith::SelectOp op, Interpreter &interpreter) {
  if (!isa<RankedTensorType>(op.getCondition().getType())) {
    bool taken = interpreter.integer(op.getCondition()) != 0;
    interpreter.set(op, interpreter.get(taken ? op.getTrueValue() : op.getFalseValue()));
    return Evaluated::Done;
  }
  const TensorValue &condition = interpreter.tensor(op.getCondition());
  const TensorValue &yes = interpreter.tensor(op.getTrueValue());
  const TensorValue &no = interpreter.tensor(op.getFalseValue());
  TensorValue result = yes;
  for (int64_t i = 0; i < result.size(); ++i)
    result[i] = condition.integer(i) ? yes[i] : no[i];
  return interpreter.setTensor(op, std::move(result));
}

Evaluated llm::evaluateArith(Operation *op, Interpreter &interpreter) {
  if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()))
    return Evaluated::Unknown;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return evaluateConstant(constant, interpreter);
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return evaluateSelect(select, interpreter);
  if (op->getNumResults() != 1)
    return Evaluated::Unknown;
  SmallVector<Scalar> operands(op->getNumOperands());
  auto computeOr = [&](Scalar &result) {
    std::optional<Scalar> computed = compute(op, operands);
    if (computed)
      result = *computed;
    return computed.has_value();
  };
  auto refuse = [&] {
    bool divides = op->getNumOperands() == 2 && operands[1].integer == 0 &&
                   isa<arith::DivSIOp, arith::RemSIOp, arith::DivUIOp, arith::RemUIOp,
                       arith::CeilDivSIOp, arith::FloorDivSIOp>(op);
    return divides ? interpreter.fail(op, "expected a divisor other than 0")
                   : interpreter.unsupported(op, "");
  };
  if (!isa<RankedTensorType>(op->getResult(0).getType())) {
    if (isa<ShapedType>(op->getResult(0).getType()))
      return interpreter.unsupported(op, " on vectors");
    for (auto [operand, value] : llvm::zip_equal(operands, op->getOperands()))
      operand = interpreter.scalar(value);
    Scalar result;
    if (!computeOr(result))
      return refuse();
    interpreter.set(op->getResult(0), result);
    return Evaluated::Done;
  }
  TensorValue result =
      Interpreter::makeTensorFor(op->getResult(0), interpreter.tensor(op->getOperand(0)).shape());
  for (Value operand : op->getOperands())
    if (interpreter.tensor(operand).shape() != result.shape())
      return interpreter.fail(op, "expected operands of equal sizes");
  for (int64_t i = 0; i < result.size(); ++i) {
    for (auto [operand, value] : llvm::zip_equal(operands, op->getOperands()))
      operand = interpreter.tensor(value)[i];
    if (!computeOr(result[i]))
      return refuse();
  }
  return interpreter.setTensor(op->getResult(0), std::move(result));
}
