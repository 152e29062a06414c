// Where the KV caches of a function end, and whether anything uses one after that.

#ifndef LLMIR_DIALECT_LLM_ANALYSIS_CACHELIFETIMES_H
#define LLMIR_DIALECT_LLM_ANALYSIS_CACHELIFETIMES_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::llm {

/// A use of a cache that some path reaches after the cache was consumed.
struct CacheUseViolation {
  /// The op that consumes the cache.
  Operation *consumer;
  /// The use that follows. Its owner is the consumer itself if a loop leads back to it.
  OpOperand *use;
};

/// The lifetimes of all cache values below an op. Valid until the op is changed.
///
/// A value ends where an op consumes it: a CacheConsumerOpInterface, or a call that takes it.
/// Branch and region operands, and ops that give back one of their operands, make other names of
/// the same cache; all names end together. Paths follow branch and region interfaces; regions of
/// other ops are assumed to run any number of times. Conditions are not interpreted.
class CacheLifetimes {
public:
  explicit CacheLifetimes(Operation *root);

  /// Every use after consumption, each once, in the order of the consumers.
  SmallVector<CacheUseViolation> findViolations();

  /// `value` and every other value that may be the same cache.
  SetVector<Value> getAliases(Value value) const;

private:
  void recordAliases(Operation *op);
  void recordAlias(Value from, Value to);

  Operation *root;
  DenseMap<Value, SmallVector<Value>> targets; ///< from a value to the names it is handed on as
  DenseMap<Value, SmallVector<Value>> sources; ///< the inverse
};

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_ANALYSIS_CACHELIFETIMES_H
