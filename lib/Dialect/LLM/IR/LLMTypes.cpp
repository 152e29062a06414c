// Parsing, printing and verification of the `llm` dialect's types, and the layout of a cache.

#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_TYPEDEF_CLASSES
#include "llmir/Dialect/LLM/IR/LLMTypes.cpp.inc"

void LLMDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "llmir/Dialect/LLM/IR/LLMTypes.cpp.inc"
      >();
}

/// Parses `, name = value` any number of times. `parseValue` parses the value of a name that it
/// knows, and returns nothing for a name that it does not.
static ParseResult
parseNamedParameters(AsmParser &parser, StringRef known,
                     function_ref<std::optional<ParseResult>(StringRef)> parseValue) {
  llvm::StringSet<> seen;
  while (succeeded(parser.parseOptionalComma())) {
    StringRef name;
    SMLoc location = parser.getCurrentLocation();
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return failure();
    // (TYP-2)
    if (!seen.insert(name).second)
      return parser.emitError(location, "parameter '") << name << "' is given twice";
    std::optional<ParseResult> result = parseValue(name);
    // (TYP-1)
    if (!result)
      return parser.emitError(location, "expected one of ")
             << known << ", but got '" << name << "'";
    if (failed(*result))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// PagedKVCacheType
//===----------------------------------------------------------------------===//

Type PagedKVCacheType::parse(AsmParser &parser) {
  SMLoc location = parser.getCurrentLocation();
  Type element, keyStorage, valueStorage;
  int64_t layers, heads, headDim, blockSize, maxSeqLen, valueHeadDim;
  if (parser.parseLess() || parser.parseType(element) || parser.parseComma() ||
      parser.parseInteger(layers) || parser.parseComma() || parser.parseInteger(heads) ||
      parser.parseComma() || parser.parseInteger(headDim) || parser.parseComma() ||
      parser.parseInteger(blockSize) || parser.parseComma() || parser.parseInteger(maxSeqLen))
    return {};
  keyStorage = valueStorage = element;
  valueHeadDim = headDim;
  auto parseValue = [&](StringRef name) -> std::optional<ParseResult> {
    if (name == "key_storage")
      return parser.parseType(keyStorage);
    if (name == "value_storage")
      return parser.parseType(valueStorage);
    if (name == "value_head_dim")
      return parser.parseInteger(valueHeadDim);
    return std::nullopt;
  };
  if (parseNamedParameters(parser, "'key_storage', 'value_storage', 'value_head_dim'",
                           parseValue) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(location); }, parser.getContext(), element,
                    layers, heads, headDim, blockSize, maxSeqLen, keyStorage, valueStorage,
                    valueHeadDim);
}

void PagedKVCacheType::print(AsmPrinter &printer) const {
  printer << '<' << getElementType() << ", " << getNumLayers() << ", " << getNumKVHeads() << ", "
          << getHeadDim() << ", " << getBlockSize() << ", " << getMaxSeqLen();
  if (getKeyStorage() != getElementType())
    printer << ", key_storage = " << getKeyStorage();
  if (getValueStorage() != getElementType())
    printer << ", value_storage = " << getValueStorage();
  if (getValueHeadDim() != getHeadDim())
    printer << ", value_head_dim = " << getValueHeadDim();
  printer << '>';
}

static std::optional<llmir_element_type> getABIElementType(Type type) {
  if (type.isF32())
    return LLMIR_F32;
  if (type.isF16())
    return LLMIR_F16;
  if (type.isBF16())
    return LLMIR_BF16;
  return std::nullopt;
}

/// Checks that `value` is in [1, max].
static LogicalResult verifyRange(function_ref<InFlightDiagnostic()> emitError, StringRef name,
                                 int64_t value, int64_t max) {
  if (value >= 1 && value <= max)
    return success();
  return emitError() << "expected " << name << " to be in 1.." << max << ", but got " << value;
}

/// The layout of a cache whose parameters are in range.
static llmir_cache_layout makeLayout(int64_t layers, int64_t heads, int64_t headDim,
                                     int64_t blockSize, int64_t maxSeqLen, Type keyStorage,
                                     Type valueStorage, int64_t valueHeadDim) {
  llmir_cache_layout layout = {};
  layout.key_type = *getABIElementType(keyStorage);
  layout.value_type = *getABIElementType(valueStorage);
  layout.num_layers = static_cast<int32_t>(layers);
  layout.num_kv_heads = static_cast<int32_t>(heads);
  layout.key_head_dim = static_cast<int32_t>(headDim);
  layout.value_head_dim = static_cast<int32_t>(valueHeadDim);
  layout.block_size = static_cast<int32_t>(blockSize);
  layout.max_seq_len = static_cast<int32_t>(maxSeqLen);
  llmir_cache_layout_init(&layout);
  return layout;
}

LogicalResult PagedKVCacheType::verify(function_ref<InFlightDiagnostic()> emitError, Type element,
                                       int64_t layers, int64_t heads, int64_t headDim,
                                       int64_t blockSize, int64_t maxSeqLen, Type keyStorage,
                                       Type valueStorage, int64_t valueHeadDim) {
  // (KVT-1)
  if (!getABIElementType(element))
    return emitError() << "expected the element type to be f32, f16 or bf16, but got " << element;
  // (KVT-2)
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  if (failed(verifyRange(emitError, "the number of layers", layers, 65536)) ||
      failed(verifyRange(emitError, "the number of KV heads", heads, 65536)) ||
      failed(verifyRange(emitError, "the head size", headDim, 65536)) ||
      failed(verifyRange(emitError, "'value_head_dim'", valueHeadDim, 65536)))
    return failure();
  // (KVT-3)
  if (failed(verifyRange(emitError, "the block size", blockSize, 256)))
    return failure();
  // (KVT-4)
  if (failed(verifyRange(emitError, "the longest sequence", maxSeqLen, kMax)))
    return failure();
  // (KVT-5)
  for (auto [name, type] : {std::pair("key_storage", keyStorage), {"value_storage", valueStorage}})
    if (!getABIElementType(type))
      return emitError() << "'" << name << "' = " << type << " cannot be lowered: expected f32, "
                         << "f16 or bf16, since kernels for scaled storage do not exist";
  // (KVT-6)
  if (keyStorage != valueStorage)
    return emitError() << "'key_storage' = " << keyStorage
                       << " with 'value_storage' = " << valueStorage
                       << " cannot be lowered: attention reads keys and values of one type";
  // (KVT-7)
  if (valueHeadDim != headDim)
    return emitError() << "'value_head_dim' = " << valueHeadDim << " with head size " << headDim
                       << " cannot be lowered: attention reads keys and values of one size";
  // (KVT-8)
  constexpr int64_t kMaxBlockBytes = int64_t(1) << 30;
  int64_t blockBytes = makeLayout(layers, heads, headDim, blockSize, maxSeqLen, keyStorage,
                                  valueStorage, valueHeadDim)
                           .block_stride;
  if (blockBytes > kMaxBlockBytes)
    return emitError() << "expected a block of all layers to be at most " << kMaxBlockBytes
                       << " bytes, but got " << blockBytes;
  return success();
}

llmir_cache_layout PagedKVCacheType::getLayout() const {
  return makeLayout(getNumLayers(), getNumKVHeads(), getHeadDim(), getBlockSize(), getMaxSeqLen(),
                    getKeyStorage(), getValueStorage(), getValueHeadDim());
}

//===----------------------------------------------------------------------===//
// QuantizedTensorType
//===----------------------------------------------------------------------===//

static ParseResult parseBool(AsmParser &parser, bool &value) {
  StringRef word;
  if (failed(parser.parseOptionalKeyword(&word, {"true", "false"})))
    return parser.emitError(parser.getCurrentLocation(), "expected 'true' or 'false'");
  value = word == "true";
  return success();
}

/// Parses `[16, ?]`.
static ParseResult parseShape(AsmParser &parser, SmallVectorImpl<int64_t> &shape) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    if (succeeded(parser.parseOptionalQuestion())) {
      shape.push_back(ShapedType::kDynamic);
      return ParseResult(success());
    }
    return parser.parseInteger(shape.emplace_back());
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
      parseShape(parser, shape) || parser.parseComma() || parseBool(parser, symmetric) ||
      parser.parseComma() || parseBool(parser, perChannel) || parser.parseComma() ||
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
    if (name != "packing")
      return std::nullopt;
    FailureOr<Packing> value = FieldParser<Packing>::parse(parser);
    if (succeeded(value))
      packing = *value;
    return ParseResult(value);
  };
  if (parseNamedParameters(parser, "'element', 'scale', 'zero_point', 'packing'", parseValue) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(location); }, parser.getContext(), storage, shape,
                    symmetric, perChannel, axis, groupSize, bits, element, scale, zeroPoint,
                    packing);
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
    if (!getABIElementType(type))
      return emitError() << "expected '" << name << "' to be f32, f16 or bf16, but got " << type;
  // (QT-8)
  if (symmetric && zeroPoint)
    return emitError() << "expected no 'zero_point' for a symmetric type, but got " << zeroPoint;
  // (QT-9)
  if (!symmetric && zeroPoint != storage && (!zeroPoint || !getABIElementType(zeroPoint)))
    return emitError() << "expected 'zero_point' to be f32, f16, bf16 or the storage type "
                       << storage << ", but got " << zeroPoint;
  // (QT-10)
  if (packing == Packing::Halves && (bits > 4 || groupSize == -1 || groupSize % 2 != 0))
    return emitError() << "expected 'packing' = halves only for codes of at most 4 bits in groups "
                          "of even size, but got "
                       << bits << " bits and group size " << groupSize;
  return success();
}

//===----------------------------------------------------------------------===//
// ShardedTensorType
//===----------------------------------------------------------------------===//

LogicalResult ShardedTensorType::verify(function_ref<InFlightDiagnostic()> emitError,
                                        RankedTensorType tensor, int64_t dimension,
                                        int64_t numShards, int64_t index) {
  // (ST-1)
  if (dimension < 0 || dimension >= tensor.getRank())
    return emitError() << "expected the dimension to be less than the rank " << tensor.getRank()
                       << ", but got " << dimension;
  // (ST-2)
  if (numShards < 1)
    return emitError() << "expected at least one shard, but got " << numShards;
  // (ST-3)
  if (!tensor.isDynamicDim(dimension) && tensor.getDimSize(dimension) % numShards != 0)
    return emitError() << "expected the number of shards to divide dimension " << dimension
                       << " of size " << tensor.getDimSize(dimension) << ", but got " << numShards;
  // (ST-4)
  if (index < 0 || index >= numShards)
    return emitError() << "expected the index to be less than the number of shards " << numShards
                       << ", but got " << index;
  return success();
}

RankedTensorType ShardedTensorType::getShardType() const {
  RankedTensorType tensor = getTensorType();
  SmallVector<int64_t> shape(tensor.getShape());
  int64_t &size = shape[getDimension()];
  if (!ShapedType::isDynamic(size))
    size /= getNumShards();
  return tensor.clone(shape);
}
