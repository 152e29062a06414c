// Registration of the `llm` dialect's attributes, and rotary scaling: assembly, verification and
// the frequencies that it stands for.

#include "llmir/Dialect/LLM/IR/LLMAttributes.h"
#include "TypeHelpers.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace mlir::llm;

#include "llmir/Dialect/LLM/IR/LLMEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "llmir/Dialect/LLM/IR/LLMAttributes.cpp.inc"

void LLMDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "llmir/Dialect/LLM/IR/LLMAttributes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// RopeScalingAttr: assembly
//===----------------------------------------------------------------------===//

namespace {

/// The parameters that a kind of scaling has besides the factor; an empty name: none.
struct RopeScalingParameters {
  bool hasOriginal;
  StringRef slowName;
  double slow; ///< default
  StringRef fastName;
  double fast; ///< default
  bool hasMagnitude;
};

} // namespace

static RopeScalingParameters getParameters(RopeScalingKind kind) {
  switch (kind) {
  case RopeScalingKind::Linear:
  case RopeScalingKind::NTK:
    return {false, "", 0, "", 0, false};
  case RopeScalingKind::YaRN:
    return {true, "beta_slow", 1, "beta_fast", 32, true};
  case RopeScalingKind::Llama3:
    return {true, "low", 1, "high", 4, false};
  case RopeScalingKind::LongRoPE:
    return {true, "", 0, "", 0, true};
  }
  llvm_unreachable("unknown kind of scaling");
}

static FloatAttr getF64(MLIRContext *context, double value) {
  return FloatAttr::get(Float64Type::get(context), value);
}

RopeScalingAttr RopeScalingAttr::get(MLIRContext *context, RopeScalingKind kind, double factor,
                                     int64_t original) {
  RopeScalingParameters parameters = getParameters(kind);
  return get(context, kind, getF64(context, factor), original, getF64(context, parameters.slow),
             getF64(context, parameters.fast), FloatAttr());
}

static ParseResult parseF64(AsmParser &parser, FloatAttr &attribute) {
  double value;
  if (parser.parseFloat(value))
    return failure();
  attribute = getF64(parser.getContext(), value);
  return success();
}

Attribute RopeScalingAttr::parse(AsmParser &parser, Type) {
  SMLoc location = parser.getCurrentLocation();
  RopeScalingKind kind;
  if (parser.parseLess() || parseEnumerator(parser, kind))
    return {};
  RopeScalingParameters parameters = getParameters(kind);
  MLIRContext *context = parser.getContext();
  FloatAttr factor, magnitude;
  FloatAttr slow = getF64(context, parameters.slow);
  FloatAttr fast = getF64(context, parameters.fast);
  int64_t original = 0;
  auto parseValue = [&](StringRef name) -> std::optional<ParseResult> {
    if (name == "factor")
      return parseF64(parser, factor);
    if (name == "original" && parameters.hasOriginal)
      return parser.parseInteger(original);
    if (name == "magnitude" && parameters.hasMagnitude)
      return parseF64(parser, magnitude);
    if (!parameters.slowName.empty() && name == parameters.slowName)
      return parseF64(parser, slow);
    if (!parameters.fastName.empty() && name == parameters.fastName)
      return parseF64(parser, fast);
    return std::nullopt;
  };
  std::string known = "'factor'";
  for (auto [name, has] : {std::pair(StringRef("original"), parameters.hasOriginal),
                           std::pair(parameters.slowName, !parameters.slowName.empty()),
                           std::pair(parameters.fastName, !parameters.fastName.empty()),
                           std::pair(StringRef("magnitude"), parameters.hasMagnitude)})
    if (has)
      known += (", '" + name + "'").str();
  if (parseNamedParameters(parser, known, parseValue) || parser.parseGreater())
    return {};
  // (RS-1)
  if (!factor) {
    parser.emitError(location, "expected a 'factor'");
    return {};
  }
  return getChecked([&] { return parser.emitError(location); }, context, kind, factor, original,
                    slow, fast, magnitude);
}

void RopeScalingAttr::print(AsmPrinter &printer) const {
  RopeScalingParameters parameters = getParameters(getKind());
  auto print = [&](StringRef name, FloatAttr value) {
    printer << ", " << name << " = ";
    printer.printFloat(value.getValue());
  };
  printer << '<' << stringifyEnum(getKind());
  print("factor", getFactorAttr());
  if (parameters.hasOriginal)
    printer << ", original = " << getOriginal();
  if (getSlow() != parameters.slow)
    print(parameters.slowName, getSlowAttr());
  if (getFast() != parameters.fast)
    print(parameters.fastName, getFastAttr());
  if (getMagnitudeAttr())
    print("magnitude", getMagnitudeAttr());
  printer << '>';
}

LogicalResult RopeScalingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                      RopeScalingKind kind, FloatAttr factor, int64_t original,
                                      FloatAttr slow, FloatAttr fast, FloatAttr magnitude) {
  RopeScalingParameters parameters = getParameters(kind);
  // (RS-2)
  if (!(factor.getValueAsDouble() >= 1))
    return emitError() << "expected 'factor' to be at least 1, but got "
                       << factor.getValueAsDouble();
  // (RS-3)
  if (parameters.hasOriginal ? original < 2 : original != 0)
    return emitError() << "expected 'original', the longest sequence of training, to be "
                       << (parameters.hasOriginal ? "at least 2" : "absent") << ", but got "
                       << original;
  // (RS-4)
  bool hasRamp = !parameters.slowName.empty();
  if (hasRamp &&
      !(slow.getValueAsDouble() > 0 && slow.getValueAsDouble() < fast.getValueAsDouble()))
    return emitError() << "expected 0 < '" << parameters.slowName << "' < '" << parameters.fastName
                       << "', but got " << slow.getValueAsDouble() << " and "
                       << fast.getValueAsDouble();
  // (RS-5)
  if (magnitude && !(magnitude.getValueAsDouble() > 0))
    return emitError() << "expected 'magnitude' to be positive, but got "
                       << magnitude.getValueAsDouble();
  return success();
}

//===----------------------------------------------------------------------===//
// RopeScalingAttr: numbers
//===----------------------------------------------------------------------===//

/// The pair, as a real number, that turns `turns` times in `original` positions.
static double getPairOfTurns(double turns, double theta, int64_t rotaryDim, int64_t original) {
  return static_cast<double>(rotaryDim) *
         std::log(static_cast<double>(original) / (turns * 2 * M_PI)) / (2 * std::log(theta));
}

double RopeScalingAttr::getFrequency(double theta, int64_t rotaryDim, int64_t pair) const {
  auto frequencyOf = [&](double base) {
    return std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(rotaryDim));
  };
  double plain = frequencyOf(theta);
  double factor = getFactor();
  switch (getKind()) {
  case RopeScalingKind::Linear:
    return plain / factor;
  case RopeScalingKind::NTK: {
    auto dim = static_cast<double>(rotaryDim);
    return rotaryDim <= 2 ? plain : frequencyOf(theta * std::pow(factor, dim / (dim - 2)));
  }
  case RopeScalingKind::YaRN: {
    double last = static_cast<double>(rotaryDim) - 1;
    double low =
        std::max(std::floor(getPairOfTurns(getFast(), theta, rotaryDim, getOriginal())), 0.0);
    double high =
        std::min(std::ceil(getPairOfTurns(getSlow(), theta, rotaryDim, getOriginal())), last);
    if (low == high)
      high += 0.001;
    double scaled = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    return plain / factor * scaled + plain * (1 - scaled);
  }
  case RopeScalingKind::Llama3: {
    double turns = static_cast<double>(getOriginal()) * plain / (2 * M_PI);
    double kept = std::clamp((turns - getSlow()) / (getFast() - getSlow()), 0.0, 1.0);
    return plain / factor * (1 - kept) + plain * kept;
  }
  case RopeScalingKind::LongRoPE:
    return plain;
  }
  llvm_unreachable("unknown kind of scaling");
}

double RopeScalingAttr::getMagnitude() const {
  if (getMagnitudeAttr())
    return getMagnitudeAttr().getValueAsDouble();
  if (getKind() == RopeScalingKind::YaRN)
    return 1 + 0.1 * std::log(getFactor());
  if (getKind() == RopeScalingKind::LongRoPE)
    return std::sqrt(1 + std::log(getFactor()) / std::log(static_cast<double>(getOriginal())));
  return 1;
}
