// Quantised tensors: parsing, printing and verification.

#include "TypeHelpers.h"

using namespace mlir;
using namespace mlir::llm;

/// Parses a flag: `true` or `false`, or the word for either.
static ParseResult parseFlag(AsmParser &parser, StringRef yes, StringRef no, bool &value) {
  SMLoc location = parser.getCurrentLocation();
  StringRef word;
  // (QT-11)
  if (failed(parser.parseOptionalKeyword(&word, {"true", "false", yes, no})))
    return parser.emitError(location, "expected 'true' or '")
           << yes << "', or 'false' or '" << no << "'";
  value = word == "true" || word == yes;
  return success();
}

static ParseResult parseSize(AsmParser &parser, SmallVectorImpl<int64_t> &shape) {
  if (failed(parser.parseOptionalQuestion()))
    return parser.parseInteger(shape.emplace_back());
  shape.push_back(ShapedType::kDynamic);
  return success();
}

/// Parses what follows the first size of `16 x ? x 1024`. The blanks may be missing: then a word
/// such as `x1024x32` holds several sizes.
static ParseResult parseTimesSizes(AsmParser &parser, SmallVectorImpl<int64_t> &shape) {
  SMLoc location = parser.getCurrentLocation();
  StringRef word;
  while (succeeded(parser.parseOptionalKeyword(&word))) {
    do {
      int64_t size;
      // (QT-12)
      if (!word.consume_front("x"))
        return parser.emitError(location, "expected 'x' or ',' between sizes");
      if (word.empty()) {
        if (failed(parseSize(parser, shape)))
          return failure();
        break;
      }
      if (word.consumeInteger(10, size))
        return parser.emitError(location, "expected a size after 'x'");
      shape.push_back(size);
    } while (!word.empty());
    location = parser.getCurrentLocation();
  }
  return success();
}

/// Parses `[16, ?]` or `[16 x ?]`.
static ParseResult parseShape(AsmParser &parser, SmallVectorImpl<int64_t> &shape) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
    return failure(failed(parseSize(parser, shape)) || failed(parseTimesSizes(parser, shape)));
  });
}

/// The zero point's type where none is written.
static Type getDefaultZeroPointType(Type storage, bool symmetric) {
  return symmetric ? Type() : storage;
}

Type QuantizedTensorType::parse(AsmParser &parser) {
  SMLoc location = parser.getCurrentLocation();
  Type storage;
  SmallVector<int64_t> shape;
  bool symmetric, perChannel;
  int64_t axis, groupSize, bits;
  if (parser.parseLess() || parser.parseType(storage) || parser.parseComma() ||
      parseShape(parser, shape) || parser.parseComma() ||
      parseFlag(parser, "symmetric", "asymmetric", symmetric) || parser.parseComma() ||
      parseFlag(parser, "per_channel", "per_tensor", perChannel) || parser.parseComma() ||
      parser.parseInteger(axis) || parser.parseComma() || parser.parseInteger(groupSize) ||
      parser.parseComma() || parser.parseInteger(bits))
    return {};
  Type element = Float32Type::get(parser.getContext());
  Type scale = element;
  Type zeroPoint = getDefaultZeroPointType(storage, symmetric);
  Packing packing = Packing::Dense;
  auto parseValue = [&](StringRef name) -> std::optional<ParseResult> {
    if (name == "element")
      return parser.parseType(element);
    if (name == "scale")
      return parser.parseType(scale);
    if (name == "zero_point")
      return parser.parseType(zeroPoint);
    if (name == "packing")
      return parseEnumerator(parser, packing);
    return std::nullopt;
  };
  if (parseNamedParameters(parser, "'element', 'scale', 'zero_point', 'packing'", parseValue) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(location); }, parser.getContext(), storage,
                    ArrayRef<int64_t>(shape), symmetric, perChannel, axis, groupSize, bits, element,
                    scale, zeroPoint, packing);
}

void QuantizedTensorType::print(AsmPrinter &printer) const {
  auto word = [](bool value) { return value ? "true" : "false"; };
  printer << '<' << getStorageType() << ", [";
  llvm::interleaveComma(getShape(), printer, [&](int64_t size) {
    if (ShapedType::isDynamic(size))
      printer << '?';
    else
      printer << size;
  });
  printer << "], " << word(getSymmetric()) << ", " << word(getPerChannel()) << ", " << getAxis()
          << ", " << getGroupSize() << ", " << getBits();
  if (!getElementType().isF32())
    printer << ", element = " << getElementType();
  if (!getScaleType().isF32())
    printer << ", scale = " << getScaleType();
  if (getZeroPointType() != getDefaultZeroPointType(getStorageType(), getSymmetric()))
    printer << ", zero_point = " << getZeroPointType();
  if (getPacking() != Packing::Dense)
    printer << ", packing = " << stringifyPacking(getPacking());
  printer << '>';
}

/// Axis and group of a quantised tensor: the granularity of its scales.
static LogicalResult verifyGranularity(function_ref<InFlightDiagnostic()> emitError,
                                       ArrayRef<int64_t> shape, bool perChannel, int64_t axis,
                                       int64_t groupSize) {
  // (QT-4)
  int64_t rank = shape.size();
  if (axis < -1 || axis >= rank)
    return emitError() << "expected the axis to be -1 or less than the rank " << rank
                       << ", but got " << axis;
  // (QT-5)
  if (axis == -1 && (perChannel || groupSize != -1))
    return emitError() << "expected an axis for scales per " << (perChannel ? "channel" : "group")
                       << ", but got -1";
  // (QT-6)
  if (groupSize != -1 && groupSize < 1)
    return emitError() << "expected the group size to be -1 or at least 1, but got " << groupSize;
  if (groupSize != -1 && !ShapedType::isDynamic(shape[axis]) && shape[axis] % groupSize != 0)
    return emitError() << "expected the group size to divide dimension " << axis << " of size "
                       << shape[axis] << ", but got " << groupSize;
  return success();
}

LogicalResult QuantizedTensorType::verify(function_ref<InFlightDiagnostic()> emitError,
                                          Type storage, ArrayRef<int64_t> shape, bool symmetric,
                                          bool perChannel, int64_t axis, int64_t groupSize,
                                          int64_t bits, Type element, Type scale, Type zeroPoint,
                                          Packing packing) {
  // (QT-1)
  if (!storage.isSignlessInteger() || storage.getIntOrFloatBitWidth() < 2 ||
      storage.getIntOrFloatBitWidth() > 8)
    return emitError() << "expected the storage type to be i2 to i8, but got " << storage;
  // (QT-2)
  int64_t width = storage.getIntOrFloatBitWidth();
  if (bits < 2 || bits > width)
    return emitError() << "expected the bits of a code to be in 2.." << width
                       << ", the width of the storage type, but got " << bits;
  // (QT-3)
  if (shape.empty())
    return emitError() << "expected a shape of at least one dimension";
  for (int64_t size : shape)
    if (!ShapedType::isDynamic(size) && size < 1)
      return emitError() << "expected dimensions to be positive, but got " << size;
  if (failed(verifyGranularity(emitError, shape, perChannel, axis, groupSize)))
    return failure();
  // (QT-7)
  for (auto [name, type] : {std::pair("element", element), {"scale", scale}})
    if (!isComputeFloat(type))
      return emitError() << "expected '" << name << "' to be f32, f16 or bf16, but got " << type;
  // (QT-8)
  if (symmetric && zeroPoint)
    return emitError() << "expected no 'zero_point' for a symmetric type, but got " << zeroPoint;
  // (QT-9)
  if (!symmetric && zeroPoint != storage && (!zeroPoint || !isComputeFloat(zeroPoint)))
    return emitError() << "expected 'zero_point' to be f32, f16, bf16 or the storage type "
                       << storage << ", but got " << zeroPoint;
  // (QT-10)
  if (packing == Packing::Halves && (bits > 4 || groupSize == -1 || groupSize % 2 != 0))
    return emitError() << "expected 'packing' = halves only for codes of at most 4 bits in groups "
                          "of even size, but got "
                       << bits << " bits and group size " << groupSize;
  return success();
}
