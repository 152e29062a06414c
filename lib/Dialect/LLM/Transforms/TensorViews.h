// Makes tensors of the dimensions that a view's atoms are to have: transpositions, reshapes and
// broadcasts, and none of them where the tensor is as it should be.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSORVIEWS_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSORVIEWS_H

#include "TensorExpressions.h"

#include "mlir/IR/Builders.h"

namespace mlir::llm {

/// A tensor whose dimension i is the product of the atoms `dims[i]` (1 where there are none), with
/// the elements of `view`; repeated along atoms that the view lacks, of which the size must be
/// known.
Value materializeView(OpBuilder &builder, Location loc, const IterationSpace &space,
                      const TensorView &view, ArrayRef<AtomList> dims);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSORVIEWS_H
