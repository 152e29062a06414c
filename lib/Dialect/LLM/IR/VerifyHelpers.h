// Checks that several op families' verifiers share. Private to the dialect library.

#ifndef LLMIR_LIB_DIALECT_LLM_IR_VERIFYHELPERS_H
#define LLMIR_LIB_DIALECT_LLM_IR_VERIFYHELPERS_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"

namespace mlir::llm {

/// Whether two dimension sizes may be the same number: equal, or one of them dynamic.
inline bool mayBeEqual(int64_t a, int64_t b) {
  return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b);
}

/// A tensor if `form` is one, otherwise a buffer without gaps.
ShapedType makeLike(ShapedType form, ArrayRef<int64_t> shape, Type element);

/// Checks that dimension `dim` of `name` has size `expected`, which is `what`.
LogicalResult verifyDim(Operation *op, StringRef name, Value value, int64_t dim, int64_t expected,
                        StringRef what);

/// The weight that `op` refers to as `role`; emits an error and returns null if there is none.
WeightOp lookupWeightOrEmit(Operation *op, StringRef role, FlatSymbolRefAttr name,
                            SymbolTableCollection &symbolTable);

/// As above, and checks that it is a vector of `size` elements.
LogicalResult verifyVector(Operation *op, StringRef role, FlatSymbolRefAttr name, int64_t size,
                           SymbolTableCollection &symbolTable);

/// As above for a matrix with `cols` columns; null if it is not.
WeightOp lookupMatrixOrEmit(Operation *op, StringRef role, FlatSymbolRefAttr name, int64_t cols,
                            SymbolTableCollection &symbolTable);

/// Checks a fused norm: weight and epsilon both or neither, epsilon not negative.
LogicalResult verifyFusedNorm(Operation *op, FlatSymbolRefAttr weight, FloatAttr epsilon);

/// Checks the type to which activations of `features` features are converted.
LogicalResult verifyActivationType(Operation *op, std::optional<Type> type, int64_t features);

/// Checks that `layer` is one of the cache's, and is not given both ways.
LogicalResult verifyLayer(Operation *op, PagedKVCacheType cache, int32_t layer, Value layerIndex);

/// Checks that a block table is no wider than the cache's longest sequence needs.
LogicalResult verifyTableWidth(Operation *op, Value table, PagedKVCacheType cache);

/// How `rope` and what contains it rotate heads.
struct Rotation {
  int64_t rotaryDim;
  APFloat theta;
  RopeScalingAttr scaling;            ///< or null
  FlatSymbolRefAttr frequencyFactors; ///< or null
  Value positions;
};
/// Checks a rotation and the inputs that it is of, which the op calls `name`.
LogicalResult verifyRotation(Operation *op, const Rotation &rotation, StringRef name,
                             ValueRange inputs);

/// What changes the scores of attention, as dense and paged attention have it.
struct ScoreModifiers {
  int64_t numHeads; ///< of the query
  Value sinkLogits; ///< or null
  std::optional<int32_t> window;
  std::optional<int32_t> numSinks;
  std::optional<APFloat> softCap;
  std::optional<ArrayRef<float>> alibiSlopes;
};
LogicalResult verifyScoreModifiers(Operation *op, const ScoreModifiers &modifiers);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_IR_VERIFYHELPERS_H
