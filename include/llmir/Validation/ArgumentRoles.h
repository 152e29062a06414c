// What the arguments of a function are for, found out from the ops that use them: which of its
// integers are lengths, slots or block ids, and which of its sizes count tokens or sequences.
// Inputs that are made up have to agree in all of that, or nothing runs.

#ifndef LLMIR_VALIDATION_ARGUMENTROLES_H
#define LLMIR_VALIDATION_ARGUMENTROLES_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <optional>

namespace mlir::llm {

/// What the numbers of an argument mean.
enum class NumberRole {
  Any,            ///< Numbers without a meaning, or an argument that nothing uses.
  Tokens,         ///< Ids below a limit.
  Positions,      ///< Of a step's tokens.
  CuLengths,      ///< Of a step's tokens.
  CuKeyLengths,   ///< Of keys that are tensors.
  KeyLengths,     ///< Of padded keys that are tensors.
  ContextLengths, ///< This step's tokens included.
  Slots,          ///< Of this step's tokens in a cache.
  Table,          ///< Blocks of the sequences in a cache.
  Rows,           ///< Some of the step's tokens.
  SequenceIds,    ///< That the cache may know.
  Children,       ///< Ids that it does not.
  ShorterLengths, ///< At most what sequences have.
  Drafted,        ///< Of the last tokens of sequences.
  Accepted,       ///< Of the drafted ones.
  Path,           ///< The accepted ones.
  TreeMask,       ///< Of the step's tokens.
  Parents,        ///< Of drafts in a tree.
  Uniforms,       ///< In [0, 1).
  Layer,          ///< Below a limit.
  Count           ///< A small positive number.
};

/// What a size of an argument counts.
enum class SizeRole {
  Any,
  Tokens,     ///< Of the step, all sequences.
  TokensEach, ///< Of each sequence, all alike.
  Sequences,
  SequencesAndOne,
  Rows,
  Keys,     ///< Of all sequences, which are tensors.
  KeysEach, ///< The same for each sequence.
  TableColumns
};

/// One argument.
struct ArgumentRole {
  NumberRole numbers = NumberRole::Any;
  SmallVector<SizeRole> sizes; ///< One for each dimension of a tensor.
  /// Sizes that ops imply where the type does not say them; kDynamic: not known.
  SmallVector<int64_t> impliedSizes;
  int64_t limit = 0;                     ///< Of tokens and layers.
  std::optional<unsigned> cacheArgument; ///< Of slots and tables: the argument that is the cache.
};

/// The function's argument that a cache value comes from, if it is one.
std::optional<unsigned> findCacheArgument(Value cache);

/// The roles of all arguments. A step's are given by their order.
SmallVector<ArgumentRole> findArgumentRoles(func::FuncOp function);

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_ARGUMENTROLES_H
