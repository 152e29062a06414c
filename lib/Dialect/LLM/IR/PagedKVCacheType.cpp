// The paged KV cache's type: parsing, printing, verification, and the layout that follows from it.

#include "TypeHelpers.h"

#include <array>

using namespace mlir;
using namespace mlir::llm;

using EmitError = function_ref<InFlightDiagnostic()>;

static std::optional<llmir_element_type> getABIElementType(Type type) {
  if (type.isF32())
    return LLMIR_F32;
  if (type.isF16())
    return LLMIR_F16;
  if (type.isBF16())
    return LLMIR_BF16;
  if (isa<Float8E4M3FNType>(type))
    return LLMIR_F8E4M3FN;
  if (isa<Float8E5M2Type>(type))
    return LLMIR_F8E5M2;
  if (type.isSignlessInteger(8))
    return LLMIR_I8;
  if (type.isSignlessInteger(4))
    return LLMIR_I4;
  return std::nullopt;
}

PagedKVCacheParameters PagedKVCacheParameters::get(Type elementType, int64_t numLayers,
                                                   int64_t numKVHeads, int64_t headDim,
                                                   int64_t blockSize, int64_t maxSeqLen) {
  return {elementType,
          numLayers,
          numKVHeads,
          headDim,
          blockSize,
          maxSeqLen,
          /*keyStorage=*/elementType,
          /*valueStorage=*/elementType,
          /*valueHeadDim=*/headDim,
          ScaleGranularity::None,
          ScaleGranularity::None,
          /*keyScaleGroup=*/0,
          /*valueScaleGroup=*/0,
          Float32Type::get(elementType.getContext()),
          CacheArrangement::ChannelMajor,
          /*window=*/0,
          /*numSinks=*/0};
}

PagedKVCacheParameters PagedKVCacheType::getParameters() const {
  return {getElementType(),     getNumLayers(), getNumKVHeads(),  getHeadDim(),
          getBlockSize(),       getMaxSeqLen(), getKeyStorage(),  getValueStorage(),
          getValueHeadDim(),    getKeyScales(), getValueScales(), getKeyScaleGroup(),
          getValueScaleGroup(), getScaleType(), getArrangement(), getWindow(),
          getNumSinks()};
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

/// Parses the value of the named parameter `name` into `p`; nothing if there is none of that name.
static std::optional<ParseResult> parseNamedValue(AsmParser &parser, StringRef name,
                                                  PagedKVCacheParameters &p) {
  Type *types[] = {&p.keyStorage, &p.valueStorage, &p.scaleType};
  StringLiteral typeNames[] = {"key_storage", "value_storage", "scale"};
  for (auto [type, typeName] : llvm::zip_equal(types, typeNames))
    if (name == typeName)
      return parser.parseType(*type);
  int64_t *integers[] = {&p.valueHeadDim, &p.keyScaleGroup, &p.valueScaleGroup, &p.window,
                         &p.numSinks};
  StringLiteral integerNames[] = {"value_head_dim", "key_scale_group", "value_scale_group",
                                  "window", "sinks"};
  for (auto [integer, integerName] : llvm::zip_equal(integers, integerNames))
    if (name == integerName)
      return parser.parseInteger(*integer);
  if (name == "key_scales")
    return parseEnumerator(parser, p.keyScales);
  if (name == "value_scales")
    return parseEnumerator(parser, p.valueScales);
  if (name == "layout")
    return parseEnumerator(parser, p.arrangement);
  return std::nullopt;
}

Type PagedKVCacheType::parse(AsmParser &parser) {
  SMLoc location = parser.getCurrentLocation();
  Type element;
  int64_t layers, heads, headDim, blockSize, maxSeqLen;
  if (parser.parseLess() || parser.parseType(element) || parser.parseComma() ||
      parser.parseInteger(layers) || parser.parseComma() || parser.parseInteger(heads) ||
      parser.parseComma() || parser.parseInteger(headDim) || parser.parseComma() ||
      parser.parseInteger(blockSize) || parser.parseComma() || parser.parseInteger(maxSeqLen))
    return {};
  auto p = PagedKVCacheParameters::get(element, layers, heads, headDim, blockSize, maxSeqLen);
  if (parseNamedParameters(parser,
                           "'key_storage', 'value_storage', 'value_head_dim', 'key_scales', "
                           "'value_scales', 'key_scale_group', 'value_scale_group', 'scale', "
                           "'layout', 'window', 'sinks'",
                           [&](StringRef name) { return parseNamedValue(parser, name, p); }) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(location); }, parser.getContext(), p);
}

void PagedKVCacheType::print(AsmPrinter &printer) const {
  printer << '<' << getElementType() << ", " << getNumLayers() << ", " << getNumKVHeads() << ", "
          << getHeadDim() << ", " << getBlockSize() << ", " << getMaxSeqLen();
  auto print = [&](StringRef name, const auto &value, const auto &unless) {
    if (value != unless)
      printer << ", " << name << " = " << value;
  };
  auto printWord = [&](StringRef name, auto value) {
    print(name, stringifyEnum(value), stringifyEnum(decltype(value)(0)));
  };
  print("key_storage", getKeyStorage(), getElementType());
  print("value_storage", getValueStorage(), getElementType());
  print("value_head_dim", getValueHeadDim(), getHeadDim());
  printWord("key_scales", getKeyScales());
  printWord("value_scales", getValueScales());
  print("key_scale_group", getKeyScaleGroup(), 0);
  print("value_scale_group", getValueScaleGroup(), 0);
  print("scale", getScaleType(), Type(Float32Type::get(getContext())));
  printWord("layout", getArrangement());
  print("window", getWindow(), 0);
  print("sinks", getNumSinks(), 0);
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

/// Whether blocks hold scales; those of a tensor or a head are constants elsewhere.
static bool hasStoredScales(const PagedKVCacheParameters &p) {
  return llvm::any_of(std::array{p.keyScales, p.valueScales}, [](ScaleGranularity granularity) {
    return granularity == ScaleGranularity::Token || granularity == ScaleGranularity::Group;
  });
}

/// The layout of a cache whose parameters are verified.
static llmir_cache_layout makeLayout(const PagedKVCacheParameters &p) {
  llmir_cache_layout layout = {};
  layout.key_type = *getABIElementType(p.keyStorage);
  layout.value_type = *getABIElementType(p.valueStorage);
  layout.num_layers = static_cast<int32_t>(p.numLayers);
  layout.num_kv_heads = static_cast<int32_t>(p.numKVHeads);
  layout.key_head_dim = static_cast<int32_t>(p.headDim);
  layout.value_head_dim = static_cast<int32_t>(p.valueHeadDim);
  layout.block_size = static_cast<int32_t>(p.blockSize);
  layout.max_seq_len = static_cast<int32_t>(p.maxSeqLen);
  layout.arrangement = static_cast<uint32_t>(p.arrangement);
  layout.key_scale_granularity = static_cast<uint32_t>(p.keyScales);
  layout.value_scale_granularity = static_cast<uint32_t>(p.valueScales);
  layout.scale_type = hasStoredScales(p) ? *getABIElementType(p.scaleType) : 0;
  layout.key_scale_group = static_cast<int32_t>(p.keyScaleGroup);
  layout.value_scale_group = static_cast<int32_t>(p.valueScaleGroup);
  layout.window = static_cast<int32_t>(p.window);
  layout.num_sinks = static_cast<int32_t>(p.numSinks);
  llmir_cache_layout_init(&layout);
  return layout;
}

llmir_cache_layout PagedKVCacheType::getLayout() const { return makeLayout(getParameters()); }

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// Checks that `value` is in [1, max].
static LogicalResult verifyRange(EmitError emitError, StringRef name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max)
    return success();
  return emitError() << "expected " << name << " to be in 1.." << max << ", but got " << value;
}

namespace {

/// Keys or values of a cache: what the parameters say about one of the two.
struct CacheSide {
  StringRef name; ///< "key" or "value", as the parameters are called
  Type storage;
  int64_t headDim;
  ScaleGranularity scales;
  int64_t group;
};

} // namespace

static LogicalResult verifySide(EmitError emitError, const CacheSide &side) {
  // (KVT-5)
  if (!getABIElementType(side.storage))
    return emitError() << "expected '" << side.name << "_storage' to be f32, f16, bf16, f8E4M3FN, "
                       << "f8E5M2, i8 or i4, but got " << side.storage;
  bool hasScales = side.scales != ScaleGranularity::None;
  // (KVT-6)
  if (isa<IntegerType>(side.storage) && !hasScales)
    return emitError() << "expected '" << side.name << "_scales' for '" << side.name
                       << "_storage' = " << side.storage << ", whose codes mean nothing without";
  // (KVT-7)
  if (isComputeFloat(side.storage) && hasScales)
    return emitError() << "expected no '" << side.name << "_scales' for '" << side.name
                       << "_storage' = " << side.storage << ", but got "
                       << stringifyEnum(side.scales);
  // (KVT-9)
  bool isI4 = side.storage.isInteger(4);
  if (isI4 && side.headDim % 2 != 0)
    return emitError() << "expected an even number of channels for '" << side.name
                       << "_storage' = i4, but got " << side.headDim;
  // (KVT-10)
  bool hasGroups = side.scales == ScaleGranularity::Group;
  if (hasGroups != (side.group != 0))
    return emitError() << "expected '" << side.name << "_scale_group' with '" << side.name
                       << "_scales' = group and only then, but got " << side.group << " with "
                       << stringifyEnum(side.scales);
  // (KVT-11) The two channels of a byte of i4 are half a head apart; groups do not cross that.
  int64_t divided = isI4 ? side.headDim / 2 : side.headDim;
  if (hasGroups && (side.group < 1 || divided % side.group != 0))
    return emitError() << "expected '" << side.name << "_scale_group' to divide "
                       << (isI4 ? "half the channels, " : "the channels, ") << divided
                       << ", but got " << side.group;
  return success();
}

/// What keys and values have to have in common, and what restricts attention.
static LogicalResult verifyArrangementAndWindow(EmitError emitError,
                                                const PagedKVCacheParameters &p) {
  // (KVT-12)
  if (!isComputeFloat(p.scaleType))
    return emitError() << "expected 'scale' to be f32, f16 or bf16, but got " << p.scaleType;
  // (KVT-13)
  if (!hasStoredScales(p) && !p.scaleType.isF32())
    return emitError() << "expected a 'scale' other than f32 only with scales of a token or group, "
                          "which are stored, but got "
                       << p.scaleType;
  if (p.arrangement == CacheArrangement::Pairs) {
    // (KVT-14)
    if (!p.keyStorage.isBF16() || !p.valueStorage.isBF16())
      return emitError() << "expected keys and values stored as bf16 for 'layout' = pairs, but got "
                         << p.keyStorage << " and " << p.valueStorage;
    // (KVT-15)
    if (p.headDim % 2 != 0 || p.valueHeadDim % 2 != 0 || p.blockSize % 2 != 0)
      return emitError() << "expected even head sizes and block size for 'layout' = pairs, but got "
                         << p.headDim << ", " << p.valueHeadDim << " and " << p.blockSize;
  }
  // (KVT-16)
  if (p.window < 0 || p.numSinks < 0)
    return emitError() << "expected 'window' and 'sinks' not to be negative, but got " << p.window
                       << " and " << p.numSinks;
  // (KVT-17)
  if (p.numSinks > 0 && p.window == 0)
    return emitError() << "expected 'sinks' only with a 'window', but got " << p.numSinks;
  // (KVT-18)
  if (p.window > p.maxSeqLen || p.numSinks > p.maxSeqLen - p.window)
    return emitError() << "expected 'window' and 'sinks' to be at most the longest sequence "
                       << p.maxSeqLen << " together, but got " << p.window << " and " << p.numSinks;
  return success();
}

LogicalResult PagedKVCacheType::verify(EmitError emitError, Type element, int64_t layers,
                                       int64_t heads, int64_t headDim, int64_t blockSize,
                                       int64_t maxSeqLen, Type keyStorage, Type valueStorage,
                                       int64_t valueHeadDim, ScaleGranularity keyScales,
                                       ScaleGranularity valueScales, int64_t keyScaleGroup,
                                       int64_t valueScaleGroup, Type scaleType,
                                       CacheArrangement arrangement, int64_t window,
                                       int64_t numSinks) {
  // (KVT-1)
  if (!isComputeFloat(element))
    return emitError() << "expected the element type to be f32, f16 or bf16, but got " << element;
  // (KVT-2)
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max() / 2;
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
  PagedKVCacheParameters p = {
      element,         layers,       heads,        headDim,   blockSize,   maxSeqLen,
      keyStorage,      valueStorage, valueHeadDim, keyScales, valueScales, keyScaleGroup,
      valueScaleGroup, scaleType,    arrangement,  window,    numSinks};
  if (failed(verifySide(emitError, {"key", keyStorage, headDim, keyScales, keyScaleGroup})) ||
      failed(verifySide(emitError,
                        {"value", valueStorage, valueHeadDim, valueScales, valueScaleGroup})) ||
      failed(verifyArrangementAndWindow(emitError, p)))
    return failure();
  // (KVT-8)
  constexpr int64_t kMaxBlockBytes = int64_t(1) << 30;
  int64_t blockBytes = makeLayout(p).block_stride;
  if (blockBytes > kMaxBlockBytes)
    return emitError() << "expected a block of all layers to be at most " << kMaxBlockBytes
                       << " bytes, but got " << blockBytes;
  return success();
}
