// Typed access to a GGUF file with MLIR diagnostics; see CheckpointReader.h.

#include "CheckpointReader.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"

#include <cmath>
#include <limits>

using ::llmir::GGUFTensor;
using ::llmir::GGUFType;
using ::llmir::StatusOr;

namespace mlir::llm {

static std::string_view toView(StringRef text) { return {text.data(), text.size()}; }

CheckpointReader::CheckpointReader(MLIRContext *context, const ::llmir::GGUFFile &file)
    : context(context), file(file), loc(FileLineColLoc::get(context, file.path(), 0, 0)) {}

InFlightDiagnostic CheckpointReader::emitError() const {
  return mlir::emitError(UnknownLoc::get(context)) << file.path() << ": ";
}

/// The value of a lookup that found its key, or its reason as a diagnostic.
template <typename T, typename U>
static FailureOr<std::optional<T>> convert(const CheckpointReader &reader, StatusOr<U> value) {
  if (value)
    return std::optional<T>(*value);
  reader.emitError(value.status());
  return failure();
}

void CheckpointReader::emitError(const ::llmir::Status &status) const {
  // The reader's own messages may name the file already.
  StringRef message = status.message();
  message.consume_front(file.path() + ": ");
  emitError() << message;
}

FailureOr<std::optional<int64_t>> CheckpointReader::findInteger(StringRef key) const {
  if (!file.has(toView(key)))
    return std::optional<int64_t>();
  StatusOr<uint64_t> value = file.getUInt(toView(key));
  if (value && *value > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    emitError() << "expected '" << key << "' to be below 2^31, but got " << *value;
    return failure();
  }
  return convert<int64_t>(*this, std::move(value));
}

FailureOr<std::optional<double>> CheckpointReader::findFloat(StringRef key) const {
  if (!file.has(toView(key)))
    return std::optional<double>();
  return convert<double>(*this, file.getFloat(toView(key)));
}

FailureOr<std::optional<std::string>> CheckpointReader::findString(StringRef key) const {
  if (!file.has(toView(key)))
    return std::optional<std::string>();
  return convert<std::string>(*this, file.getString(toView(key)));
}

std::optional<int64_t> CheckpointReader::findArrayLength(StringRef key) const {
  const ::llmir::GGUFValue *value = file.findValue(toView(key));
  if (!value || !value->isArray)
    return std::nullopt;
  return static_cast<int64_t>(value->count);
}

FailureOr<int64_t> CheckpointReader::getPositiveInteger(StringRef key) const {
  FailureOr<std::optional<int64_t>> value = findInteger(key);
  if (failed(value))
    return failure();
  if (!*value) {
    emitError() << "expected metadata '" << key << "', but it is missing";
    return failure();
  }
  if (**value < 1) {
    emitError() << "expected '" << key << "' to be positive, but got " << **value;
    return failure();
  }
  return **value;
}

FailureOr<double> CheckpointReader::getPositiveFloat(StringRef key) const {
  FailureOr<std::optional<double>> value = findFloat(key);
  if (failed(value))
    return failure();
  if (!*value) {
    emitError() << "expected metadata '" << key << "', but it is missing";
    return failure();
  }
  if (!(**value > 0.0) || !std::isfinite(**value)) {
    emitError() << "expected '" << key << "' to be positive, but got " << **value;
    return failure();
  }
  return **value;
}

bool CheckpointReader::hasTensor(StringRef name) const {
  return file.findTensor(toView(name)) != nullptr;
}

FailureOr<SmallVector<int64_t>> CheckpointReader::getShape(StringRef name) const {
  const GGUFTensor *tensor = file.findTensor(toView(name));
  if (!tensor) {
    emitError() << "expected tensor '" << name << "', but it is missing";
    return failure();
  }
  return SmallVector<int64_t>(tensor->shape.begin(), tensor->shape.end());
}

static std::string formatShape(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << '[';
  llvm::interleaveComma(shape, os);
  os << ']';
  return text;
}

FailureOr<const GGUFTensor *> CheckpointReader::checkTensor(StringRef name,
                                                            ArrayRef<int64_t> shape) {
  FailureOr<SmallVector<int64_t>> actual = getShape(name);
  if (failed(actual))
    return failure();
  if (ArrayRef(*actual) != shape) {
    emitError() << "expected tensor '" << name << "' to have shape " << formatShape(shape)
                << ", but got " << formatShape(*actual);
    return failure();
  }
  used.insert(name);
  return file.findTensor(toView(name));
}

/// A matrix of codes in groups of 32 along its columns, with f16 scales.
static Type getGroupedType(MLIRContext *context, ArrayRef<int64_t> shape, unsigned bits,
                           bool hasMinimum) {
  Type half = Float16Type::get(context);
  return QuantizedTensorType::get(context, IntegerType::get(context, bits), shape,
                                  /*symmetric=*/!hasMinimum, /*perChannel=*/true, /*axis=*/1,
                                  /*groupSize=*/32, bits, Float32Type::get(context), half,
                                  hasMinimum ? half : Type(), Packing::Dense);
}

FailureOr<Type> CheckpointReader::getMatrixType(StringRef name, int64_t rows, int64_t columns) {
  int64_t shape[] = {rows, columns};
  FailureOr<const GGUFTensor *> tensor = checkTensor(name, shape);
  if (failed(tensor))
    return failure();
  switch ((*tensor)->type) {
  case GGUFType::F32:
    return Type(RankedTensorType::get(shape, Float32Type::get(context)));
  case GGUFType::F16:
    return Type(RankedTensorType::get(shape, Float16Type::get(context)));
  case GGUFType::BF16:
    return Type(RankedTensorType::get(shape, BFloat16Type::get(context)));
  case GGUFType::Q8_0:
    return getGroupedType(context, shape, 8, /*hasMinimum=*/false);
  case GGUFType::Q4_0:
    return getGroupedType(context, shape, 4, /*hasMinimum=*/false);
  case GGUFType::Q4_1:
    return getGroupedType(context, shape, 4, /*hasMinimum=*/true);
  default:
    emitError() << "expected tensor '" << name
                << "' to be f32, f16, bf16, q8_0, q4_0 or q4_1, but got "
                << ::llmir::describe((*tensor)->type).name;
    return failure();
  }
}

FailureOr<Type> CheckpointReader::getVectorType(StringRef name, int64_t elements) {
  FailureOr<const GGUFTensor *> tensor = checkTensor(name, elements);
  if (failed(tensor))
    return failure();
  if ((*tensor)->type != GGUFType::F32) {
    emitError() << "expected tensor '" << name << "' to be f32, but got "
                << ::llmir::describe((*tensor)->type).name;
    return failure();
  }
  return Type(RankedTensorType::get({elements}, Float32Type::get(context)));
}

LogicalResult CheckpointReader::checkAllTensorsUsed() const {
  for (const GGUFTensor &tensor : file.tensors())
    if (!used.contains(tensor.name))
      return emitError() << "unexpected tensor '" << tensor.name
                         << "': the architecture does not use it";
  return success();
}

} // namespace mlir::llm
