// Declares weights and frames the step function; see ModelBuilder.h.

#include "ModelBuilder.h"

#include "mlir/IR/Verifier.h"

namespace mlir::llm {

ModelBuilder::ModelBuilder(CheckpointReader &reader, const StepSignature &signature)
    : reader(reader), module(ModuleOp::create(reader.getLoc())), weightBuilder(reader.getContext()),
      bodyBuilder(reader.getContext()) {
  createStep(signature);
}

void ModelBuilder::createStep(const StepSignature &signature) {
  OpBuilder builder(module->getBodyRegion());
  ModuleOp op = *module;
  op->setAttr("llm.name", builder.getStringAttr(signature.name));
  op->setAttr("llm.architecture", builder.getStringAttr(signature.architecture));
  op->setAttr("llm.vocabulary_size", builder.getI64IntegerAttr(signature.vocabularySize));
  op->setAttr("llm.max_sequence_length", builder.getI64IntegerAttr(signature.maxSequenceLength));

  Type list = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  Type table =
      RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic}, builder.getI32Type());
  Type cache = signature.cacheType;
  Type context = StepContextType::get(builder.getContext());
  // The order is that of the accessors in ModelBuilder.h.
  SmallVector<std::pair<StringRef, Type>> arguments = {
      {"context", context},      {"tokens", list}, {"positions", list}, {"cu_lengths", list},
      {"context_lengths", list}, {"cache", cache}, {"slots", list},     {"table", table}};
  if (signature.takesTreeMasks)
    arguments.push_back(
        {"tree_mask", RankedTensorType::get({ShapedType::kDynamic}, builder.getI64Type())});
  arguments.push_back({"rows", list});
  SmallVector<Type> types;
  SmallVector<Location> locations;
  for (auto [name, type] : arguments) {
    types.push_back(type);
    locations.push_back(location(name));
  }
  auto functionType =
      builder.getFunctionType(types, {activationType({signature.vocabularySize}), cache});
  step = func::FuncOp::create(builder, reader.getLoc(), "step", functionType);
  step->setAttr("llm.step", builder.getUnitAttr());
  Block *entry = builder.createBlock(&step.getBody(), {}, types, locations);
  bodyBuilder.setInsertionPointToEnd(entry);
  weightBuilder.setInsertionPoint(step);
}

FlatSymbolRefAttr ModelBuilder::declare(StringRef name, Type type) {
  auto weight = WeightOp::create(weightBuilder, location(name), name, type);
  return FlatSymbolRefAttr::get(weight.getSymNameAttr());
}

FailureOr<FlatSymbolRefAttr> ModelBuilder::declareMatrix(const Twine &name, int64_t rows,
                                                         int64_t columns) {
  std::string tensor = name.str();
  FailureOr<Type> type = reader.getMatrixType(tensor, rows, columns);
  if (failed(type))
    return failure();
  return declare(tensor, *type);
}

FailureOr<FlatSymbolRefAttr> ModelBuilder::declareVector(const Twine &name, int64_t elements) {
  std::string tensor = name.str();
  FailureOr<Type> type = reader.getVectorType(tensor, elements);
  if (failed(type))
    return failure();
  return declare(tensor, *type);
}

FailureOr<FlatSymbolRefAttr> ModelBuilder::declareOptionalVector(const Twine &name,
                                                                 int64_t elements) {
  if (!reader.hasTensor(name.str()))
    return FlatSymbolRefAttr();
  return declareVector(name, elements);
}

FailureOr<Value> ModelBuilder::linear(const Twine &valueName, Value input, const Twine &name,
                                      int64_t inputs, ArrayRef<int64_t> outputShape) {
  int64_t outputs = ShapedType::getNumElements(outputShape);
  FailureOr<FlatSymbolRefAttr> weight = declareMatrix(name + ".weight", outputs, inputs);
  if (failed(weight))
    return failure();
  FailureOr<FlatSymbolRefAttr> bias = declareOptionalVector(name + ".bias", outputs);
  if (failed(bias))
    return failure();
  auto op = LinearOp::create(bodyBuilder, location(valueName), activationType(outputShape), input,
                             *weight);
  if (*bias)
    op.setBiasAttr(*bias);
  return Value(op.getOutputs().front());
}

FailureOr<OwningOpRef<ModuleOp>> ModelBuilder::finish(Value logits, Value cache) {
  func::ReturnOp::create(bodyBuilder, reader.getLoc(), ValueRange{logits, cache});
  if (failed(verify(*module)))
    return failure();
  return std::move(module);
}

Location ModelBuilder::location(const Twine &valueName) {
  return NameLoc::get(StringAttr::get(reader.getContext(), valueName), reader.getLoc());
}

RankedTensorType ModelBuilder::activationType(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> full{ShapedType::kDynamic};
  llvm::append_range(full, shape);
  return RankedTensorType::get(full, Float32Type::get(reader.getContext()));
}

} // namespace mlir::llm
