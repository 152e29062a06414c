// Registration of the `llm` dialect's types, what their parsers share, and sharded tensors. The
// paged cache and quantised tensors have files of their own.

#include "TypeHelpers.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "mlir/IR/Builders.h"
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

bool llm::isComputeFloat(Type type) { return type.isF32() || type.isF16() || type.isBF16(); }

ParseResult
llm::parseNamedParameters(AsmParser &parser, StringRef known,
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
