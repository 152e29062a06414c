// What the builders of all architecture families share: declaring weights in the order of their
// use, and opening and closing the ragged step function. Knows no architecture.

#ifndef LLMIR_LIB_IMPORT_MODELBUILDER_H
#define LLMIR_LIB_IMPORT_MODELBUILDER_H

#include "CheckpointReader.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Import/GGUFImport.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace mlir::llm {

/// What the module and the signature of its step are made from.
struct StepSignature {
  StringRef name;
  StringRef architecture;
  int64_t vocabularySize;
  int64_t maxSequenceLength;
  PagedKVCacheType cacheType;
  bool takesTreeMasks = false;
};

/// A module under construction: the weights declared so far, and the body of its step.
class ModelBuilder {
public:
  ModelBuilder(CheckpointReader &reader, const StepSignature &signature);

  /// Declares the checkpoint tensor `name` as a weight. Matrices are [rows, columns] = [output
  /// features, input features].
  FailureOr<FlatSymbolRefAttr> declareMatrix(const Twine &name, int64_t rows, int64_t columns);
  FailureOr<FlatSymbolRefAttr> declareVector(const Twine &name, int64_t elements);
  /// The vector `name` if the checkpoint has it, otherwise a null attribute.
  FailureOr<FlatSymbolRefAttr> declareOptionalVector(const Twine &name, int64_t elements);

  /// A linear projection by the tensor `name`.weight, with the bias `name`.bias if there is one.
  FailureOr<Value> linear(const Twine &valueName, Value input, const Twine &name, int64_t inputs,
                          ArrayRef<int64_t> outputShape);

  /// Returns `logits` and the cache from the step and gives the module away, if it verifies.
  FailureOr<OwningOpRef<ModuleOp>> finish(Value logits, Value cache);

  /// The builder of the step's body.
  OpBuilder &body() { return bodyBuilder; }
  /// The location that gives a value its readable name.
  Location location(const Twine &valueName);
  /// tensor<?x...xf32>: one entry of the given shape for each token.
  RankedTensorType activationType(ArrayRef<int64_t> shape);

  Value getTokens() { return step.getArgument(1); }
  Value getPositions() { return step.getArgument(2); }
  Value getCuLengths() { return step.getArgument(3); }
  Value getContextLengths() { return step.getArgument(4); }
  Value getCache() { return step.getArgument(5); }
  Value getSlots() { return step.getArgument(6); }
  Value getTable() { return step.getArgument(7); }
  /// Null: the step takes none.
  Value getTreeMask() { return step.getNumArguments() > 9 ? step.getArgument(8) : Value(); }
  Value getRows() { return step.getArguments().back(); }

private:
  FlatSymbolRefAttr declare(StringRef name, Type type);
  void createStep(const StepSignature &signature);

  CheckpointReader &reader;
  OwningOpRef<ModuleOp> module;
  func::FuncOp step;
  OpBuilder weightBuilder;
  OpBuilder bodyBuilder;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_IMPORT_MODELBUILDER_H
